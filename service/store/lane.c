#include "store/lane.h"

#include <stdlib.h>

#include "driver/clock.h"
#include "driver/failpoint.h"
#include "driver/log.h"
#include "driver/metrics.h"

enum {
    IDS_IN_BLOCK = 1000,        /* the sequence's increment */
    BATCH_FULL_BYTES = 1 << 20, /* a batch takes no further row beyond this */
    HTTP_CHANGES_MAX = 32,      /* of a batch: their states come back */
    RETRY_FIRST_MS = 20,
    RETRY_MAX_MS = 2000
};

static const char *const state_names[] = {"away", "idle", "taking ids", "writing", "paused"};

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
                                .help = "Transactions that were tried again."};

/* The one place that moves a lane's state. */
static void enter(struct lane *lane, enum lane_state state)
{
    if (log_enabled(LOG_LEVEL_DEBUG) && state != lane->state) {
        LOG_DEBUG("lane", LOG_STR("from", state_names[lane->state]), LOG_STR("to", state_names[state]),
                  LOG_INT("rows", lane->sent.len));
    }
    lane->state = state;
}

static void kick(struct lane *lane)
{
    event_active(lane->shared->kick, EV_TIMEOUT, 0);
}

void lane_put_back(struct lane *lane)
{
    lane_forget_states(lane);
    queue_clear_sent_offsets(&lane->sent);
    if (lane->sent_from != NULL) queue_put_back(lane->sent_from, &lane->sent);
}

/* A command below its partition's offset was settled by another consumer or by an earlier try of ours; one below the batch's
 * offset is in that batch, and was read a second time after the partition was assigned anew. */
static bool is_settled(const struct write *write)
{
    const struct partition *partition = write->partition;
    return partition != NULL && (write->offset < partition->next_offset || write->offset < partition->sent_next);
}

/* Tells the partitions of the batch apart and adds their offsets. A batch spans few of them. */
static void add_offsets(struct lane *lane)
{
    for (struct write *write = lane->sent.first; write != NULL && write->partition != NULL; write = write->next) {
        bool seen = false;
        for (const struct write *earlier = lane->sent.first; earlier != write && !seen; earlier = earlier->next) {
            seen = earlier->partition == write->partition;
        }
        if (seen) continue;
        batch_add_offset(lane->batch, write->partition, write->partition->sent_next);
    }
}

/* Moves writes from queue into the batch while there is room. */
static enum status fill_batch(struct lane *lane, struct queue *queue)
{
    size_t changes = 0;
    batch_start(lane->batch, clock_wall_us());
    while (queue->first != NULL && lane->sent.len < lane->rows_max && batch_bytes(lane->batch) < BATCH_FULL_BYTES) {
        struct write *write = queue->first;
        bool is_change = write->kind == WRITE_COMMAND && write->command.kind != COMMAND_CREATE;
        bool needs_id = write->kind == WRITE_COMMAND && !is_change;
        if (is_settled(write)) {
            write->schedule_id = 0;
            queue_take(queue);
            write->ops->done(write, STATUS_DUPLICATE);
            continue;
        }
        if (needs_id && lane->id_next == lane->id_end) break;
        if (is_change && write->partition == NULL && ++changes > HTTP_CHANGES_MAX) break;
        queue_add(&lane->sent, queue_take(queue));
        if (write->partition != NULL) write->partition->sent_next = write->offset + 1;
        write->schedule_id = needs_id ? lane->id_next++ : write->command.schedule_id;
        write->is_repeat = false;
        write->state = (struct slice){NULL, 0};
        enum status status = batch_add(lane->batch, write, write->schedule_id);
        if (status != STATUS_OK) return status;
    }
    add_offsets(lane);
    return STATUS_OK;
}

void lane_pause(struct lane *lane, const char *reason)
{
    if (lane->retry_ms == 0) lane->retry_ms = RETRY_FIRST_MS;
    struct timeval after = {.tv_sec = lane->retry_ms / 1000, .tv_usec = lane->retry_ms % 1000 * 1000};
    LOG_WARN("batch put back", LOG_STR("reason", reason), LOG_INT("retry_in_ms", lane->retry_ms));
    metric_add(&retries, 1);
    enter(lane, LANE_PAUSED);
    event_add(lane->retry, &after);
    lane->retry_ms = lane->retry_ms * 2 < RETRY_MAX_MS ? lane->retry_ms * 2 : RETRY_MAX_MS;
}

static void send_batch(struct lane *lane)
{
    struct pg_param params[BATCH_PARAMS];
    lane->outcome = STATUS_OK;
    lane->sent_us = clock_steady_us();
    if (!batch_params(lane->batch, params)) {
        lane_put_back(lane);
        lane_pause(lane, "out of memory");
        return;
    }
    enter(lane, LANE_WRITING);
    if (!pg_send(lane->pg, "write", params, BATCH_PARAMS, true)) return; /* on_lost follows */
    FAILPOINT("store.before_sync");
    (void)pg_sync(lane->pg); /* likewise */
}

static void take_ids(struct lane *lane)
{
    enter(lane, LANE_TAKING_IDS);
    lane->outcome = STATUS_OK;
    if (pg_send(lane->pg, "ids", NULL, 0, true)) (void)pg_sync(lane->pg);
}

/* Batch by batch in turn, while there is work in both. */
static struct queue *choose_queue(struct lane *lane)
{
    struct queue *http = &lane->shared->http;
    if (lane->commands.first == NULL) return http;
    return lane->sent_from == &lane->commands && http->first != NULL ? http : &lane->commands;
}

void lane_serve(struct lane *lane)
{
    if (lane->state != LANE_IDLE || !lane->shared->open) return;
    struct queue *queue = choose_queue(lane);
    if (queue->first == NULL) return;
    if (lane->id_next == lane->id_end) {
        take_ids(lane);
        return;
    }
    lane->sent_from = queue;
    enum status filled = fill_batch(lane, queue);
    if (filled == STATUS_TOO_LARGE) { /* as a row that the database refuses */
        lane->outcome = STATUS_UNSTORABLE;
        lane_settle(lane);
        kick(lane);
    } else if (filled != STATUS_OK) {
        lane_put_back(lane);
        lane_pause(lane, "out of memory");
    } else if (lane->sent.len > 0) {
        send_batch(lane);
    } else {
        kick(lane);
    }
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
    struct lane *lane = ctx;
    (void)fd;
    (void)what;
    enter(lane, pg_is_ready(lane->pg) ? LANE_IDLE : LANE_AWAY);
    kick(lane);
}

/* ---- the connection ---- */

static void on_result(void *ctx, const PGresult *result)
{
    struct lane *lane = ctx;
    if (lane->state == LANE_TAKING_IDS && PQresultStatus(result) == PGRES_TUPLES_OK) {
        lane->id_next = pg_get_int8(PQgetvalue(result, 0, 0));
        lane->id_end = lane->id_next + IDS_IN_BLOCK;
    } else {
        lane_read_result(lane, result);
    }
}

static void on_sync(void *ctx)
{
    struct lane *lane = ctx;
    enum lane_state was = lane->state;
    enter(lane, LANE_IDLE);
    bool short_of_something = lane->outcome == STATUS_UNAVAILABLE || (was == LANE_TAKING_IDS && lane->outcome != STATUS_OK);
    if (lane->outcome == STATUS_NO_MEMORY || short_of_something) {
        lane_put_back(lane);
        lane_pause(lane, short_of_something ? "the database is short of something" : "out of memory");
    } else if (was == LANE_WRITING) {
        if (lane->outcome == STATUS_OK) {
            metric_observe(&commit_time, clock_steady_us() - lane->sent_us);
            metric_observe(&batch_rows, (int64_t)lane->sent.len);
        }
        lane_settle(lane);
    }
    lane_serve(lane);
}

static void on_ready(void *ctx)
{
    struct lane *lane = ctx;
    enter(lane, LANE_IDLE);
    lane_serve(lane);
}

static void on_lost(void *ctx)
{
    struct lane *lane = ctx;
    lane_put_back(lane);
    event_del(lane->retry);
    lane->id_next = lane->id_end = 0; /* a failed-over server may have an older sequence */
    enter(lane, LANE_AWAY);
    metric_add(&retries, 1);
}

/* ---- life cycle ---- */

void lane_metrics_register(void)
{
    metrics_register(&batch_rows);
    metrics_register(&commit_time);
    metrics_register(&retries);
}

bool lane_init(struct lane *lane, struct lane_shared *shared)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    lane->shared = shared;
    lane->rows_max = BATCH_ROWS_MAX;
    lane->batch = batch_new(&shared->events, shared->key_seconds);
    lane->retry = evtimer_new(shared->base, on_retry, lane);
    lane->pg = pg_new(shared->base, &shared->pg, &handler, lane);
    return lane->batch != NULL && lane->retry != NULL && lane->pg != NULL;
}

void lane_done(struct lane *lane)
{
    pg_free(lane->pg);
    batch_free(lane->batch);
    if (lane->retry != NULL) event_free(lane->retry);
    free(lane->detail);
    arena_free(lane->states);
}
