#include "relay/pgoutput.h"

/* PostgreSQL counts from 2000-01-01. */
static const uint64_t EPOCH_2000_US = UINT64_C(946684800000000);

enum { MESSAGE_TRANSACTIONAL = 1 };

static bool take(struct slice *rest, size_t len, struct slice *ret_bytes)
{
    if (len > rest->len) return false;
    *ret_bytes = (struct slice){rest->data, len};
    *rest = (struct slice){rest->data + len, rest->len - len};
    return true;
}

/* A big-endian number of len bytes. */
static bool take_number(struct slice *rest, size_t len, uint64_t *ret_number)
{
    struct slice raw;
    if (!take(rest, len, &raw)) return false;
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) number = number << 8 | (unsigned char)raw.data[i];
    *ret_number = number;
    return true;
}

static bool take_text(struct slice *rest, struct slice *ret_text)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->data, '\0', rest->len);
    struct slice terminator;
    return end != NULL && take(rest, (size_t)(end - rest->data), ret_text) && take(rest, 1, &terminator);
}

static bool take_time(struct slice *rest, int64_t *ret_us)
{
    uint64_t since_2000;
    if (!take_number(rest, 8, &since_2000)) return false;
    *ret_us = (int64_t)(since_2000 + EPOCH_2000_US);
    return true;
}

static bool decode_begin(struct slice rest, struct pgoutput *ret)
{
    uint64_t xid;
    ret->kind = PGOUTPUT_BEGIN;
    return take_number(&rest, 8, &ret->commit_lsn) && take_time(&rest, &ret->commit_us) && take_number(&rest, 4, &xid);
}

static bool decode_commit(struct slice rest, struct pgoutput *ret)
{
    uint64_t flags;
    ret->kind = PGOUTPUT_COMMIT;
    return take_number(&rest, 1, &flags) && take_number(&rest, 8, &ret->commit_lsn) &&
           take_number(&rest, 8, &ret->end_lsn) && take_time(&rest, &ret->commit_us);
}

static bool decode_message(struct slice rest, struct pgoutput *ret)
{
    uint64_t flags;
    uint64_t lsn;
    uint64_t len;
    ret->kind = PGOUTPUT_MESSAGE;
    if (!take_number(&rest, 1, &flags) || !take_number(&rest, 8, &lsn) || !take_text(&rest, &ret->prefix)) return false;
    if (!take_number(&rest, 4, &len) || !take(&rest, len, &ret->content)) return false;
    ret->transactional = (flags & MESSAGE_TRANSACTIONAL) != 0;
    return true;
}

static bool decode_xlog_data(struct slice rest, struct pgoutput *ret)
{
    struct slice positions_and_time;
    uint64_t type;
    if (!take(&rest, 24, &positions_and_time) || !take_number(&rest, 1, &type)) return false;
    switch (type) {
    case 'B': return decode_begin(rest, ret);
    case 'C': return decode_commit(rest, ret);
    case 'M': return decode_message(rest, ret);
    default: ret->kind = PGOUTPUT_OTHER; return true;
    }
}

static bool decode_keepalive(struct slice rest, struct pgoutput *ret)
{
    uint64_t sent_at;
    uint64_t reply;
    ret->kind = PGOUTPUT_KEEPALIVE;
    if (!take_number(&rest, 8, &ret->wal_end) || !take_number(&rest, 8, &sent_at) || !take_number(&rest, 1, &reply)) {
        return false;
    }
    ret->reply_requested = reply != 0;
    return true;
}

bool pgoutput_decode(struct slice bytes, struct pgoutput *ret_message)
{
    uint64_t envelope;
    *ret_message = (struct pgoutput){0};
    if (!take_number(&bytes, 1, &envelope)) return false;
    if (envelope == 'w') return decode_xlog_data(bytes, ret_message);
    if (envelope == 'k') return decode_keepalive(bytes, ret_message);
    return false;
}
