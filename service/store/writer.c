/* Happy path: a connection that is idle takes what is waiting in its pool, sends it as one unit, and at the sync completes each write that
 * it is done.
 *
 * Failure modes. Two are known from the answer, and end in "put the batch back" after something was changed:
 *   SS001, another consumer moved an offset   what is below the offset is dropped as completed
 *   SS002, writes are refused                 their consumers replace or withdraw them
 * All others have a cause that the answer does not name. What was in the batch is tried apart, until it is known who is in the way:
 *   22/23, a row that cannot be stored        it is refused
 *   SS003, an entry names what is being removed,
 *   a lock, a conflict, any other error       its partition waits and tries again with a growing delay; over HTTP its owner's writes
 *                                             do, up to their deadline
 *   the server is short of something          likewise, and its connection pauses too
 *   the connection is lost                    likewise; the offset and the command ids make a repeat harmless */
#include "store/writer.h"

#include <stdlib.h>

#include "driver/clock.h"
#include "driver/metrics.h"
#include "store/oldest.h"
#include "store/write_connection.h"

enum { HTTP_WRITES_MAX = 4096, UNIT_TIMEOUT_MS = 15000, TICK_MS = 50 };

static const struct pg_statement statements[] = {
    {"write", batch_statement_sql},
    {"ids", "SELECT nextval('schedule_id_blocks')"},
    {"position", "SELECT " POSITION_COLUMNS},
    {"patience", "SELECT set_config('lock_timeout', $1::text, true), set_config('statement_timeout', $2::text, true)"},
};

struct writer {
    struct writer_shared shared;
    struct event_context events;
    struct write_pool pools[WRITE_PURPOSES];
    struct event *tick;
};

static struct metric queued = {.type = METRIC_GAUGE,
                               .name = "schedule_writes_pending",
                               .labels = "",
                               .help = "Writes submitted and not completed."};
#define CONNECTIONS_READY(purpose_)                                                                                \
    {                                                                                                              \
        .type = METRIC_GAUGE, .name = "schedule_database_connections_ready", .labels = "purpose=\"" purpose_ "\"", \
        .help = "Write connections that are usable."                                                               \
    }
#define PARTITIONS_WAITING(purpose_)                                                                       \
    {                                                                                                      \
        .type = METRIC_GAUGE, .name = "schedule_partitions_waiting", .labels = "purpose=\"" purpose_ "\"", \
        .help = "Partitions that wait because their first write cannot be stored now."                     \
    }
static struct metric connections_ready[WRITE_PURPOSES] = {
    [WRITE_COMMANDS] = CONNECTIONS_READY("commands"),
    [WRITE_DIRECTORY] = CONNECTIONS_READY("directory"),
    [WRITE_HTTP] = CONNECTIONS_READY("http"),
};
static struct metric partitions_waiting[] = {
    [WRITE_COMMANDS] = PARTITIONS_WAITING("commands"),
    [WRITE_DIRECTORY] = PARTITIONS_WAITING("directory"),
};

static size_t ready_connections(const struct write_pool *pool)
{
    size_t ready = 0;
    for (size_t i = 0; i < pool->connections_len; i++) ready += pg_is_ready(pool->connections[i]->pg);
    return ready;
}

static int64_t waiting_partitions(const struct write_pool *pool)
{
    int64_t waiting = 0;
    for (const struct partition *partition = pool->first; partition != NULL; partition = partition->next) {
        waiting += partition->sent_batches == 0 && partition_is_waiting(partition);
    }
    for (size_t i = 0; i < pool->connections_len; i++) {
        const struct write_batch *batch = pool->connections[i]->batches[0];
        waiting += batch->is_alone && batch->partitions_len > 0 && partition_is_waiting(batch->partitions[0]);
    }
    return waiting;
}

static int64_t earlier(int64_t one_us, int64_t other_us)
{
    if (one_us == 0 || other_us == 0) return one_us + other_us;
    return one_us < other_us ? one_us : other_us;
}

/* Of what it has under way, and of what waits for it; but what is tried again and again is told of its partition alone. */
static int64_t oldest_of(const struct write_connection *connection)
{
    const struct write_pool *pool = connection->pool;
    const struct write_batch *batch = connection->batches[0]; /* what was sent behind it is newer */
    int64_t oldest_us = 0;
    for (size_t i = 0; i < batch->rows_len && !batch->is_patient; i++) {
        if (batch->rows[i] != NULL) oldest_us = earlier(oldest_us, batch->rows[i]->submitted_us);
    }
    for (const struct partition *partition = pool->first; partition != NULL; partition = partition->next) {
        bool is_own = (size_t)partition->number % pool->connections_len == connection->number;
        if (is_own && !partition_is_waiting(partition))
            oldest_us = earlier(oldest_us, partition->waiting.first->submitted_us);
    }
    return oldest_us;
}

/* Of a partition that is in two batches once, with the later. */
static void show_connection(const struct write_connection *connection, struct look *look)
{
    oldest_see_connection(look, write_purpose_names[connection->pool->purpose], connection->number, oldest_of(connection));
    for (size_t i = 0; i < connection->batches_len; i++) {
        const struct write_batch *batch = connection->batches[i];
        for (size_t p = 0; p < batch->partitions_len; p++) {
            const struct partition *partition = batch->partitions[p];
            if (!partition->is_listed && partition->sent_in == batch)
                oldest_see_partition(look, partition, partition->sent_us);
        }
    }
}

static void show(void *ctx, struct look *look)
{
    const struct writer *writer = ctx;
    for (int i = 0; i < WRITE_PURPOSES; i++) {
        const struct write_pool *pool = &writer->pools[i];
        for (size_t number = 0; number < pool->connections_len; number++) show_connection(pool->connections[number], look);
        for (const struct partition *partition = pool->first; partition != NULL; partition = partition->next) {
            int64_t sent_us = partition->sent_us;
            oldest_see_partition(look, partition, sent_us != 0 ? sent_us : partition->waiting.first->submitted_us);
        }
    }
}

void writer_degraded(struct writer *writer, struct degraded *degraded)
{
    oldest_degraded(show, writer, degraded);
}

static void collect(void *ctx)
{
    const struct writer *writer = ctx;
    metric_set(&queued, (int64_t)writer_pending(writer));
    for (int i = 0; i < WRITE_PURPOSES; i++)
        metric_set(&connections_ready[i], (int64_t)ready_connections(&writer->pools[i]));
    metric_set(&partitions_waiting[WRITE_COMMANDS], waiting_partitions(&writer->pools[WRITE_COMMANDS]));
    metric_set(&partitions_waiting[WRITE_DIRECTORY], waiting_partitions(&writer->pools[WRITE_DIRECTORY]));
}

/* Each connection what is its own, so that they share the work; then whoever is idle what is left. */
static void serve(struct write_pool *pool)
{
    for (int only_own = 1; only_own >= 0; only_own--) {
        for (size_t i = 0; i < pool->connections_len; i++) write_connection_serve(pool->connections[i], only_own);
    }
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
    struct writer *writer = ctx;
    (void)fd;
    (void)what;
    for (int i = 0; i < WRITE_PURPOSES; i++) serve(&writer->pools[i]);
}

static void kick(struct writer *writer)
{
    event_active(writer->shared.kick, EV_TIMEOUT, 0);
}

/* Gives up HTTP writes whose time is over, and has a look at what waits for a retry. */
static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct writer *writer = ctx;
    struct write_pool *http = &writer->pools[WRITE_HTTP];
    int64_t now_us = clock_steady_us();
    (void)fd;
    (void)what;
    for (size_t i = 0; i < http->connections_len; i++) write_connection_expire(http->connections[i], now_us);
    write_pool_expire(http, now_us);
    on_kick(-1, 0, writer);
}

/* ---- life cycle ---- */

static bool start_pool(struct writer *writer, enum write_purpose purpose, const struct writer_config *config)
{
    struct write_pool *pool = &writer->pools[purpose];
    const struct pg_config pg = {
        .url = config->database_url,
        .application_name = "schedule-service writer",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = true,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
        .statement_timeout_ms =
            config->statement_timeout_ms == 0 ? WRITE_STATEMENT_TIMEOUT_MS : config->statement_timeout_ms,
        .lock_timeout_ms = config->lock_timeout_ms == 0 ? WRITE_LOCK_TIMEOUT_MS : config->lock_timeout_ms,
    };
    *pool = (struct write_pool){.purpose = purpose, .shared = &writer->shared};
    for (size_t i = 0; i < config->connections[purpose]; i++) {
        pool->connections[i] = write_connection_new(pool, i, &pg);
        if (pool->connections[i] == NULL) return false;
        pool->connections_len++;
    }
    return true;
}

static void register_metrics(struct writer *writer)
{
    write_connection_metrics_register();
    metrics_register(&queued);
    for (int i = 0; i < WRITE_PURPOSES; i++) metrics_register(&connections_ready[i]);
    metrics_register(&partitions_waiting[WRITE_COMMANDS]);
    metrics_register(&partitions_waiting[WRITE_DIRECTORY]);
    oldest_metrics_register(show, writer);
    metrics_on_collect(collect, writer);
}

struct writer *writer_new(struct event_base *base, const struct writer_config *config)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) return NULL;
    writer->shared.base = base;
    writer->events = config->events;
    writer->shared.batch = batch_new(&writer->events, config->key_seconds, config->schedules_max);
    writer->shared.schedules_max = config->schedules_max;
    writer->shared.kick = evtimer_new(base, on_kick, writer);
    writer->tick = event_new(base, -1, EV_PERSIST, on_tick, writer);
    bool ok = writer->shared.batch != NULL && writer->shared.kick != NULL && writer->tick != NULL;
    for (int i = 0; ok && i < WRITE_PURPOSES; i++) ok = start_pool(writer, (enum write_purpose)i, config);
    if (!ok) {
        writer_free(writer);
        return NULL;
    }
    event_add(writer->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
    register_metrics(writer);
    return writer;
}

void writer_free(struct writer *writer)
{
    if (writer == NULL) return;
    for (int i = 0; i < WRITE_PURPOSES; i++) {
        struct write_pool *pool = &writer->pools[i];
        for (size_t number = 0; number < pool->connections_len; number++) write_connection_free(pool->connections[number]);
    }
    batch_free(writer->shared.batch);
    if (writer->shared.kick != NULL) event_free(writer->shared.kick);
    if (writer->tick != NULL) event_free(writer->tick);
    free(writer);
}

/* ---- operations ---- */

enum status writer_submit(struct writer *writer, struct pending_write *pending_write)
{
    struct write_pool *pool =
        &writer->pools[pending_write->partition == NULL ? WRITE_HTTP : pending_write->partition->purpose];
    if (!writer->shared.open && pending_write->partition == NULL) return STATUS_UNAVAILABLE;
    if (pending_write->partition == NULL && pool->pending >= HTTP_WRITES_MAX) return STATUS_OVERLOADED;
    write_pool_submit(pool, pending_write);
    kick(writer);
    return STATUS_OK;
}

/* Whether connections that were at the one mark are not at the other. */
static bool is_elsewhere(const struct position_mark *mark, const struct position_mark *before)
{
    return mark->system_id != before->system_id || mark->timeline != before->timeline || mark->durable < before->durable;
}

static void forget_marks(struct writer *writer)
{
    for (int i = 0; i < WRITE_PURPOSES; i++) {
        struct write_pool *pool = &writer->pools[i];
        for (size_t number = 0; number < pool->connections_len; number++) pool->connections[number]->is_at_mark = false;
    }
}

void writer_open(struct writer *writer, const struct position_mark *mark)
{
    struct writer_shared *shared = &writer->shared;
    shared->open = mark != NULL;
    if (mark == NULL) return;
    if (is_elsewhere(mark, &shared->mark)) forget_marks(writer);
    shared->mark = *mark;
    shared->marks++;
    kick(writer);
}

void writer_drop_partition(struct writer *writer, struct partition *partition)
{
    write_pool_drop(&writer->pools[partition->purpose], partition);
}

int64_t writer_shorten_partition(struct writer *writer, struct partition *partition)
{
    return write_pool_shorten(&writer->pools[partition->purpose], partition);
}

bool writer_http_is_ready(const struct writer *writer)
{
    const struct write_pool *http = &writer->pools[WRITE_HTTP];
    return ready_connections(http) == http->connections_len;
}

size_t writer_pending(const struct writer *writer)
{
    size_t pending = 0;
    for (int i = 0; i < WRITE_PURPOSES; i++) pending += writer->pools[i].pending;
    return pending;
}
