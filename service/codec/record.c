#include "codec/record.h"

enum { FORMAT_VERSION = 1, START_BYTES = 3 };

/* The length that stands for a null value. */
static const uint32_t NULL_LEN = UINT32_MAX;

static char *put_u32(char *to, uint32_t value)
{
    const char bytes[4] = {(char)value, (char)(value >> 8), (char)(value >> 16), (char)(value >> 24)};
    memcpy(to, bytes, sizeof(bytes));
    return to + sizeof(bytes);
}

static char *put_bytes(char *to, struct slice bytes)
{
    if (bytes.data == NULL) return put_u32(to, NULL_LEN);
    to = put_u32(to, (uint32_t)bytes.len);
    memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

static size_t packed_len(const struct record *record)
{
    size_t len = START_BYTES + 4 + record->key.len + 4 + record->value.len;
    for (size_t i = 0; i < record->headers_len; i++) {
        len += 4 + record->headers[i].name.len + 4 + record->headers[i].value.len;
    }
    return len;
}

static bool take(struct slice *rest, size_t len, struct slice *ret_bytes)
{
    if (len > rest->len) return false;
    *ret_bytes = (struct slice){rest->data, len};
    *rest = (struct slice){rest->data + len, rest->len - len};
    return true;
}

static bool take_bytes(struct slice *rest, struct slice *ret_bytes)
{
    struct slice raw;
    if (!take(rest, 4, &raw)) return false;
    const unsigned char *p = (const unsigned char *)raw.data;
    uint32_t len = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (len == NULL_LEN) {
        *ret_bytes = (struct slice){NULL, 0};
        return true;
    }
    return take(rest, len, ret_bytes);
}

void record_start(struct record *record, enum record_topic topic, struct slice key, struct slice value)
{
    record->topic = topic;
    record->key = key;
    record->value = value;
    record->headers_len = 0;
    record->headers_left_out = 0;
}

void record_pack(struct buf *out, const struct record *record)
{
    const char start[START_BYTES] = {FORMAT_VERSION, (char)record->topic, (char)record->headers_len};
    char *to = buf_extend(out, packed_len(record));
    if (to == NULL) return;
    memcpy(to, start, sizeof(start));
    to = put_bytes(to + sizeof(start), record->key);
    to = put_bytes(to, record->value);
    for (size_t i = 0; i < record->headers_len; i++) {
        to = put_bytes(to, record->headers[i].name);
        to = put_bytes(to, record->headers[i].value);
    }
}

bool record_take(struct slice *bytes, struct record *ret_record)
{
    struct slice rest = *bytes;
    struct slice start;
    if (!take(&rest, START_BYTES, &start) || start.data[0] != FORMAT_VERSION) return false;
    ret_record->topic = (enum record_topic)start.data[1];
    ret_record->headers_len = (unsigned char)start.data[2];
    ret_record->headers_left_out = 0;
    if (ret_record->topic != RECORD_EVENT && ret_record->topic != RECORD_DEAD_LETTER) return false;
    if (ret_record->headers_len > RECORD_HEADERS_MAX) return false;
    if (!take_bytes(&rest, &ret_record->key) || !take_bytes(&rest, &ret_record->value)) return false;
    for (size_t i = 0; i < ret_record->headers_len; i++) {
        struct record_header *header = &ret_record->headers[i];
        if (!take_bytes(&rest, &header->name) || header->name.data == NULL) return false;
        if (!take_bytes(&rest, &header->value)) return false;
    }
    *bytes = rest;
    return true;
}

void record_add_header(struct record *record, struct slice name, struct slice value)
{
    if (record->headers_len == RECORD_HEADERS_MAX) record->headers_left_out++;
    else record->headers[record->headers_len++] = (struct record_header){name, value};
}

/* A varint of a length takes at most five bytes. */
size_t record_header_wire_bytes(const struct record_header *header)
{
    return 5 + header->name.len + 5 + header->value.len;
}

struct slice record_header(const struct record *record, struct slice name)
{
    for (size_t i = 0; i < record->headers_len; i++) {
        if (slice_equal(record->headers[i].name, name)) return record->headers[i].value;
    }
    return (struct slice){NULL, 0};
}

size_t record_wire_bytes(const struct record *record)
{
    enum { BATCH_HEAD = 61, RECORD_HEAD = 5 + 1 + 10 + 5 + 5 + 5 + 5 };
    size_t bytes = BATCH_HEAD + RECORD_HEAD + record->key.len + record->value.len;
    for (size_t i = 0; i < record->headers_len; i++) bytes += record_header_wire_bytes(&record->headers[i]);
    return bytes;
}
