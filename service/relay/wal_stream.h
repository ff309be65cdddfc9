/* The WAL stream in: a logical replication connection on our slot, read as decoded pgoutput messages, and the feedback that
 * lets the server forget what is published.
 *
 * Happy path: open (which takes the slot), read until nothing is left, confirm, read on. Feedback and keepalives go out by
 * themselves from wal_stream_read, and from wal_stream_tend while the caller waits for somebody else.
 * Failure modes: the slot is in use (another relay works: WAL_BUSY), missing, invalidated or refused (WAL_LOST), the server away,
 * silent, or ending (WAL_FAILED). After any of them the stream is only good for wal_stream_close. */
#ifndef RELAY_WAL_STREAM_H
#define RELAY_WAL_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/error_text.h"
#include "relay/interruptible_wait.h"
#include "relay/pgoutput.h"
#include "relay/timeline.h"

/* The publication that `migrate` makes. It is empty: the relay reads messages, never rows. */
#define WAL_STREAM_PUBLICATION "schedule_service"

enum wal_result { WAL_OK, WAL_NOTHING, WAL_BUSY, WAL_LOST, WAL_FAILED };

enum { WAL_SOURCE_MAX = 192 };

/* Where the stream comes from, as the server reported when it was opened. */
struct wal_source {
    /* "<system identifier>/<database>/<slot>/<generation>": names one making of one slot among all servers. The last part is not
     * there when the slot was made by hand. */
    char name[WAL_SOURCE_MAX];
    uint64_t confirmed;  /* the slot's flush position */
    uint64_t server_end; /* the server's WAL was flushed up to here */
    struct timeline_history history;
    int32_t
        holder; /* the number of the advisory lock that the walsender holds, and by which it is known: accept_position() in migrations/ */
};

struct wal_stream;

/* Connects and starts streaming at what the slot has confirmed. WAL_OK sets *ret_stream, which the caller owns; else the
 * reason is set. *ret_source is set as far as it became known, the rest zero. The stream borrows wait_state. */
enum wal_result wal_stream_open(const char *database_url, const char *slot, struct interruptible_wait *wait_state,
                                struct error_text *reason, struct wal_source *ret_source, struct wal_stream **ret_stream);

/* Sends the last feedback, as far as that does not block, and closes. NULL is fine. */
void wal_stream_close(struct wal_stream *stream);

/* The next message, waiting for it at most timeout_ms. WAL_OK sets *ret_message, whose slices live until the next read;
 * WAL_NOTHING; WAL_LOST and WAL_FAILED set the reason. */
enum wal_result wal_stream_read(struct wal_stream *stream, int timeout_ms, struct pgoutput *ret_message,
                                struct error_text *reason);

/* Sets what feedback reports: all that was committed before `read` is dealt with, so that the server may stop, and the slot may forget
 * what is before `published`. Neither goes backwards. */
void wal_stream_confirm(struct wal_stream *stream, uint64_t read_lsn, uint64_t published_lsn);

/* Sends feedback when it is due; for callers that do not read for a while. False when the connection is broken. */
bool wal_stream_tend(struct wal_stream *stream);

#endif
