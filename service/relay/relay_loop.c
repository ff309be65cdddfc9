#include "relay/relay_loop.h"

#include "codec/unpublishable.h"
#include "core/slice.h"
#include "core/smaller.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "core/lsn.h"
#include "relay/relay_metrics.h"
#include "relay/session.h"
#include "relay/wal_record.h"

enum { IDLE_MS = 1000, FINAL_AFTER_US = 1000000, CARE_DIVISOR = 16, NOTE_EVERY_US = 10000000, RECORD_BYTES_MAX = 32 << 20 };

/* ---- the batch ---- */

static size_t batch_records(const struct relay_loop *loop)
{
    return loop->batch.events + loop->batch.dead_letters;
}

static bool is_between_transactions(const struct relay_loop *loop)
{
    return !loop->in_transaction;
}

/* Whatever was read before `seen` is in Kafka. The slot may forget it as far as that is final: a broker that ends may take back what it answered last. */
static void confirm(struct relay_loop *loop)
{
    if (batch_records(loop) > 0) return;
    uint64_t final = loop->progress.final_lsn;
    wal_stream_confirm(loop->stream, loop->seen, smaller(final, loop->seen));
    int64_t lag = loop->server_end > loop->seen ? (int64_t)(loop->server_end - loop->seen) : 0;
    atomic_store_explicit(loop->lag_bytes, lag, memory_order_relaxed);
    relay_metrics_lag_bytes(lag);
}

static void advance(struct relay_loop *loop, uint64_t lsn)
{
    if (lsn > loop->seen) loop->seen = lsn;
    if (lsn > loop->server_end) loop->server_end = lsn;
    confirm(loop);
}

/* One of the records of the open batch, to which the next one may belong by now, is refused for good. */
static void take_care(struct relay_loop *loop)
{
    loop->care.records = batch_records(loop) + 1;
    loop->care.batch = loop->care.records / CARE_DIVISOR + 1;
}

_Static_assert((int)PUBLISHER_PRODUCERS == 2, "a transaction's producer had its turn before the last one");

/* Ends the transaction of Kafka that is open, if one is. Its producer could begin it as its last one was written to its end, so that is final. */
static bool note(struct relay_loop *loop)
{
    loop->reached.final_lsn = loop->previous_lsn;
    if (!publisher_commit(loop->publisher, slice_of(loop->progress_key), &loop->reached)) return false;
    loop->previous_lsn = loop->progress.lsn;
    loop->progress = loop->reached;
    loop->noted_us = clock_steady_us();
    return true;
}

/* Transactions with nothing but progress make those before final. */
static bool make_final(struct relay_loop *loop)
{
    while (!progress_is_final(&loop->progress)) {
        if (!note(loop)) return false;
    }
    confirm(loop);
    return true;
}

static bool commit_batch(struct relay_loop *loop)
{
    int64_t start_us = clock_steady_us();
    if (!note(loop)) return false;
    loop->care.records -= smaller(loop->care.records, batch_records(loop));
    relay_metrics_published(loop->batch.events, loop->batch.dead_letters, clock_steady_us() - start_us);
    relay_metrics_behind_since(loop->in_transaction ? loop->commit_us : 0);
    relay_metrics_waiting(false);
    loop->batch = (struct relay_loop_batch){0};
    loop->has_published = true;
    confirm(loop);
    return true;
}

/* What was told is read again: progress is not to say less than it did. */
static bool is_behind_told(const struct relay_loop *loop)
{
    return loop->seen < loop->told.lsn || (loop->told.records > 0 && loop->seen <= loop->told.commit_lsn);
}

/* When the stream pauses, nothing is gained by waiting for more. */
static bool is_batch_due(const struct relay_loop *loop, bool is_paused)
{
    if (batch_records(loop) == 0) return false;
    if (clock_steady_us() - loop->batch.begun_us >= RELAY_LOOP_BATCH_US) return true;
    if (batch_records(loop) >= RELAY_LOOP_BATCH_EVENTS) return is_between_transactions(loop);
    return is_between_transactions(loop) && is_paused && !is_behind_told(loop);
}

/* How long the stream may be waited for. */
static int patience_ms(const struct relay_loop *loop)
{
    return loop->in_transaction || batch_records(loop) == 0 ? IDLE_MS : 0;
}

/* ---- what is read ---- */

static bool begin_batch(struct relay_loop *loop)
{
    relay_metrics_behind_since(loop->commit_us);
    loop->batch.begun_us = clock_steady_us();
    return publisher_begin(loop->publisher, slice_of(loop->progress_key), &loop->progress);
}

/* Turns the record into less after it was refused. */
static bool reduce(struct relay_loop *loop, struct unpublishable *unpublishable, struct record *record)
{
    struct error_text refusal = *loop->reason;
    size_t bytes = record_wire_bytes(record);
    enum status status =
        unpublishable_reduce(unpublishable, record, publisher_room(loop->publisher, record->topic), slice_of(refusal.text));
    if (status == STATUS_TOO_LARGE) loop->reason->kind = ERROR_WAITS; /* it is the topic that takes nothing */
    else if (status != STATUS_OK) error_text_set(loop->reason, "out of memory");
    if (status != STATUS_OK) return false;
    loop->reason->kind = ERROR_FAILED;
    relay_metrics_unpublishable(unpublishable->kind);
    LOG_ERROR("relay: Kafka refuses a record permanently; a reduced one is published", LOG_STR("reason", refusal.text),
              LOG_SLICE("key", record->key), LOG_SLICE("id", record_header(record, SLICE("ce_id"))),
              LOG_INT("bytes", bytes));
    return true;
}

/* Publishes a record that Kafka may refuse for good. Alone in a batch, nothing else is lost with it; what follows may join it. */
static bool send_alone(struct relay_loop *loop, struct record *record)
{
    struct unpublishable unpublishable;
    bool is_refused = false;
    bool sent = batch_records(loop) == 0 || commit_batch(loop);
    unpublishable_init(&unpublishable, record);
    do {
        sent = sent && begin_batch(loop) && publisher_send_alone(loop->publisher, record, &is_refused);
    } while (sent && is_refused && (sent = reduce(loop, &unpublishable, record)));
    unpublishable_done(&unpublishable);
    return sent;
}

static bool send_record(struct relay_loop *loop, struct record *record)
{
    size_t most = loop->care.records == 0 ? SIZE_MAX : smaller(loop->care.records, loop->care.batch);
    if (most == 1 || record_wire_bytes(record) > publisher_room(loop->publisher, record->topic))
        return send_alone(loop, record);
    if (batch_records(loop) >= most && !commit_batch(loop)) return false;
    return (batch_records(loop) > 0 || begin_batch(loop)) && publisher_send(loop->publisher, record);
}

/* Of a commit that progress was told to hold, in Kafka once already. Of one that was published in part the same records come in the same
 * order. */
static bool is_told(const struct relay_loop *loop)
{
    const struct progress *told = &loop->told;
    return loop->commit_lsn < told->lsn || (loop->commit_lsn == told->commit_lsn && loop->records <= told->records);
}

static bool is_published(const struct relay_loop *loop, const struct record *record)
{
    return record->topic == RECORD_EVENT ? overlap_has(&loop->overlap, record, loop->commit_lsn) : is_told(loop);
}

/* The headers that say where an event comes from. */
static void mark_event(struct relay_loop *loop, struct record *record)
{
    int64_t id = event_schedule_id(record);
    if (id > loop->reached.highest_id) loop->reached.highest_id = id;
    record_add_header(record, SLICE(COMMIT_POSITION_HEADER), loop->position);
}

/* The next record of the message. */
static bool take_record(struct relay_loop *loop, struct pgoutput *message)
{
    struct record record;
    if (wal_record_take(message, loop->events, &loop->scratch, &record) != STATUS_OK) {
        error_text_set(loop->reason, "out of memory");
        return false;
    }
    loop->records++;
    if (record.topic == RECORD_EVENT) mark_event(loop, &record);
    if (is_published(loop, &record)) return true;
    if (!send_record(loop, &record)) return false;
    loop->reached.commit_lsn = loop->commit_lsn;
    loop->reached.records = loop->records;
    if (record.topic == RECORD_EVENT) loop->batch.events++;
    else loop->batch.dead_letters++;
    return true;
}

static bool on_message(struct relay_loop *loop, struct pgoutput *message)
{
    if (loop->is_skipping || !wal_record_is_in(message)) return true;
    bool taken;
    do taken = take_record(loop, message);
    while (taken && message->content.len > 0);
    return taken;
}

/* Progress is the end of a commit record: a transaction ends at or before it exactly if its commit record begins before. */
static void on_begin(struct relay_loop *loop, const struct pgoutput *message)
{
    loop->in_transaction = true;
    loop->is_skipping = message->commit_lsn < loop->progress.lsn;
    loop->commit_us = message->commit_us;
    loop->commit_lsn = message->commit_lsn;
    loop->records = 0;
    if (message->commit_lsn > loop->overlap.last_lsn) overlap_done(&loop->overlap);
    const struct commit_position position = {loop->progress.timeline, message->commit_lsn};
    loop->position = commit_position_format(&position, loop->position_text);
}

static void on_commit(struct relay_loop *loop, const struct pgoutput *message)
{
    loop->in_transaction = false;
    if (!loop->is_skipping) {
        loop->reached.lsn = message->end_lsn;
        loop->reached.commit_lsn = 0;
        loop->reached.records = 0;
    }
    advance(loop, message->end_lsn);
}

static bool take(struct relay_loop *loop, struct pgoutput *message)
{
    switch (message->kind) {
    case PGOUTPUT_BEGIN: on_begin(loop, message); return true;
    case PGOUTPUT_MESSAGE: return on_message(loop, message);
    case PGOUTPUT_COMMIT: on_commit(loop, message); return true;
    case PGOUTPUT_KEEPALIVE:
        if (is_between_transactions(loop)) advance(loop, message->wal_end);
        return true;
    case PGOUTPUT_OTHER: break;
    }
    return true;
}

/* On a quiet line progress follows what others write to the WAL, or the slot would hold it for ever. */
static bool note_quiet(struct relay_loop *loop)
{
    int64_t noted_ago_us = clock_steady_us() - loop->noted_us;
    bool is_due = loop->seen > loop->progress.lsn && noted_ago_us >= NOTE_EVERY_US;
    bool is_final = progress_is_final(&loop->progress) || noted_ago_us < FINAL_AFTER_US;
    if ((!is_due && is_final) || is_behind_told(loop)) return true;
    relay_metrics_behind_since(clock_wall_us()); /* nothing is read until Kafka has answered */
    if (is_due) loop->reached.lsn = loop->seen;
    if ((is_due && !note(loop)) || !make_final(loop)) return false;
    relay_metrics_behind_since(0);
    return true;
}

static bool rest(struct relay_loop *loop)
{
    bool is_quiet = is_between_transactions(loop) && batch_records(loop) == 0;
    if (is_quiet) {
        relay_metrics_behind_since(0);
        relay_metrics_waiting(false);
        loop->was_idle = true;
    }
    if (is_quiet && !note_quiet(loop)) return false;
    return publisher_tend(loop->publisher);
}

/* ---- draining ---- */

/* A marker in the WAL: once the stream has passed it, everything committed before was read. A mere position would not do,
 * as the server may count half a record that nobody completes. */
static bool write_marker(struct relay_loop *loop)
{
    static const char *const sql = "SELECT pg_logical_emit_message(true, 'schedule-service.drain', '')";
    PGconn *conn = session_open(loop->database_url, false, loop->wait_state, loop->reason);
    if (conn == NULL) return false;
    PGresult *result = session_query(conn, sql, loop->wait_state, loop->reason);
    bool ok =
        PQresultStatus(result) == PGRES_TUPLES_OK && lsn_parse(slice_of(PQgetvalue(result, 0, 0)), &loop->drain_target);
    if (!ok && result != NULL) error_text_set(loop->reason, "marking the drain: %s", PQresultErrorMessage(result));
    PQclear(result);
    PQfinish(conn);
    return ok;
}

static bool is_drained(const struct relay_loop *loop)
{
    return loop->drain_target > 0 && is_between_transactions(loop) && batch_records(loop) == 0 &&
           loop->seen >= loop->drain_target;
}

/* ---- the loop ---- */

static bool step(struct relay_loop *loop, struct pgoutput *message, enum wal_result result)
{
    if (result == WAL_OK && !take(loop, message)) return false;
    if (is_batch_due(loop, result == WAL_NOTHING)) return commit_batch(loop);
    return result == WAL_OK || rest(loop);
}

static enum relay_loop_end run(struct relay_loop *loop)
{
    while (!interruptible_wait_is_stopping(loop->wait_state)) {
        struct pgoutput message;
        if (interruptible_wait_is_draining(loop->wait_state) && loop->drain_target == 0 && !write_marker(loop))
            return RELAY_LOOP_FAILED;
        if (is_drained(loop)) {
            make_final(loop); /* or the next relay does */
            return RELAY_LOOP_DRAINED;
        }
        enum wal_result result = wal_stream_read(loop->stream, patience_ms(loop), &message, loop->reason);
        if (result == WAL_LOST) return RELAY_LOOP_LOST;
        if (result != WAL_OK && result != WAL_NOTHING) return RELAY_LOOP_FAILED;
        if (!step(loop, &message, result)) return RELAY_LOOP_FAILED;
    }
    return RELAY_LOOP_STOPPED;
}

enum relay_loop_end relay_loop_run(struct relay_loop *loop)
{
    loop->reached = loop->progress;
    loop->previous_lsn = loop->progress.lsn;
    loop->noted_us = clock_steady_us();
    buf_init(&loop->scratch, RECORD_BYTES_MAX);
    enum relay_loop_end end = run(loop);
    if (end == RELAY_LOOP_FAILED && loop->reason->kind == ERROR_REFUSED) take_care(loop);
    buf_done(&loop->scratch);
    return end;
}
