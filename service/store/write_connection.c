#include "store/write_connection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/failpoint.h"
#include "driver/log.h"
#include "driver/metrics.h"

enum {
    IDS_IN_BLOCK = 1000, /* the sequence's increment */
    MISSES_MAX = 2,      /* the first may be a promoted server's whom the watch has not seen yet */
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
        LOG_DEBUG("write connection", LOG_STR("purpose", write_purpose_names[connection->pool->purpose]),
                  LOG_INT("number", connection->number), LOG_STR("from", state_names[connection->state]),
                  LOG_STR("to", state_names[state]), LOG_INT("batches", connection->batches_len));
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

/* Of what is under way still. */
static void note_oldest(const struct write_batch *batch)
{
    for (size_t row = batch->rows_len; row > 0; row--) {
        const struct pending_write *pending_write = batch->rows[row - 1];
        if (pending_write != NULL && pending_write->partition != NULL)
            pending_write->partition->sent_us = pending_write->submitted_us;
    }
}

static void forget_sent(struct partition *partition)
{
    if (--partition->sent_batches > 0) return;
    partition->sent_next = 0;
    partition->sent_us = 0;
    partition->sent_in = NULL;
}

void write_connection_end_batch(struct write_batch *batch)
{
    struct write_connection *connection = batch->connection;
    for (size_t i = 0; i < batch->partitions_len; i++) forget_sent(batch->partitions[i]);
    if (batch->is_patient) connection->pool->patient--;
    batch->is_alone = batch->is_patient = false;
    batch->rows_len = batch->partitions_len = 0;
    PQclear(batch->answer);
    batch->answer = NULL;
    if (batch == connection->batches[0]) { /* the next one is the oldest now */
        connection->batches[0] = connection->batches[1];
        connection->batches[1] = batch;
    }
    connection->batches_len--;
    if (connection->batches_len > 0) note_oldest(connection->batches[0]);
}

struct pending_write *write_connection_alone(const struct write_connection *connection)
{
    const struct write_batch *batch = connection->batches[0];
    return batch->is_alone && connection->pool->purpose == WRITE_HTTP && batch->rows_len > 0 ? batch->rows[0] : NULL;
}

/* ---- sending ---- */

bool write_connection_has_id(struct write_connection *connection)
{
    if (connection->id_next == connection->id_end && connection->id_spare != 0) {
        connection->id_next = connection->id_spare;
        connection->id_end = connection->id_next + IDS_IN_BLOCK;
        connection->id_spare = 0;
    }
    return connection->id_next < connection->id_end;
}

/* One that is in the way gets more time, as it holds up none but its own; over HTTP as much as it has left. */
static bool send_patience(struct write_batch *batch)
{
    char lock_ms[24];
    char statement_ms[24];
    int64_t lock = PATIENT_LOCK_MS;
    int64_t statement = PATIENT_STATEMENT_MS;
    int64_t deadline_us = batch->rows[0]->deadline_us;
    if (deadline_us != 0) {
        int64_t left_ms = (deadline_us - clock_steady_us()) / 1000;
        if (left_ms < lock) lock = left_ms < 1 ? 1 : left_ms;
        if (left_ms < statement) statement = left_ms < 1 ? 1 : left_ms;
    }
    snprintf(lock_ms, sizeof(lock_ms), "%" PRId64, lock);
    snprintf(statement_ms, sizeof(statement_ms), "%" PRId64, statement);
    const struct pg_param params[] = {{lock_ms, (int)strlen(lock_ms), false},
                                      {statement_ms, (int)strlen(statement_ms), false}};
    return pg_send(batch->connection->pg, "patience", params, 2, true);
}

/* The next block comes along, so that the connection does not wait for it. */
static bool send_for_ids(struct write_connection *connection)
{
    if (connection->id_spare != 0 || connection->is_asking_ids) return true;
    connection->is_asking_ids = true;
    return pg_send(connection->pg, "ids", NULL, 0, true);
}

/* False: memory is out, and the batch was put back. */
static bool send_batch(struct write_batch *batch)
{
    struct write_connection *connection = batch->connection;
    struct pg_param params[BATCH_PARAMS];
    write_outcome_forget(batch);
    batch->sent_us = clock_steady_us();
    if (!batch_params(connection->pool->shared->batch, params)) {
        write_outcome_put_back(batch);
        return false;
    }
    enter(connection, CONNECTION_WRITING);
    if (!send_for_ids(connection)) return true;                                     /* on_lost follows */
    if (batch->is_patient && !send_patience(batch)) return true;                    /* likewise */
    if (!pg_send(connection->pg, "write", params, BATCH_PARAMS, true)) return true; /* likewise */
    FAILPOINT("store.before_sync");
    (void)pg_sync(connection->pg); /* likewise */
    return true;
}

static void take_ids(struct write_connection *connection)
{
    enter(connection, CONNECTION_TAKING_IDS);
    write_outcome_forget(connection->batches[0]);
    if (pg_send(connection->pg, "ids", NULL, 0, true)) (void)pg_sync(connection->pg);
}

/* A connection may lead to another server than the last one did, or than the watch's: each asks for itself, once for each mark. */
static void look(struct write_connection *connection)
{
    const struct writer_shared *shared = connection->pool->shared;
    if (connection->looked_at == shared->marks) return;
    connection->looked_at = shared->marks;
    enter(connection, CONNECTION_LOOKING);
    write_outcome_forget(connection->batches[0]);
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

/* One batch behind another: only a full one, as a smaller one would be fuller by the time that the other is answered. */
static bool may_send_another(const struct write_connection *connection)
{
    return connection->state == CONNECTION_WRITING && connection->pool->purpose != WRITE_HTTP && connection->is_at_mark &&
           connection->batches_len < CONNECTION_BATCHES_MAX && !connection->batches[0]->is_alone &&
           write_pool_has_rows(connection->pool, connection, BATCH_ROWS_MAX);
}

static void send_next(struct write_connection *connection, bool only_own)
{
    struct write_pool *pool = connection->pool;
    struct write_batch *batch = connection->batches[connection->batches_len++];
    bool is_only = connection->batches_len == 1;
    batch_start(pool->shared->batch, clock_wall_us());
    enum status status = write_batch_fill(batch, only_own);
    if (batch->is_patient) pool->patient++;
    if (status == STATUS_OK && batch->rows_len == 0) {
        write_connection_end_batch(batch);
    } else if (status == STATUS_TOO_LARGE && is_only) { /* as a row that the database refuses */
        write_outcome_forget(batch);
        batch->outcome = STATUS_UNSTORABLE;
        write_outcome_complete(batch);
        write_pool_kick(pool);
    } else if (status != STATUS_OK) {
        write_outcome_put_back(batch);
        if (is_only) write_connection_pause(connection, "out of memory");
    } else if (!send_batch(batch) && is_only) {
        write_connection_pause(connection, "out of memory");
    }
}

void write_connection_serve(struct write_connection *connection, bool only_own)
{
    if (!connection->pool->shared->open) return;
    if (may_send_another(connection)) send_next(connection, true);
    if (connection->state != CONNECTION_IDLE) return;
    if (!connection->is_at_mark) look(connection);
    else if (has_work(connection) && !write_connection_has_id(connection)) take_ids(connection);
    else if (has_work(connection)) send_next(connection, only_own);
}

void write_connection_expire(struct write_connection *connection, int64_t now_us)
{
    struct write_batch *batch = connection->batches[0]; /* of HTTP there is no other */
    for (size_t i = 0; i < batch->rows_len; i++) {
        struct pending_write *pending_write = batch->rows[i];
        if (pending_write == NULL || pending_write->deadline_us == 0 || pending_write->deadline_us > now_us) continue;
        batch->rows[i] = NULL;
        write_pool_complete(connection->pool, pending_write, STATUS_UNKNOWN_OUTCOME);
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

static void read_ids(struct write_connection *connection, const PGresult *result)
{
    connection->id_spare = pg_get_int8(PQgetvalue(result, 0, 0));
    connection->is_asking_ids = false;
}

static void on_result(void *ctx, const PGresult *result)
{
    struct write_connection *connection = ctx;
    bool is_ok = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (is_ok && connection->state == CONNECTION_LOOKING) on_position(connection, result);
    else if (is_ok && PQnfields(result) == 1) read_ids(connection, result);
    else write_outcome_read(connection->batches[connection->answered], result);
}

/* A database that is read-only stays so for longer than a request waits: all that wait are told at once. */
static void refuse_if_read_only(struct write_connection *connection, const struct write_batch *batch)
{
    bool is_read_only = batch->outcome != STATUS_OK && strcmp(batch->sqlstate, "25006") == 0;
    if (is_read_only && connection->pool->purpose == WRITE_HTTP) write_pool_expire(connection->pool, INT64_MAX);
}

static void note_stored(const struct write_batch *batch)
{
    metric_observe(&commit_time, clock_steady_us() - batch->sent_us);
    metric_observe(&batch_rows, (int64_t)batch->rows_len);
}

/* The last one under way is answered. What failed goes back last first, so that it comes first again; behind one that failed nothing was
 * tried. */
static bool complete_batches(struct write_connection *connection)
{
    bool is_short = false;
    while (connection->batches_len > 0) {
        struct write_batch *batch = connection->batches[connection->batches_len - 1];
        is_short = is_short || batch->is_short;
        if (batch->outcome == STATUS_OK || connection->batches_len == 1) write_outcome_complete(batch);
        else write_outcome_put_back(batch);
    }
    connection->answered = 0;
    return is_short;
}

static void on_written(struct write_connection *connection)
{
    struct write_batch *batch = connection->batches[connection->answered];
    bool is_stored = batch->outcome == STATUS_OK;
    bool is_last = connection->answered + 1 == connection->batches_len;
    connection->is_asking_ids = connection->is_asking_ids && !is_last;
    if (is_stored) note_stored(batch);
    if (is_stored) connection->retry_ms = 0;
    else metric_add(&retries, 1);
    if (!is_last) {
        if (is_stored) write_outcome_complete(batch);
        else connection->answered++;
        return;
    }
    enter(connection, CONNECTION_IDLE);
    bool is_short = complete_batches(connection);
    refuse_if_read_only(connection, batch);
    if (is_short) write_connection_pause(connection, "the database is short of something");
}

static void on_asked(struct write_connection *connection)
{
    struct write_batch *answer = connection->batches[0];
    enter(connection, CONNECTION_IDLE);
    connection->is_asking_ids = false;
    if (answer->outcome == STATUS_OK) {
        connection->retry_ms = 0;
        return;
    }
    metric_add(&retries, 1);
    refuse_if_read_only(connection, answer);
    write_connection_pause(connection, "the database is short of something");
}

static void on_sync(void *ctx)
{
    struct write_connection *connection = ctx;
    if (connection->state == CONNECTION_WRITING) on_written(connection);
    else on_asked(connection);
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

static void lose_batches(struct write_connection *connection)
{
    while (connection->batches_len > 0) {
        struct write_batch *batch = connection->batches[connection->batches_len - 1];
        for (size_t i = 0; i < batch->rows_len; i++) {
            if (batch->rows[i] != NULL) batch->rows[i]->is_doubtful = true;
        }
        snprintf(batch->sqlstate, sizeof(batch->sqlstate), "%s", "08006");
        if (connection->batches_len > 1) write_outcome_put_back(batch);
        else write_outcome_fail(batch);
    }
    connection->answered = 0;
}

static void on_lost(void *ctx)
{
    struct write_connection *connection = ctx;
    lose_batches(connection);
    event_del(connection->retry);
    connection->id_next = connection->id_end = connection->id_spare =
        0; /* a failed-over server may have an older sequence */
    connection->is_asking_ids = false;
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
    bool ok = true;
    for (size_t i = 0; i < CONNECTION_BATCHES_MAX; i++) {
        connection->batches[i] = calloc(1, sizeof(*connection->batches[i]));
        ok = ok && connection->batches[i] != NULL;
        if (ok) connection->batches[i]->connection = connection;
    }
    connection->retry = evtimer_new(pool->shared->base, on_retry, connection);
    if (ok) connection->pg = pg_new(pool->shared->base, &connection->pg_config, &handler, connection);
    if (connection->retry != NULL && connection->pg != NULL) return connection;
    write_connection_free(connection);
    return NULL;
}

static void batch_done(struct write_batch *batch)
{
    if (batch == NULL) return;
    PQclear(batch->answer);
    free(batch->reason);
    free(batch->detail);
    free(batch);
}

void write_connection_free(struct write_connection *connection)
{
    if (connection == NULL) return;
    if (connection->pg != NULL) pg_free(connection->pg);
    if (connection->retry != NULL) event_free(connection->retry);
    for (size_t i = 0; i < CONNECTION_BATCHES_MAX; i++) batch_done(connection->batches[i]);
    free(connection);
}
