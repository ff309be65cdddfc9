#include "relay/wal_stream.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/pg.h"
#include "core/lsn.h"
#include "relay/session.h"

enum {
    FEEDBACK_CHANGED_US = 250000, /* a new position is reported after this */
    FEEDBACK_SAME_US = 5000000,   /* the old one again after this, as a heartbeat */
    ASK_AFTER_US = 10000000,      /* a server silent for so long is asked to answer */
    GIVE_UP_AFTER_US = 60000000,  /* and given up after so long; TCP finds a dead network earlier */
    FEEDBACK_LEN = 34,
};

struct wal_stream {
    PGconn *conn;
    struct interruptible_wait *wait_state;
    char *row; /* libpq's copy of the message that was read last */
    uint64_t read_lsn;
    uint64_t published_lsn;
    uint64_t reported_read_lsn; /* the last feedback's positions */
    uint64_t reported_lsn;
    int64_t reported_us;
    int64_t heard_us; /* when the server said something last */
    bool answer_due;
};

/* ---- opening ---- */

static PGresult *query_one_row(PGconn *conn, const char *sql, struct interruptible_wait *wait_state,
                               struct error_text *reason)
{
    PGresult *result = session_query(conn, sql, wait_state, reason);
    if (result == NULL || PQresultStatus(result) == PGRES_TUPLES_OK) return result;
    error_text_set(reason, "PostgreSQL refuses: %s", PQresultErrorMessage(result));
    if (pg_lacks_schema(result)) reason->kind = ERROR_SETUP;
    PQclear(result);
    return NULL;
}

/* The timelines that the server's comes from; the first has no history. */
static bool read_history(PGconn *conn, struct interruptible_wait *wait_state, struct error_text *reason,
                         struct timeline_history *history)
{
    char sql[64];
    if (history->timeline == 1) return true;
    snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %" PRIu32, history->timeline);
    PGresult *result = query_one_row(conn, sql, wait_state, reason);
    if (result == NULL) return false;
    bool ok = timeline_history_read((struct slice){PQgetvalue(result, 0, 1), (size_t)PQgetlength(result, 0, 1)}, history);
    if (!ok) error_text_set(reason, "TIMELINE_HISTORY answered something else");
    PQclear(result);
    return ok;
}

/* The lock lives as long as the walsender, and so tells it from any that had the same process id. */
static bool lock(PGconn *conn, struct interruptible_wait *wait_state, struct error_text *reason, int32_t *ret_holder)
{
    static const char sql[] = "SELECT n, pg_try_advisory_lock(relay_lock_class(), n) "
                              "FROM (SELECT (random() * 2147483647)::integer AS n OFFSET 0) AS made";
    PGresult *result = query_one_row(conn, sql, wait_state, reason);
    if (result == NULL) return false;
    *ret_holder = (int32_t)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    bool ok = *PQgetvalue(result, 0, 1) == 't';
    if (!ok) error_text_set(reason, "the lock %" PRId32 " is somebody else's", *ret_holder);
    PQclear(result);
    return ok;
}

/* IDENTIFY_SYSTEM answers with system identifier, timeline, flush position, database. */
static enum wal_result identify(PGconn *conn, const char *slot, struct interruptible_wait *wait_state,
                                struct error_text *reason, struct wal_source *ret_source)
{
    PGresult *result = query_one_row(conn, "IDENTIFY_SYSTEM", wait_state, reason);
    if (result == NULL) return WAL_FAILED;
    int len =
        snprintf(ret_source->name, WAL_SOURCE_MAX, "%s/%s/%s", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 3), slot);
    bool ok = len < WAL_SOURCE_MAX && lsn_parse(slice_of(PQgetvalue(result, 0, 2)), &ret_source->server_end);
    ret_source->history.timeline = (uint32_t)strtoul(PQgetvalue(result, 0, 1), NULL, 10);
    if (!ok) error_text_set(reason, "IDENTIFY_SYSTEM answered something else");
    PQclear(result);
    ok = ok && read_history(conn, wait_state, reason, &ret_source->history) &&
         lock(conn, wait_state, reason, &ret_source->holder);
    return ok ? WAL_OK : WAL_FAILED;
}

static enum wal_result read_slot_row(const PGresult *result, const char *slot, struct error_text *reason,
                                     struct wal_source *ret_source)
{
    if (PQgetisnull(result, 0, 1)) {
        error_text_set(reason, "replication slot \"%s\" does not exist", slot);
        if (*PQgetvalue(result, 0, 4) == 't') return WAL_LOST;
        reason->kind = ERROR_SETUP;
        return WAL_FAILED;
    }
    if (strcmp(PQgetvalue(result, 0, 1), "lost") == 0) {
        error_text_set(reason, "replication slot \"%s\" was invalidated: its WAL is removed (max_slot_wal_keep_size)", slot);
        return WAL_LOST;
    }
    if (!PQgetisnull(result, 0, 3)) {
        error_text_set(reason, "%s", PQgetvalue(result, 0, 3));
        return WAL_LOST;
    }
    if (!lsn_parse(slice_of(PQgetvalue(result, 0, 0)), &ret_source->confirmed)) {
        error_text_set(reason, "replication slot \"%s\" is not a logical one", slot);
        return WAL_LOST;
    }
    size_t len = strlen(ret_source->name);
    snprintf(ret_source->name + len, sizeof(ret_source->name) - len, "%s", PQgetvalue(result, 0, 2));
    return WAL_OK;
}

/* The slot's place, even while somebody else streams from it. */
static enum wal_result look_up_slot(PGconn *conn, const char *slot, struct interruptible_wait *wait_state,
                                    struct error_text *reason, struct wal_source *ret_source)
{
    char sql[512];
    char *quoted = PQescapeLiteral(conn, slot, strlen(slot));
    if (quoted == NULL) return WAL_FAILED;
    snprintf(sql, sizeof(sql),
             "SELECT confirmed_flush_lsn, wal_status, "
             "coalesce((SELECT '/' || generation::text FROM slot_generations WHERE slot = slot_name), ''), "
             "(SELECT refusal FROM relay_positions WHERE slot = slot_name), is_slot_known(wanted) "
             "FROM (SELECT %s AS wanted) AS w LEFT JOIN pg_replication_slots ON slot_name = wanted",
             quoted);
    PQfreemem(quoted);
    PGresult *result = query_one_row(conn, sql, wait_state, reason);
    if (result == NULL) return WAL_FAILED;
    enum wal_result found = read_slot_row(result, slot, reason, ret_source);
    PQclear(result);
    return found;
}

/* 55006: active for another process. 42704: the slot, or the publication, does not exist. 55000: invalidated. 58P01: the WAL that it
 * begins with is removed, as on a standby whose copy of the slot was older than its WAL. */
static enum wal_result classify(const PGresult *result, struct error_text *reason)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    error_text_set(reason, "replication ended: %s", state == NULL ? "connection lost" : PQresultErrorMessage(result));
    if (state == NULL) return WAL_FAILED;
    if (strcmp(state, "55006") == 0) return WAL_BUSY;
    bool is_lost = strcmp(state, "42704") == 0 || strcmp(state, "55000") == 0 || strcmp(state, "58P01") == 0;
    return is_lost ? WAL_LOST : WAL_FAILED;
}

static enum wal_result start_streaming(PGconn *conn, const char *slot, struct interruptible_wait *wait_state,
                                       struct error_text *reason)
{
    char sql[512];
    char *quoted = PQescapeIdentifier(conn, slot, strlen(slot));
    if (quoted == NULL) return WAL_FAILED;
    snprintf(sql, sizeof(sql),
             "START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names '\"%s\"', messages 'true')",
             quoted, WAL_STREAM_PUBLICATION);
    PQfreemem(quoted);
    PGresult *result = session_query(conn, sql, wait_state, reason);
    if (result == NULL) return WAL_FAILED;
    enum wal_result started = PQresultStatus(result) == PGRES_COPY_BOTH ? WAL_OK : classify(result, reason);
    PQclear(result);
    return started;
}

enum wal_result wal_stream_open(const char *database_url, const char *slot, struct interruptible_wait *wait_state,
                                struct error_text *reason, struct wal_source *ret_source, struct wal_stream **ret_stream)
{
    *ret_source = (struct wal_source){0};
    struct wal_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        error_text_set(reason, "out of memory");
        return WAL_FAILED;
    }
    stream->wait_state = wait_state;
    stream->conn = session_open(database_url, true, wait_state, reason);
    enum wal_result opened =
        stream->conn == NULL ? WAL_FAILED : identify(stream->conn, slot, wait_state, reason, ret_source);
    if (opened == WAL_OK) opened = look_up_slot(stream->conn, slot, wait_state, reason, ret_source);
    if (opened == WAL_OK) opened = start_streaming(stream->conn, slot, wait_state, reason);
    stream->heard_us = stream->reported_us = clock_steady_us();
    if (opened == WAL_OK) *ret_stream = stream;
    else wal_stream_close(stream);
    return opened;
}

void wal_stream_close(struct wal_stream *stream)
{
    if (stream == NULL) return;
    if (stream->conn != NULL && stream->reported_lsn != stream->published_lsn) {
        stream->answer_due = true;
        wal_stream_tend(stream);
    }
    PQfreemem(stream->row);
    PQfinish(stream->conn);
    free(stream);
}

/* ---- feedback ---- */

static void put_u64(char *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8) at[i] = (char)(value & 0xff);
}

/* Standby status update: written, flushed and applied positions, the time (unused by the server, so left zero), and whether
 * an answer is wanted. A server that stops waits for the flushed position to reach its end, or, where that is not given, for the written
 * one (WalSndDone in PostgreSQL's walsender.c); and a flushed position that is not given leaves the slot as it is. */
static bool send_feedback(struct wal_stream *stream, int64_t now_us)
{
    char feedback[FEEDBACK_LEN] = {'r'};
    bool is_news = stream->published_lsn > stream->reported_lsn || stream->published_lsn >= stream->read_lsn;
    uint64_t flushed = is_news ? stream->published_lsn : 0;
    put_u64(feedback + 1, stream->read_lsn);
    put_u64(feedback + 9, flushed);
    put_u64(feedback + 17, flushed);
    feedback[FEEDBACK_LEN - 1] = now_us - stream->heard_us > ASK_AFTER_US;
    if (PQputCopyData(stream->conn, feedback, FEEDBACK_LEN) != 1) return false;
    stream->reported_lsn = stream->published_lsn;
    stream->reported_read_lsn = stream->read_lsn;
    stream->reported_us = now_us;
    stream->answer_due = false;
    return true;
}

static int64_t feedback_due_us(const struct wal_stream *stream)
{
    if (stream->answer_due) return 0;
    bool is_reported = stream->reported_lsn == stream->published_lsn && stream->reported_read_lsn == stream->read_lsn;
    return stream->reported_us + (is_reported ? FEEDBACK_SAME_US : FEEDBACK_CHANGED_US);
}

bool wal_stream_tend(struct wal_stream *stream)
{
    int64_t now_us = clock_steady_us();
    if (now_us >= feedback_due_us(stream) && !send_feedback(stream, now_us)) return false;
    return PQflush(stream->conn) >= 0;
}

void wal_stream_confirm(struct wal_stream *stream, uint64_t read_lsn, uint64_t published_lsn)
{
    if (read_lsn > stream->read_lsn) stream->read_lsn = read_lsn;
    if (published_lsn > stream->published_lsn) stream->published_lsn = published_lsn;
}

/* ---- reading ---- */

/* How the stream ended, when libpq has no more rows. */
static enum wal_result read_end(struct wal_stream *stream, struct error_text *reason)
{
    PGresult *result = PQgetResult(stream->conn);
    enum wal_result ended = classify(result, reason);
    if (result == NULL || PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL) {
        error_text_set(reason, "replication ended: %s",
                       *PQerrorMessage(stream->conn) == '\0' ? "the server closed the stream"
                                                             : PQerrorMessage(stream->conn));
    }
    PQclear(result);
    return ended == WAL_BUSY ? WAL_FAILED : ended;
}

/* What libpq holds already; it does not read from the socket. */
static enum wal_result take_row(struct wal_stream *stream, struct pgoutput *ret_message, struct error_text *reason)
{
    PQfreemem(stream->row);
    stream->row = NULL;
    int len = PQgetCopyData(stream->conn, &stream->row, 1);
    if (len == 0) return WAL_NOTHING;
    if (len < 0) return read_end(stream, reason);
    stream->heard_us = clock_steady_us();
    if (!pgoutput_decode((struct slice){stream->row, (size_t)len}, ret_message)) {
        error_text_set(reason, "the server sent what is no replication message (%d bytes)", len);
        return WAL_FAILED;
    }
    if (ret_message->kind == PGOUTPUT_KEEPALIVE && ret_message->reply_requested) stream->answer_due = true;
    return WAL_OK;
}

/* Reads from the socket, after waiting for it until the timeout or until feedback is due. */
static bool fill(struct wal_stream *stream, int timeout_ms)
{
    int64_t until_due_ms = (feedback_due_us(stream) - clock_steady_us()) / 1000 + 1;
    int wait_ms = until_due_ms < timeout_ms ? (int)(until_due_ms < 0 ? 0 : until_due_ms) : timeout_ms;
    interruptible_wait_sleep(stream->wait_state, PQsocket(stream->conn), POLLIN, wait_ms);
    return PQconsumeInput(stream->conn) == 1;
}

enum wal_result wal_stream_read(struct wal_stream *stream, int timeout_ms, struct pgoutput *ret_message,
                                struct error_text *reason)
{
    enum wal_result taken = take_row(stream, ret_message, reason);
    if (taken != WAL_NOTHING) return taken;
    if (!wal_stream_tend(stream) || !fill(stream, timeout_ms)) {
        error_text_set(reason, "replication connection lost: %s", PQerrorMessage(stream->conn));
        return WAL_FAILED;
    }
    taken = take_row(stream, ret_message, reason);
    if (taken == WAL_NOTHING && clock_steady_us() - stream->heard_us > GIVE_UP_AFTER_US) {
        error_text_set(reason, "no message from the server for a minute");
        return WAL_FAILED;
    }
    return taken;
}
