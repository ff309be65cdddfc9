/* PURE decoder of what a logical replication stream carries: the envelope (XLogData, keepalive) and the messages of the
 * output plugin pgoutput, protocol version 1 (PostgreSQL manual, "Streaming Replication Protocol" and "Logical Replication
 * Message Formats"). Bytes in, values out; it never reads outside the slice. */
#ifndef RELAY_PGOUTPUT_H
#define RELAY_PGOUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

/* OTHER: whatever the relay has no use for (rows, relations, types, origins, unknown ones). */
enum pgoutput_kind { PGOUTPUT_KEEPALIVE, PGOUTPUT_BEGIN, PGOUTPUT_MESSAGE, PGOUTPUT_COMMIT, PGOUTPUT_OTHER };

/* Fields not named for a kind are zero. */
struct pgoutput {
    enum pgoutput_kind kind;
    uint64_t wal_end;     /* KEEPALIVE: everything the server committed before this position was sent */
    bool reply_requested; /* KEEPALIVE */
    uint64_t commit_lsn;  /* BEGIN, COMMIT: where the commit record begins */
    uint64_t end_lsn;     /* COMMIT: the first position behind the commit record */
    int64_t commit_us;    /* BEGIN, COMMIT: when it committed, microseconds since the Unix epoch */
    bool transactional;   /* MESSAGE */
    struct slice prefix;  /* MESSAGE; borrowed from the input */
    struct slice content; /* MESSAGE; borrowed from the input */
};

/* Decodes one CopyData payload. False when it is cut short or is no message of this protocol. */
bool pgoutput_decode(struct slice bytes, struct pgoutput *ret_message);

#endif
