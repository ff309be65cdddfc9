/* One Kafka record as it travels inside a WAL message, which holds one or several of them: where it goes, key, headers and
 * value. The writer packs it, the relay unpacks it without a copy.
 *
 * Layout, numbers little-endian: u8 version (1), u8 topic, u8 header count; then key, value and for each
 * header name and value, each as u32 length and bytes, the length UINT32_MAX standing for null. */
#ifndef CODEC_RECORD_H
#define CODEC_RECORD_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/slice.h"

/* The prefix of the WAL messages that hold records (pg_logical_emit_message's first text argument). */
#define RECORD_WAL_PREFIX "schedule-service"

enum record_topic { RECORD_EVENT = 1, RECORD_DEAD_LETTER = 2 };

enum { RECORD_HEADERS_MAX = 128 };

/* Where a consumed record was. */
struct record_origin {
    struct slice topic;
    int32_t partition;
    int64_t offset;
};

struct record_header {
    struct slice name;
    struct slice value; /* data NULL: a null value */
};

struct record {
    enum record_topic topic;
    struct slice key; /* data NULL: no key */
    struct slice value;
    struct record_header headers[RECORD_HEADERS_MAX];
    size_t headers_len;
    size_t headers_left_out; /* there was no place for them, and no header says so yet; not packed */
};

/* Makes it a record without headers. Slices are borrowed. */
void record_start(struct record *record, enum record_topic topic, struct slice key, struct slice value);

/* Appends the packed record. */
void record_pack(struct buf *out, const struct record *record);

/* Takes the first one off *bytes; every slice of *ret_record borrows from them. False, and nothing is taken, when they do not begin
 * with a packed record. */
bool record_take(struct slice *bytes, struct record *ret_record);

/* Adds a header; beyond RECORD_HEADERS_MAX it is left out, and counted. Slices are borrowed. */
void record_add_header(struct record *record, struct slice name, struct slice value);

/* The value of the first header of that name; data NULL when there is none. */
struct slice record_header(const struct record *record, struct slice name);

/* The most bytes that the record can take as a batch of its own in Kafka's format (magic 2) without compression: what brokers and
 * producers hold against max.message.bytes and message.max.bytes. The same of one of its headers. */
size_t record_wire_bytes(const struct record *record);
size_t record_header_wire_bytes(const struct record_header *header);

#endif
