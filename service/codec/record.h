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
};

/* Appends the packed record. */
void record_pack(struct buf *out, const struct record *record);

/* Takes the first one off *bytes; every slice of *ret_record borrows from them. False, and nothing is taken, when they do not begin
 * with a packed record. */
bool record_take(struct slice *bytes, struct record *ret_record);

/* Adds a header; beyond RECORD_HEADERS_MAX it is left out. Slices are borrowed. */
void record_add_header(struct record *record, struct slice name, struct slice value);

#endif
