#include "store/write_connection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/failpoint.h"
#include "driver/log.h"
#include "driver/metrics.h"

enum {
    IDS_IN_BLOCK = 1000,        /* the sequence's increment */
    BATCH_FULL_BYTES = 1 << 20, /* a batch takes no further row beyond this */
    HTTP_CHANGES_MAX = 32,      /* of a batch: their states come back */
    MISSES_MAX = 2,             /* the first may be a promoted server's whom the watch has not seen yet */
    RETRY_FIRST_MS = 20,
    RETRY_MAX_MS = 2000,
    PATIENT_LOCK_MS = 500,
    PATIENT_STATEMENT_MS = 10000
};

static const char *const state_names[] = {"away", "idle", "looking", "taking ids", "writing", "paused"};

static const int64_t row_buckets[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 0};
static const int64_t time_buckets_us[] = {250,   500,    1000,   2000,   4000,    8000,    16000, 32000,
                                          64000, 128000, 256000, 512000, 1024000, 4096000, 0};
static struct metric batch_rows = {.type = METRIC_HISTOGRAM,
                                   .name = "schedule_batch_rows",
                                   .labels = "",
                                   .help = "Writes in one transaction.",
                                   .buckets = row_buckets};
static struct metric commit_time = {.type = METRIC_HISTOGRAM,
                                    .name = "schedule_commit_seconds",
                                    .labels = "",
                                    .help = "Time from sending a transaction to its commit.",
                                    .scale = 1e-6,
                                    .buckets = time_buckets_us};
static struct metric retries = {.type = METRIC_COUNTER,
                                .name = "schedule_batch_retries_total",
                                .labels = "",
                                .help = "Retried transactions."};

/* The one place that moves a connection's state. */
static void enter(struct write_connection *connection, enum write_connection_state state)
{
    if (log_enabled(LOG_LEVEL_DEBUG) && state != connection->state) {
        LOG_DEBUG("write connection", LOG_INT("purpose", connection->pool->purpose), LOG_INT("number", connection->number),
                  LOG_STR("from", state_names[connection->state]), LOG_STR("to", state_names[state]),
                  LOG_INT("rows", connection->rows_len));
    }
    connection->state = state;
}

void write_connection_pause(struct write_connection *connection, const char *reason)
{
    if (connection->retry_ms == 0) connection->retry_ms = RETRY_FIRST_MS;
    int64_t retry_ms = connection->retry_ms;
    struct timeval after = {.tv_sec = retry_ms / 1000, .tv_usec = retry_ms % 1000 * 1000};
    LOG_WARN("batch put back", LOG_STR("reason", reason), LOG_INT("retry_in_ms", retry_ms));
    enter(connection, CONNECTION_PAUSED);
    event_add(connection->retry, &after);
    connection->retry_ms = retry_ms * 2 < RETRY_MAX_MS ? retry_ms * 2 : RETRY_MAX_MS;
}

void write_connection_end_batch(struct write_connection *connection)
{
    for (size_t i = 0; i < connection->partitions_len; i++) {
        connection->partitions[i]->sent_next = 0;
        connection->partitions[i]->sent_us = 0;
    }
    if (connection->is_patient) connection->pool->patient--;
    connection->is_alone = connection->is_patient = false;
    connection->rows_len = connection->partitions_len = 0;
    PQclear(connection->answer);
    connection->answer = NULL;
}

struct write *write_connection_alone(const struct write_connection *connection)
{
    return connection->is_alone && connection->pool->purpose == WRITE_HTTP && connection->rows_len > 0 ? connection->rows[0]
                                                                                                       : NULL;
}

/* ---- a batch ---- */

static bool is_change(const struct write *write)
{
    return write->kind == WRITE_COMMAND && write->command.kind != COMMAND_CREATE;
}

static bool needs_id(const struct write *write)
{
    return write->kind == WRITE_COMMAND && write->command.kind == COMMAND_CREATE;
}

static bool has_room(const struct write_connection *connection, size_t rows_max)
{
    return connection->rows_len < rows_max && batch_bytes(connection->pool->shared->batch) < BATCH_FULL_BYTES;
}

static enum status add_row(struct write_connection *connection, struct write *write)
{
    connection->rows[connection->rows_len++] = write;
    write->schedule_id = needs_id(write) ? connection->id_next++ : write->command.schedule_id;
    write->is_repeat = false;
    write->state = (struct slice){NULL, 0};
    return batch_add(connection->pool->shared->batch, write, write->schedule_id);
}

/* A command below its partition's offset was completed by another consumer or by an earlier try of ours; one below the batch's
 * offset is in that batch, and was read a second time after the partition was assigned again. */
static bool is_complete(const struct write *write)
{
    const struct partition *partition = write->partition;
    return write->offset < partition->next_offset || write->offset < partition->sent_next;
}

/* Moves writes of the partition into the batch while there is room. */
static enum status fill_from(struct write_connection *connection, struct partition *partition, size_t rows_max)
{
    struct write_pool *pool = connection->pool;
    enum status status = STATUS_OK;
    size_t before = connection->rows_len;
    while (status == STATUS_OK && partition->waiting.first != NULL && has_room(connection, rows_max)) {
        if (is_complete(partition->waiting.first)) {
            struct write *write = write_pool_take(pool, partition);
            write->schedule_id = 0;
            write_pool_complete(pool, write, STATUS_DUPLICATE);
            continue;
        }
        if (needs_id(partition->waiting.first) && connection->id_next == connection->id_end) break;
        struct write *write = write_pool_take(pool, partition);
        if (partition->sent_next == 0) partition->sent_us = write->submitted_us;
        partition->sent_next = write->offset + 1;
        status = add_row(connection, write);
    }
    write_pool_rotate(pool, partition);
    if (connection->rows_len == before) return status;
    connection->partitions[connection->partitions_len++] = partition;
    batch_add_offset(pool->shared->batch, partition, partition->sent_next);
    return status;
}

static enum status fill_from_partitions(struct write_connection *connection, bool only_own)
{
    int64_t now_us = clock_steady_us();
    size_t rows_max = BATCH_ROWS_MAX;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && has_room(connection, rows_max)) {
        size_t before = connection->rows_len;
        struct partition *partition = write_pool_next_partition(connection->pool, connection->number, only_own, now_us);
        if (partition == NULL || (partition->hold.is_alone && before > 0)) break;
        if (partition->hold.is_alone) {
            connection->is_alone = true;
            connection->is_patient = hold_has_failed(&partition->hold);
            rows_max = partition->rows_max;
        }
        status = fill_from(connection, partition, rows_max);
        if (connection->is_alone || (connection->rows_len == before && partition->waiting.first != NULL)) break;
    }
    return status;
}

static enum status fill_from_http(struct write_connection *connection)
{
    struct write_pool *pool = connection->pool;
    size_t changes = 0;
    enum status status = STATUS_OK;
    struct write *alone = write_pool_next_alone(pool, clock_steady_us());
    if (alone != NULL) {
        connection->is_alone = true;
        connection->is_patient = hold_has_failed(&alone->hold);
        return add_row(connection, alone);
    }
    while (status == STATUS_OK && has_room(connection, BATCH_ROWS_MAX) && changes < HTTP_CHANGES_MAX &&
           connection->id_next < connection->id_end) {
        struct write *write = write_pool_take_fresh(pool);
        if (write == NULL) break;
        changes += is_change(write);
        status = add_row(connection, write);
    }
    return status;
}

/* ---- sending ---- */

/* One that is in the way gets more time, as it holds up none but its own; over HTTP as much as it has left. */
static bool send_patience(struct write_connection *connection)
{
    char lock_ms[24];
    char statement_ms[24];
    int64_t lock = PATIENT_LOCK_MS;
    int64_t statement = PATIENT_STATEMENT_MS;
    int64_t deadline_us = connection->rows[0]->deadline_us;
    if (deadline_us != 0) {
        int64_t left_ms = (deadline_us - clock_steady_us()) / 1000;
        if (left_ms < lock) lock = left_ms < 1 ? 1 : left_ms;
        if (left_ms < statement) statement = left_ms < 1 ? 1 : left_ms;
    }
    snprintf(lock_ms, sizeof(lock_ms), "%" PRId64, lock);
    snprintf(statement_ms, sizeof(statement_ms), "%" PRId64, statement);
    const struct pg_param params[] = {{lock_ms, (int)strlen(lock_ms), false},
                                      {statement_ms, (int)strlen(statement_ms), false}};
    return pg_send(connection->pg, "patience", params, 2, true);
}

static void forget_answer(struct write_connection *connection)
{
    connection->outcome = STATUS_OK;
    connection->is_short = false;
    connection->sqlstate[0] = '\0';
    free(connection->reason);
    connection->reason = NULL;
}

static void send_batch(struct write_connection *connection)
{
    struct pg_param params[BATCH_PARAMS];
    forget_answer(connection);
    connection->sent_us = clock_steady_us();
    if (!batch_params(connection->pool->shared->batch, params)) {
        write_outcome_put_back(connection);
        write_connection_pause(connection, "out of memory");
        return;
    }
    enter(connection, CONNECTION_WRITING);
    if (connection->is_patient && !send_patience(connection)) return;          /* on_lost follows */
    if (!pg_send(connection->pg, "write", params, BATCH_PARAMS, true)) return; /* likewise */
    FAILPOINT("store.before_sync");
    (void)pg_sync(connection->pg); /* likewise */
}

static void take_ids(struct write_connection *connection)
{
    enter(connection, CONNECTION_TAKING_IDS);
    forget_answer(connection);
    if (pg_send(connection->pg, "ids", NULL, 0, true)) (void)pg_sync(connection->pg);
}

/* A connection may lead to another server than the last one did, or than the watch's: each asks for itself, once for each mark. */
static void look(struct write_connection *connection)
{
    const struct writer_shared *shared = connection->pool->shared;
    if (connection->looked_at == shared->marks) return;
    connection->looked_at = shared->marks;
    enter(connection, CONNECTION_LOOKING);
    forget_answer(connection);
    if (pg_send(connection->pg, "position", NULL, 0, true)) (void)pg_sync(connection->pg);
}

static void on_position(struct write_connection *connection, const PGresult *result)
{
    struct position position;
    position_read(result, 0, &position);
    connection->is_at_mark = position_is_at(&position, &connection->pool->shared->mark);
    if (connection->is_at_mark || ++connection->misses < MISSES_MAX) return;
    pg_drop(connection->pg, "its server is not the accepted one");
}

static bool has_work(const struct write_connection *connection)
{
    const struct write_pool *pool = connection->pool;
    return pool->first != NULL || pool->fresh.first != NULL || pool->alone.first != NULL;
}

void write_connection_serve(struct write_connection *connection, bool only_own)
{
    struct write_pool *pool = connection->pool;
    if (connection->state != CONNECTION_IDLE || !pool->shared->open) return;
    if (!connection->is_at_mark) {
        look(connection);
        return;
    }
    if (!has_work(connection)) return;
    if (connection->id_next == connection->id_end) {
        take_ids(connection);
        return;
    }
    batch_start(pool->shared->batch, clock_wall_us());
    enum status status =
        pool->purpose == WRITE_HTTP ? fill_from_http(connection) : fill_from_partitions(connection, only_own);
    if (connection->is_patient) pool->patient++;
    if (status == STATUS_TOO_LARGE) { /* as a row that the database refuses */
        forget_answer(connection);
        connection->outcome = STATUS_UNSTORABLE;
        write_outcome_complete(connection);
        write_pool_kick(pool);
    } else if (status != STATUS_OK) {
        write_outcome_put_back(connection);
        write_connection_pause(connection, "out of memory");
    } else if (connection->rows_len > 0) {
        send_batch(connection);
    } else {
        write_connection_end_batch(connection);
    }
}

void write_connection_expire(struct write_connection *connection, int64_t now_us)
{
    for (size_t i = 0; i < connection->rows_len; i++) {
        struct write *write = connection->rows[i];
        if (write == NULL || write->deadline_us == 0 || write->deadline_us > now_us) continue;
        connection->rows[i] = NULL;
        write_pool_complete(connection->pool, write, STATUS_UNKNOWN_OUTCOME);
    }
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
    struct write_connection *connection = ctx;
    (void)fd;
    (void)what;
    enter(connection, pg_is_ready(connection->pg) ? CONNECTION_IDLE : CONNECTION_AWAY);
    write_pool_kick(connection->pool);
}

/* ---- the connection ---- */

static void on_result(void *ctx, const PGresult *result)
{
    struct write_connection *connection = ctx;
    if (connection->state == CONNECTION_TAKING_IDS && PQresultStatus(result) == PGRES_TUPLES_OK) {
        connection->id_next = pg_get_int8(PQgetvalue(result, 0, 0));
        connection->id_end = connection->id_next + IDS_IN_BLOCK;
    } else if (connection->state == CONNECTION_LOOKING && PQresultStatus(result) == PGRES_TUPLES_OK) {
        on_position(connection, result);
    } else {
        write_outcome_read(connection, result);
    }
}

/* A database that is read-only stays so for longer than a request waits: all that wait are answered at once. */
static void refuse_if_read_only(struct write_connection *connection)
{
    bool is_read_only = connection->outcome != STATUS_OK && strcmp(connection->sqlstate, "25006") == 0;
    if (is_read_only && connection->pool->purpose == WRITE_HTTP) write_pool_expire(connection->pool, INT64_MAX);
}

static void on_sync(void *ctx)
{
    struct write_connection *connection = ctx;
    bool was_writing = connection->state == CONNECTION_WRITING;
    enter(connection, CONNECTION_IDLE);
    if (connection->outcome == STATUS_OK) {
        connection->retry_ms = 0;
    } else {
        metric_add(&retries, 1);
    }
    if (was_writing) {
        if (connection->outcome == STATUS_OK) {
            metric_observe(&commit_time, clock_steady_us() - connection->sent_us);
            metric_observe(&batch_rows, (int64_t)connection->rows_len);
        }
        write_outcome_complete(connection);
    }
    refuse_if_read_only(connection);
    if (connection->is_short || (!was_writing && connection->outcome != STATUS_OK)) {
        write_connection_pause(connection, "the database is short of something");
    }
    write_pool_kick(connection->pool);
    write_connection_serve(connection, true);
}

static void on_ready(void *ctx)
{
    struct write_connection *connection = ctx;
    connection->is_at_mark = false;
    connection->looked_at = 0;
    connection->misses = 0;
    enter(connection, CONNECTION_IDLE);
    write_pool_kick(connection->pool);
}

static void on_lost(void *ctx)
{
    struct write_connection *connection = ctx;
    for (size_t i = 0; i < connection->rows_len; i++) {
        if (connection->rows[i] != NULL) connection->rows[i]->is_doubtful = true;
    }
    snprintf(connection->sqlstate, sizeof(connection->sqlstate), "%s", "08006");
    write_outcome_fail(connection);
    event_del(connection->retry);
    connection->id_next = connection->id_end = 0; /* a failed-over server may have an older sequence */
    enter(connection, CONNECTION_AWAY);
    metric_add(&retries, 1);
    write_pool_kick(connection->pool);
}

/* ---- life cycle ---- */

void write_connection_metrics_register(void)
{
    metrics_register(&batch_rows);
    metrics_register(&commit_time);
    metrics_register(&retries);
}

struct write_connection *write_connection_new(struct write_pool *pool, size_t number, const struct pg_config *pg)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct write_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) return NULL;
    connection->pool = pool;
    connection->number = number;
    connection->pg_config = *pg;
    connection->retry = evtimer_new(pool->shared->base, on_retry, connection);
    connection->pg = pg_new(pool->shared->base, &connection->pg_config, &handler, connection);
    if (connection->retry != NULL && connection->pg != NULL) return connection;
    write_connection_free(connection);
    return NULL;
}

void write_connection_free(struct write_connection *connection)
{
    if (connection == NULL) return;
    pg_free(connection->pg);
    if (connection->retry != NULL) event_free(connection->retry);
    PQclear(connection->answer);
    free(connection->reason);
    free(connection->detail);
    free(connection);
}
