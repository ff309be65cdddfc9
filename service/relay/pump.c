#include "relay/pump.h"

#include "codec/unpublishable.h"
#include "core/slice.h"
#include "core/smaller.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "relay/lsn.h"
#include "relay/meter.h"
#include "relay/session.h"
#include "relay/wal_record.h"

enum { IDLE_MS = 1000, CARE_DIVISOR = 16, NOTE_EVERY_US = 10000000, RECORD_BYTES_MAX = 32 << 20 };

/* ---- the batch ---- */

static size_t batch_records(const struct pump *pump)
{
    return pump->batch.events + pump->batch.dead_letters;
}

static bool is_between_transactions(const struct pump *pump)
{
    return !pump->in_transaction;
}

/* Whatever was read before `seen` is in Kafka. The slot may forget it as far as progress says so: one that is found further on is another
 * one of the same name. */
static void confirm(struct pump *pump)
{
    if (batch_records(pump) > 0) return;
    wal_stream_confirm(pump->stream, pump->seen, pump->progress.lsn < pump->seen ? pump->progress.lsn : pump->seen);
    int64_t lag = pump->server_end > pump->seen ? (int64_t)(pump->server_end - pump->seen) : 0;
    atomic_store_explicit(pump->lag_bytes, lag, memory_order_relaxed);
    meter_lag_bytes(lag);
}

static void advance(struct pump *pump, uint64_t lsn)
{
    if (lsn > pump->seen) pump->seen = lsn;
    if (lsn > pump->server_end) pump->server_end = lsn;
    confirm(pump);
}

/* One of the records of the open batch, to which the next one may belong by now, is refused for good. */
static void take_care(struct pump *pump)
{
    pump->care.records = batch_records(pump) + 1;
    pump->care.batch = pump->care.records / CARE_DIVISOR + 1;
}

/* Ends the transaction of Kafka that is open, if one is. */
static bool note(struct pump *pump)
{
    if (!publisher_commit(pump->publisher, slice_of(pump->progress_key), &pump->reached)) return false;
    pump->progress = pump->reached;
    pump->noted_us = clock_steady_us();
    return true;
}

static bool commit_batch(struct pump *pump)
{
    int64_t start_us = clock_steady_us();
    if (!note(pump)) return false;
    pump->care.records -= smaller(pump->care.records, batch_records(pump));
    meter_published(pump->batch.events, pump->batch.dead_letters, clock_steady_us() - start_us);
    meter_behind_since(pump->in_transaction ? pump->commit_us : 0);
    meter_waiting(false);
    pump->batch = (struct pump_batch){0};
    pump->has_published = true;
    confirm(pump);
    return true;
}

/* When the stream pauses, nothing is gained by waiting for more. */
static bool is_batch_due(const struct pump *pump, bool is_paused)
{
    if (batch_records(pump) == 0) return false;
    if (clock_steady_us() - pump->batch.begun_us >= PUMP_BATCH_US) return true;
    return is_between_transactions(pump) && (is_paused || batch_records(pump) >= PUMP_BATCH_EVENTS);
}

/* How long the stream may be waited for. */
static int patience_ms(const struct pump *pump)
{
    return pump->in_transaction || batch_records(pump) == 0 ? IDLE_MS : 0;
}

/* ---- what is read ---- */

static bool begin_batch(struct pump *pump)
{
    meter_behind_since(pump->commit_us);
    pump->batch.begun_us = clock_steady_us();
    return publisher_begin(pump->publisher, slice_of(pump->progress_key), &pump->progress);
}

/* Turns the record into less after it was refused. */
static bool reduce(struct pump *pump, struct unpublishable *unpublishable, struct record *record)
{
    struct reason refusal = *pump->reason;
    size_t bytes = record_wire_bytes(record);
    enum status status =
        unpublishable_reduce(unpublishable, record, publisher_room(pump->publisher, record->topic), slice_of(refusal.text));
    if (status == STATUS_TOO_LARGE) pump->reason->kind = REASON_WAITS; /* it is the topic that takes nothing */
    else if (status != STATUS_OK) reason_set(pump->reason, "out of memory");
    if (status != STATUS_OK) return false;
    pump->reason->kind = REASON_FAILED;
    meter_unpublishable(unpublishable->kind);
    LOG_ERROR("relay: Kafka refuses a record for good; less of it is published", LOG_STR("reason", refusal.text),
              LOG_SLICE("key", record->key), LOG_SLICE("id", record_header(record, SLICE("ce_id"))),
              LOG_INT("bytes", bytes));
    return true;
}

/* Publishes a record that Kafka may refuse for good. Alone in a batch, nothing else is lost with it; what follows may join it. */
static bool send_alone(struct pump *pump, struct record *record)
{
    struct unpublishable unpublishable;
    bool is_refused = false;
    bool sent = batch_records(pump) == 0 || commit_batch(pump);
    unpublishable_init(&unpublishable, record);
    do {
        sent = sent && begin_batch(pump) && publisher_send_alone(pump->publisher, record, &is_refused);
    } while (sent && is_refused && (sent = reduce(pump, &unpublishable, record)));
    unpublishable_done(&unpublishable);
    return sent;
}

static bool send_record(struct pump *pump, struct record *record)
{
    size_t most = pump->care.records == 0 ? SIZE_MAX : smaller(pump->care.records, pump->care.batch);
    if (most == 1 || record_wire_bytes(record) > publisher_room(pump->publisher, record->topic))
        return send_alone(pump, record);
    if (batch_records(pump) >= most && !commit_batch(pump)) return false;
    return (batch_records(pump) > 0 || begin_batch(pump)) && publisher_send(pump->publisher, record);
}

/* What tells of an event where it comes from. */
static void mark_event(struct pump *pump, struct record *record)
{
    int64_t id = event_schedule_id(record);
    if (id > pump->reached.highest_id) pump->reached.highest_id = id;
    record_add_header(record, SLICE(COMMIT_POSITION_HEADER), pump->position);
}

/* The next record of the message. */
static bool take_record(struct pump *pump, struct pgoutput *message)
{
    struct record record;
    if (wal_record_take(message, pump->events, &pump->scratch, &record) != STATUS_OK) {
        reason_set(pump->reason, "out of memory");
        return false;
    }
    if (++pump->records <= pump->skipped) return true;
    if (record.topic == RECORD_EVENT) mark_event(pump, &record);
    if (!send_record(pump, &record)) return false;
    pump->reached.commit_lsn = pump->commit_lsn;
    pump->reached.records = pump->records;
    if (record.topic == RECORD_EVENT) pump->batch.events++;
    else pump->batch.dead_letters++;
    return true;
}

static bool on_message(struct pump *pump, struct pgoutput *message)
{
    if (pump->is_skipping || !wal_record_is_in(message)) return true;
    bool taken;
    do taken = take_record(pump, message);
    while (taken && message->content.len > 0);
    return taken;
}

/* Progress is the end of a commit record: a transaction ends at or before it exactly if its commit record begins before. Of one that was
 * published in part the same records come in the same order. */
static void on_begin(struct pump *pump, const struct pgoutput *message)
{
    pump->in_transaction = true;
    pump->is_skipping = message->commit_lsn < pump->progress.lsn;
    pump->commit_us = message->commit_us;
    pump->commit_lsn = message->commit_lsn;
    pump->records = 0;
    pump->skipped = message->commit_lsn == pump->progress.commit_lsn ? pump->progress.records : 0;
    const struct commit_position position = {pump->progress.timeline, message->commit_lsn};
    pump->position = commit_position_format(&position, pump->position_text);
}

static void on_commit(struct pump *pump, const struct pgoutput *message)
{
    pump->in_transaction = false;
    if (!pump->is_skipping) {
        pump->reached.lsn = message->end_lsn;
        pump->reached.commit_lsn = 0;
        pump->reached.records = 0;
    }
    advance(pump, message->end_lsn);
}

static bool take(struct pump *pump, struct pgoutput *message)
{
    switch (message->kind) {
    case PGOUTPUT_BEGIN: on_begin(pump, message); return true;
    case PGOUTPUT_MESSAGE: return on_message(pump, message);
    case PGOUTPUT_COMMIT: on_commit(pump, message); return true;
    case PGOUTPUT_KEEPALIVE:
        if (is_between_transactions(pump)) advance(pump, message->wal_end);
        return true;
    case PGOUTPUT_OTHER: break;
    }
    return true;
}

/* On a quiet line progress follows what others write to the WAL, or the slot would hold it for ever. */
static bool note_quiet(struct pump *pump)
{
    if (pump->seen <= pump->progress.lsn || clock_steady_us() - pump->noted_us < NOTE_EVERY_US) return true;
    pump->reached.lsn = pump->seen;
    if (!note(pump)) return false;
    confirm(pump);
    return true;
}

static bool rest(struct pump *pump)
{
    bool is_quiet = is_between_transactions(pump) && batch_records(pump) == 0;
    if (is_quiet) {
        meter_behind_since(0);
        meter_waiting(false);
        pump->was_idle = true;
    }
    if (is_quiet && !note_quiet(pump)) return false;
    return publisher_tend(pump->publisher);
}

/* ---- draining ---- */

/* A marker in the WAL: once the stream has passed it, everything committed before was read. A mere position would not do,
 * as the server may count half a record that nobody completes. */
static bool write_marker(struct pump *pump)
{
    static const char *const sql = "SELECT pg_logical_emit_message(true, 'schedule-service.drain', '')";
    PGconn *conn = session_open(pump->database_url, false, pump->waiter, pump->reason);
    if (conn == NULL) return false;
    PGresult *result = session_query(conn, sql, pump->waiter, pump->reason);
    bool ok =
        PQresultStatus(result) == PGRES_TUPLES_OK && lsn_parse(slice_of(PQgetvalue(result, 0, 0)), &pump->drain_target);
    if (!ok && result != NULL) reason_set(pump->reason, "marking the drain: %s", PQresultErrorMessage(result));
    PQclear(result);
    PQfinish(conn);
    return ok;
}

static bool is_drained(const struct pump *pump)
{
    return pump->drain_target > 0 && is_between_transactions(pump) && batch_records(pump) == 0 &&
           pump->seen >= pump->drain_target;
}

/* ---- the loop ---- */

static bool step(struct pump *pump, struct pgoutput *message, enum wal_result read)
{
    if (read == WAL_OK && !take(pump, message)) return false;
    if (is_batch_due(pump, read == WAL_NOTHING)) return commit_batch(pump);
    return read == WAL_OK || rest(pump);
}

static enum pump_end run(struct pump *pump)
{
    while (!waiter_is_stopping(pump->waiter)) {
        struct pgoutput message;
        if (waiter_is_draining(pump->waiter) && pump->drain_target == 0 && !write_marker(pump)) return PUMP_FAILED;
        if (is_drained(pump)) return PUMP_DRAINED;
        enum wal_result read = wal_stream_read(pump->stream, patience_ms(pump), &message, pump->reason);
        if (read == WAL_LOST) return PUMP_LOST;
        if (read != WAL_OK && read != WAL_NOTHING) return PUMP_FAILED;
        if (!step(pump, &message, read)) return PUMP_FAILED;
    }
    return PUMP_STOPPED;
}

enum pump_end pump_run(struct pump *pump)
{
    pump->reached = pump->progress;
    buf_init(&pump->scratch, RECORD_BYTES_MAX);
    enum pump_end end = run(pump);
    if (end == PUMP_FAILED && pump->reason->kind == REASON_REFUSED) take_care(pump);
    buf_done(&pump->scratch);
    return end;
}
