/* Happy path: a lane (one connection) that is idle takes what is waiting in one of its queues, sends it as one unit, and at
 * the sync tells each write that it is done.
 *
 * Failure modes, all of which end in "put the batch back and try again" after something was changed:
 *   the connection is lost, or the server is short of something   nothing; the offset and the command ids make a repeat harmless
 *   SS001, another consumer moved an offset                       what is below the offset is dropped as settled
 *   SS002, writes are refused                                     their doors replace or withdraw them
 *   22/23, a row that cannot be stored                            the batch is halved until the row is alone, then refused */
#include "store/writer.h"

#include <inttypes.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/failpoint.h"
#include "driver/log.h"
#include "driver/metrics.h"
#include "store/batch.h"

enum {
    LANES = 2,
    HTTP_QUEUE_MAX = 4096,
    IDS_IN_BLOCK = 1000,         /* the sequence's increment */
    BATCH_FULL_BYTES = 1 << 20,  /* a batch takes no further row beyond this */
    UNIT_TIMEOUT_MS = 15000,
    TICK_MS = 250,
    RETRY_FIRST_MS = 20,
    RETRY_MAX_MS = 2000
};

static const struct pg_statement statements[] = {
    {"write", batch_statement_sql},
    {"ids", "SELECT nextval('schedule_id_blocks')"},
};

/* FIFO of writes. */
struct queue {
    struct write *first;
    struct write *last;
    size_t len;
};

enum lane_state { LANE_AWAY, LANE_IDLE, LANE_TAKING_IDS, LANE_WRITING, LANE_PAUSED };

static const char *const lane_state_names[] = {"away", "idle", "taking ids", "writing", "paused"};

struct lane {
    struct writer *writer;
    struct pg *pg;
    enum lane_state state;
    struct queue commands;
    struct queue sent;          /* the batch under way, or empty */
    struct queue *sent_from;    /* where it goes back to */
    struct batch *batch;
    struct event *retry;
    int64_t retry_ms;
    int64_t id_next;            /* ids in hand: id_next up to id_end */
    int64_t id_end;
    size_t rows_max;            /* of the next batch; halved to find a poison row */
    bool http_next;             /* whose turn it is */
    int64_t created_us;
    int64_t sent_us;
    /* What the unit under way answered. */
    enum status outcome;
    char *detail;               /* of SS001 and SS002; owned */
};

struct writer {
    struct event_base *base;
    struct event_context events;
    struct pg_config pg;
    struct queue http;
    struct lane lanes[LANES];
    struct event *kick;
    struct event *tick;
    bool open;
};

/* ---- metrics ---- */

static const int64_t row_buckets[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 0};
static const int64_t time_buckets_us[] = {250,   500,    1000,   2000,   4000,    8000,    16000, 32000,
                                          64000, 128000, 256000, 512000, 1024000, 4096000, 0};
static struct metric batch_rows = {.type = METRIC_HISTOGRAM, .name = "schedule_batch_rows", .labels = "",
                                   .help = "Writes in one transaction.", .buckets = row_buckets};
static struct metric commit_time = {.type = METRIC_HISTOGRAM, .name = "schedule_commit_seconds", .labels = "",
                                    .help = "Time from sending a transaction to its commit.", .scale = 1e-6,
                                    .buckets = time_buckets_us};
static struct metric retries = {.type = METRIC_COUNTER, .name = "schedule_batch_retries_total", .labels = "",
                                .help = "Transactions that were tried again."};
static struct metric queued = {.type = METRIC_GAUGE, .name = "schedule_writes_pending", .labels = "",
                               .help = "Writes submitted and not settled."};
static struct metric lanes_ready = {.type = METRIC_GAUGE, .name = "schedule_database_connections_ready", .labels = "",
                                    .help = "Write connections that are usable."};

static void collect(void *ctx)
{
    const struct writer *writer = ctx;
    int64_t ready = 0;
    for (int i = 0; i < LANES; i++) ready += pg_is_ready(writer->lanes[i].pg);
    metric_set(&queued, (int64_t)writer_pending(writer));
    metric_set(&lanes_ready, ready);
}

/* ---- queues ---- */

static void queue_add(struct queue *queue, struct write *write)
{
    write->next = NULL;
    if (queue->last == NULL) queue->first = write;
    else queue->last->next = write;
    queue->last = write;
    queue->len++;
}

static struct write *queue_take(struct queue *queue)
{
    struct write *write = queue->first;
    if (write == NULL) return NULL;
    queue->first = write->next;
    if (queue->first == NULL) queue->last = NULL;
    queue->len--;
    return write;
}

/* Puts all of front before what queue holds. */
static void queue_put_back(struct queue *queue, struct queue *front)
{
    if (front->first == NULL) return;
    front->last->next = queue->first;
    queue->first = front->first;
    if (queue->last == NULL) queue->last = front->last;
    queue->len += front->len;
    *front = (struct queue){0};
}

/* ---- lanes ---- */

/* The one place that moves a lane's state. */
static void enter(struct lane *lane, enum lane_state state)
{
    if (log_enabled(LOG_LEVEL_DEBUG) && state != lane->state) {
        LOG_DEBUG("lane", LOG_INT("lane", lane - lane->writer->lanes), LOG_STR("from", lane_state_names[lane->state]),
                  LOG_STR("to", lane_state_names[state]), LOG_INT("rows", lane->sent.len));
    }
    lane->state = state;
}

static void kick(struct writer *writer)
{
    event_active(writer->kick, EV_TIMEOUT, 0);
}

static void clear_sent_offsets(const struct queue *sent)
{
    for (const struct write *write = sent->first; write != NULL; write = write->next) {
        if (write->partition != NULL) write->partition->sent_next = 0;
    }
}

static void put_back(struct lane *lane)
{
    clear_sent_offsets(&lane->sent);
    if (lane->sent_from != NULL) queue_put_back(lane->sent_from, &lane->sent);
}

static void settle(struct write *write, enum status status)
{
    write->ops->done(write, status);
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
    batch_start(lane->batch, lane->created_us);
    while (queue->first != NULL && lane->sent.len < lane->rows_max && batch_bytes(lane->batch) < BATCH_FULL_BYTES) {
        struct write *write = queue->first;
        bool needs_id = write->record.len == 0;
        if (is_settled(write)) {
            write->schedule_id = 0;
            settle(queue_take(queue), STATUS_DUPLICATE);
            continue;
        }
        if (needs_id && lane->id_next == lane->id_end) break;
        queue_add(&lane->sent, queue_take(queue));
        if (write->partition != NULL) write->partition->sent_next = write->offset + 1;
        write->schedule_id = needs_id ? lane->id_next++ : 0;
        write->created_us = lane->created_us;
        if (batch_add(lane->batch, write, write->schedule_id) != STATUS_OK) return STATUS_NO_MEMORY;
    }
    add_offsets(lane);
    return STATUS_OK;
}

static void pause_lane(struct lane *lane, const char *reason)
{
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
        put_back(lane);
        pause_lane(lane, "out of memory");
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

static struct queue *choose_queue(struct lane *lane)
{
    struct queue *http = &lane->writer->http;
    lane->http_next = !lane->http_next;
    if (lane->commands.first == NULL) return http;
    return lane->http_next && http->first != NULL ? http : &lane->commands;
}

/* Sends what is waiting, if the lane is free to. */
static void serve(struct lane *lane)
{
    if (lane->state != LANE_IDLE || !lane->writer->open) return;
    struct queue *queue = choose_queue(lane);
    if (queue->first == NULL) return;
    if (lane->id_next == lane->id_end) {
        take_ids(lane);
        return;
    }
    lane->created_us = clock_wall_us();
    lane->sent_from = queue;
    if (fill_batch(lane, queue) != STATUS_OK) {
        put_back(lane);
        pause_lane(lane, "out of memory");
    } else if (lane->sent.len > 0) {
        send_batch(lane);
    } else {
        kick(lane->writer);
    }
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
    struct writer *writer = ctx;
    (void)fd;
    (void)what;
    for (int i = 0; i < LANES; i++) serve(&writer->lanes[i]);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
    struct lane *lane = ctx;
    (void)fd;
    (void)what;
    enter(lane, pg_is_ready(lane->pg) ? LANE_IDLE : LANE_AWAY);
    kick(lane->writer);
}

/* ---- what the database said ---- */

static struct write *nth(const struct queue *queue, int64_t ordinal)
{
    struct write *write = queue->first;
    for (; write != NULL && ordinal > 1; ordinal--) write = write->next;
    return write;
}

/* Rows are the writes that were stored before, with the original's id. */
static void read_originals(struct lane *lane, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++) {
        struct write *write = nth(&lane->sent, pg_get_int8(PQgetvalue(result, row, 0)));
        if (write == NULL) continue;
        write->schedule_id = pg_get_int8(PQgetvalue(result, row, 1));
        write->created_us = 0;
    }
}

static void read_failure(struct lane *lane, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    lane->outcome = pg_result_status(result);
    if (sqlstate != NULL && strcmp(sqlstate, "SS001") == 0) lane->outcome = STATUS_OFFSET_MOVED;
    if (sqlstate != NULL && strcmp(sqlstate, "SS002") == 0) lane->outcome = STATUS_INVALID;
    free(lane->detail);
    lane->detail = strdup(detail == NULL ? "" : detail);
    LOG_AT(lane->outcome == STATUS_INVALID ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "transaction failed",
           LOG_STR("sqlstate", sqlstate == NULL ? "" : sqlstate),
           LOG_STR("reason", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)), LOG_INT("rows", lane->sent.len));
}

static void on_result(void *ctx, const PGresult *result)
{
    struct lane *lane = ctx;
    if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED) return;
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        read_failure(lane, result);
    } else if (lane->state == LANE_TAKING_IDS) {
        lane->id_next = pg_get_int8(PQgetvalue(result, 0, 0));
        lane->id_end = lane->id_next + IDS_IN_BLOCK;
    } else {
        read_originals(lane, result);
    }
}

static void settle_stored(struct lane *lane)
{
    FAILPOINT("store.after_commit");
    metric_observe(&commit_time, clock_steady_us() - lane->sent_us);
    metric_observe(&batch_rows, (int64_t)lane->sent.len);
    lane->rows_max = lane->rows_max * 2 < BATCH_ROWS_MAX ? lane->rows_max * 2 : BATCH_ROWS_MAX;
    lane->retry_ms = RETRY_FIRST_MS;
    clear_sent_offsets(&lane->sent);
    for (struct write *write; (write = queue_take(&lane->sent)) != NULL;) {
        if (write->partition != NULL) write->partition->next_offset = write->offset + 1;
        settle(write, write->created_us == 0 ? STATUS_DUPLICATE : STATUS_OK);
    }
}

/* The ordinal-th different partition of the batch, counted as add_offsets counted them. */
static struct partition *nth_partition(const struct queue *queue, int64_t ordinal)
{
    for (const struct write *write = queue->first; write != NULL; write = write->next) {
        const struct write *earlier = queue->first;
        while (earlier != write && earlier->partition != write->partition) earlier = earlier->next;
        if (earlier == write && --ordinal == 0) return write->partition;
    }
    return NULL;
}

/* Ends every write of the partition in the queue. */
static void drop_partition(struct queue *queue, const struct partition *partition)
{
    struct queue all = *queue;
    *queue = (struct queue){0};
    for (struct write *write; (write = queue_take(&all)) != NULL;) {
        if (write->partition == partition) settle(write, STATUS_OFFSET_MOVED);
        else queue_add(queue, write);
    }
}

/* Forward: what was settled elsewhere is dropped when it is taken next. Backward (an operator's reset, a database restored):
 * the door has to read again from there, so nothing of the partition may go on. Neither: its row is gone, and is made anew when
 * the door reads again. */
static void settle_moved(struct lane *lane)
{
    struct partition *backward[BATCH_ROWS_MAX];
    size_t backward_len = 0;
    for (char *p = lane->detail; p != NULL && *p != '\0';) {
        int64_t ordinal = strtoll(p, &p, 10);
        int64_t stored = *p == ':' ? strtoll(p + 1, &p, 10) : 0;
        struct partition *partition = nth_partition(&lane->sent, ordinal);
        if (*p == ',') p++;
        if (partition == NULL) break;
        if (stored <= partition->next_offset) backward[backward_len++] = partition;
        LOG_WARN("stored offset is another", LOG_STR("topic", partition->topic), LOG_INT("partition", partition->number),
                 LOG_INT("expected", partition->next_offset), LOG_INT("stored", stored));
        partition->next_offset = stored;
    }
    put_back(lane);
    for (size_t i = 0; i < backward_len; i++) drop_partition(&lane->commands, backward[i]);
}

/* Asks the doors of refused writes; those that are not replaced leave the batch. */
static void settle_refused(struct lane *lane)
{
    struct queue all = lane->sent;
    const char *p = lane->detail == NULL ? "" : lane->detail;
    int64_t ordinal = 0;
    lane->sent = (struct queue){0};
    for (struct write *write; (write = queue_take(&all)) != NULL;) {
        char *word = NULL;
        bool refused = ++ordinal == strtoll(p, &word, 10);
        if (!refused) {
            queue_add(&lane->sent, write);
            continue;
        }
        enum status status = strncmp(word, ":member", 7) == 0 ? STATUS_NOT_A_MEMBER : STATUS_CONFLICT;
        const char *comma = strchr(word, ',');
        p = comma == NULL ? "" : comma + 1;
        if (write->ops->refuse(write, status)) queue_add(&lane->sent, write);
        else settle(write, status);
    }
    put_back(lane);
}

static void settle_unstorable(struct lane *lane)
{
    struct write *write = lane->sent.first;
    lane->rows_max = lane->sent.len > 1 ? lane->sent.len / 2 : BATCH_ROWS_MAX;
    bool alone = lane->sent.len == 1;
    if (alone && write->record.len > 0) {
        put_back(lane);
        pause_lane(lane, "the database refuses a rejection or dead letter");
        return;
    }
    if (alone && !write->ops->refuse(write, STATUS_UNSTORABLE)) settle(queue_take(&lane->sent), STATUS_UNSTORABLE);
    put_back(lane);
}

static void on_sync(void *ctx)
{
    struct lane *lane = ctx;
    enum lane_state was = lane->state;
    enter(lane, LANE_IDLE);
    bool short_of_something = lane->outcome == STATUS_UNAVAILABLE || (was == LANE_TAKING_IDS && lane->outcome != STATUS_OK);
    if (short_of_something) {
        put_back(lane);
        pause_lane(lane, "the database is short of something");
    } else if (was == LANE_WRITING) {
        switch (lane->outcome) {
        case STATUS_OK: settle_stored(lane); break;
        case STATUS_OFFSET_MOVED: settle_moved(lane); break;
        case STATUS_INVALID: settle_refused(lane); break;
        default: settle_unstorable(lane); break;
        }
    }
    serve(lane);
}

static void on_ready(void *ctx)
{
    struct lane *lane = ctx;
    enter(lane, LANE_IDLE);
    serve(lane);
}

static void on_lost(void *ctx)
{
    struct lane *lane = ctx;
    put_back(lane);
    event_del(lane->retry);
    lane->id_next = lane->id_end = 0; /* a failed-over server may have an older sequence */
    enter(lane, LANE_AWAY);
    metric_add(&retries, 1);
}

/* Gives up HTTP writes whose time is over. */
static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct writer *writer = ctx;
    int64_t now = clock_steady_us();
    (void)fd;
    (void)what;
    struct queue all = writer->http;
    writer->http = (struct queue){0};
    for (struct write *write; (write = queue_take(&all)) != NULL;) {
        if (write->deadline_us != 0 && write->deadline_us < now) settle(write, STATUS_UNAVAILABLE);
        else queue_add(&writer->http, write);
    }
}

/* ---- life cycle and operations ---- */

static bool lane_start(struct writer *writer, struct lane *lane)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    lane->writer = writer;
    lane->rows_max = BATCH_ROWS_MAX;
    lane->retry_ms = RETRY_FIRST_MS;
    lane->batch = batch_new(&writer->events);
    lane->retry = evtimer_new(writer->base, on_retry, lane);
    lane->pg = pg_new(writer->base, &writer->pg, &handler, lane);
    return lane->batch != NULL && lane->retry != NULL && lane->pg != NULL;
}

struct writer *writer_new(struct event_base *base, const struct writer_config *config)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) return NULL;
    writer->base = base;
    writer->events = config->events;
    writer->pg = (struct pg_config){
        .url = config->database_url,
        .application_name = "schedule-service writer",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    writer->kick = evtimer_new(base, on_kick, writer);
    writer->tick = event_new(base, -1, EV_PERSIST, on_tick, writer);
    bool ok = writer->kick != NULL && writer->tick != NULL;
    for (int i = 0; ok && i < LANES; i++) ok = lane_start(writer, &writer->lanes[i]);
    if (!ok) {
        writer_free(writer);
        return NULL;
    }
    event_add(writer->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
    metrics_register(&batch_rows);
    metrics_register(&commit_time);
    metrics_register(&retries);
    metrics_register(&queued);
    metrics_register(&lanes_ready);
    metrics_on_collect(collect, writer);
    return writer;
}

void writer_free(struct writer *writer)
{
    if (writer == NULL) return;
    for (int i = 0; i < LANES; i++) {
        pg_free(writer->lanes[i].pg);
        batch_free(writer->lanes[i].batch);
        if (writer->lanes[i].retry != NULL) event_free(writer->lanes[i].retry);
        free(writer->lanes[i].detail);
    }
    if (writer->kick != NULL) event_free(writer->kick);
    if (writer->tick != NULL) event_free(writer->tick);
    free(writer);
}

static struct lane *lane_of(struct writer *writer, const struct partition *partition)
{
    return &writer->lanes[(unsigned)partition->number % LANES];
}

enum status writer_submit(struct writer *writer, struct write *write)
{
    if (!writer->open && write->partition == NULL) return STATUS_UNAVAILABLE;
    if (write->partition != NULL) {
        queue_add(&lane_of(writer, write->partition)->commands, write);
    } else if (writer->http.len >= HTTP_QUEUE_MAX) {
        return STATUS_OVERLOADED;
    } else {
        queue_add(&writer->http, write);
    }
    kick(writer);
    return STATUS_OK;
}

void writer_open(struct writer *writer, bool open)
{
    writer->open = open;
    kick(writer);
}

void writer_drop_partition(struct writer *writer, const struct partition *partition)
{
    drop_partition(&lane_of(writer, partition)->commands, partition);
}

bool writer_is_ready(const struct writer *writer)
{
    for (int i = 0; i < LANES; i++) {
        if (pg_is_ready(writer->lanes[i].pg)) return true;
    }
    return false;
}

size_t writer_pending(const struct writer *writer)
{
    size_t pending = writer->http.len;
    for (int i = 0; i < LANES; i++) pending += writer->lanes[i].commands.len + writer->lanes[i].sent.len;
    return pending;
}
