/* Happy path: a lane (one connection) that is idle takes what is waiting in one of its queues, sends it as one unit, and at
 * the sync tells each write that it is done.
 *
 * Failure modes, all of which end in "put the batch back and try again" after something was changed:
 *   the connection is lost, or the server is short of something   nothing; the offset and the command ids make a repeat harmless
 *   SS001, another consumer moved an offset                       what is below the offset is dropped as settled
 *   SS002, writes are refused                                     their doors replace or withdraw them
 *   22/23, a row that cannot be stored                            the batch is halved until the row is alone, then refused */
#include "store/writer.h"

#include <stdlib.h>

#include "driver/clock.h"
#include "driver/metrics.h"
#include "store/lane.h"
#include "store/oldest.h"

enum { LANES = 2, HTTP_QUEUE_MAX = 4096, UNIT_TIMEOUT_MS = 15000, TICK_MS = 250 };

static const struct pg_statement statements[] = {
    {"write", batch_statement_sql},
    {"ids", "SELECT nextval('schedule_id_blocks')"},
};

struct writer {
    struct lane_shared shared;
    struct lane lanes[LANES];
    struct event *tick;
};

static struct metric queued = {.type = METRIC_GAUGE,
                               .name = "schedule_writes_pending",
                               .labels = "",
                               .help = "Writes submitted and not settled."};
static struct metric lanes_ready = {.type = METRIC_GAUGE,
                                    .name = "schedule_database_connections_ready",
                                    .labels = "",
                                    .help = "Write connections that are usable."};

static void show(void *ctx, struct look *look)
{
    const struct writer *writer = ctx;
    for (int i = 0; i < LANES; i++) oldest_see(look, i, &writer->lanes[i].sent, &writer->lanes[i].commands);
}

void writer_degraded(struct writer *writer, struct degraded *degraded)
{
    oldest_degraded(show, writer, degraded);
}

static void collect(void *ctx)
{
    const struct writer *writer = ctx;
    int64_t ready = 0;
    for (int i = 0; i < LANES; i++) ready += pg_is_ready(writer->lanes[i].pg);
    metric_set(&queued, (int64_t)writer_pending(writer));
    metric_set(&lanes_ready, ready);
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
    struct writer *writer = ctx;
    (void)fd;
    (void)what;
    for (int i = 0; i < LANES; i++) lane_serve(&writer->lanes[i]);
}

static void kick(struct writer *writer)
{
    event_active(writer->shared.kick, EV_TIMEOUT, 0);
}

/* Gives up HTTP writes whose time is over. */
static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct writer *writer = ctx;
    int64_t now = clock_steady_us();
    (void)fd;
    (void)what;
    struct queue all = writer->shared.http;
    writer->shared.http = (struct queue){0};
    for (struct write *write; (write = queue_take(&all)) != NULL;) {
        if (write->deadline_us != 0 && write->deadline_us < now) write->ops->done(write, STATUS_UNAVAILABLE);
        else queue_add(&writer->shared.http, write);
    }
}

struct writer *writer_new(struct event_base *base, const struct writer_config *config)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) return NULL;
    writer->shared.base = base;
    writer->shared.events = config->events;
    writer->shared.key_seconds = config->key_seconds;
    writer->shared.pg = (struct pg_config){
        .url = config->database_url,
        .application_name = "schedule-service writer",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = true,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    writer->shared.kick = evtimer_new(base, on_kick, writer);
    writer->tick = event_new(base, -1, EV_PERSIST, on_tick, writer);
    bool ok = writer->shared.kick != NULL && writer->tick != NULL;
    for (int i = 0; ok && i < LANES; i++) ok = lane_init(&writer->lanes[i], &writer->shared);
    if (!ok) {
        writer_free(writer);
        return NULL;
    }
    event_add(writer->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
    lane_metrics_register();
    metrics_register(&queued);
    metrics_register(&lanes_ready);
    oldest_metrics_register(show, writer);
    metrics_on_collect(collect, writer);
    return writer;
}

void writer_free(struct writer *writer)
{
    if (writer == NULL) return;
    for (int i = 0; i < LANES; i++) lane_done(&writer->lanes[i]);
    if (writer->shared.kick != NULL) event_free(writer->shared.kick);
    if (writer->tick != NULL) event_free(writer->tick);
    free(writer);
}

static struct lane *lane_of(struct writer *writer, const struct partition *partition)
{
    return &writer->lanes[(unsigned)partition->number % LANES];
}

enum status writer_submit(struct writer *writer, struct write *write)
{
    write->submitted_us = clock_steady_us();
    if (!writer->shared.open && write->partition == NULL) return STATUS_UNAVAILABLE;
    if (write->partition != NULL) {
        queue_add(&lane_of(writer, write->partition)->commands, write);
    } else if (writer->shared.http.len >= HTTP_QUEUE_MAX) {
        return STATUS_OVERLOADED;
    } else {
        queue_add(&writer->shared.http, write);
    }
    kick(writer);
    return STATUS_OK;
}

void writer_open(struct writer *writer, bool open)
{
    writer->shared.open = open;
    kick(writer);
}

void writer_drop_partition(struct writer *writer, const struct partition *partition)
{
    lane_drop_partition(lane_of(writer, partition), partition);
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
    size_t pending = writer->shared.http.len;
    for (int i = 0; i < LANES; i++) pending += writer->lanes[i].commands.len + writer->lanes[i].sent.len;
    return pending;
}
