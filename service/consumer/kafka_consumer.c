/* Happy path: partitions are assigned -> their stored offsets are read -> fetching starts there -> messages become writes,
 * up to a maximum in flight -> each completed one makes room for the next. At a partition's end its offset is stored too where no message is
 * the last: transactions of senders leave records behind that are none.
 *
 * Failure modes: PostgreSQL away: in-flight fills up, fetching is paused, polling continues so that the group keeps this member.
 * A rebalance: what is queued of a revoked partition is dropped, what is on its way is completed by the compare-and-set. A stored
 * offset outside of the log, and a batch that librdkafka cannot read: that partition stops and says so. A stored offset that somebody else
 * has moved (an operator, a database that failed over): found by the next write, or by a look every few seconds at partitions of which nothing
 * is on its way; it is read on from there, also what was stopped. A partition that waits in the
 * writer: all but its first message is given back, so that it takes no room from others, and read again when it continues. Out of
 * memory: the message at hand is kept, which is logged and counted, and retried. */
#include "consumer/kafka_consumer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "codec/dead_letter.h"
#include "consumer/kafka_consumer_state.h"
#include "core/smaller.h"
#include "driver/log.h"

enum {
    COMMIT_EVERY_TICKS = 25,
    LOOK_EVERY_TICKS = 10, /* at stored offsets that somebody may have moved */
    LEAVE_POLL_MS = 10,
    ARENAS_KEPT_MAX = 1024 /* 2 MiB */
};

/* ---- metrics ---- */

static int64_t partition_lag(const struct kafka_consumer *consumer, const struct consumer_partition *partition)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_get_watermark_offsets(consumer->client, partition->stored.topic, partition->stored.number, &low, &high);
    int64_t next = partition->stored.next_offset > low ? partition->stored.next_offset : low;
    return high > next ? high - next : 0;
}

static void collect(void *ctx)
{
    const struct kafka_consumer *consumer = ctx;
    int64_t total_lag = 0;
    int64_t total_assigned = 0;
    int64_t total_stopped = 0;
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct consumer_partition *partition = &consumer->partitions[i];
        if (!partition->assigned) continue;
        total_assigned++;
        total_stopped += partition->stopped;
        total_lag += partition_lag(consumer, partition);
    }
    struct kafka_gauges *gauges = consumer->config->handler->gauges;
    metric_set(&gauges->lag, total_lag);
    metric_set(&gauges->assigned, total_assigned);
    metric_set(&gauges->stopped, total_stopped);
    metric_set(&gauges->in_flight, (int64_t)consumer->in_flight);
}

/* ---- the slow timer ---- */

static size_t dead_letter_room(struct kafka_consumer *consumer)
{
    return smaller(kafka_limit_bytes(consumer->dead_letter_limit, DEAD_LETTER_BYTES_UNKNOWN), DEAD_LETTER_BYTES_MAX);
}

/* Messages are of no use any more; what else is there is dealt with. */
static void serve_what_is_there(rd_kafka_t *client)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    for (size_t left = rd_kafka_queue_length(queue); left > 0; left--) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 0);
        if (message != NULL) rd_kafka_message_destroy(message);
    }
    rd_kafka_queue_destroy(queue);
}

/* In the background: what has to be called back comes to the queue. */
static void leave_group(struct kafka_consumer *consumer)
{
    consumer_commit_to_group(consumer);
    serve_what_is_there(consumer->client);
    consumer->leaving = rd_kafka_queue_new(consumer->client);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->client, consumer->leaving);
    if (error == NULL) return;
    LOG_WARN("the group is not left in order", LOG_STR("reason", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
    rd_kafka_queue_destroy(consumer->leaving);
    consumer->leaving = NULL;
}

/* Messages come too, which nobody takes any more. */
static void serve_leaving(struct kafka_consumer *consumer, int timeout_ms)
{
    for (;;) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(consumer->leaving, timeout_ms);
        if (event == NULL) return;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
            consumer_on_rebalance(consumer->client, rd_kafka_event_error(event), rd_kafka_event_topic_partition_list(event),
                                  consumer);
        }
        rd_kafka_event_destroy(event);
    }
}

/* Once nothing is in flight others may have the partitions. */
static void go_on_leaving(struct kafka_consumer *consumer)
{
    if (consumer->leaving == NULL && consumer->in_flight == 0) leave_group(consumer);
    if (consumer->leaving != NULL) serve_leaving(consumer, 0);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_consumer *consumer = ctx;
    (void)fd;
    (void)what;
    consumer_mind_waiting(consumer);
    if (consumer->draining) {
        go_on_leaving(consumer);
        return;
    }
    consumer_mind_fullness(consumer);
    consumer->context.dead_letter_bytes_max = dead_letter_room(consumer);
    consumer_store_ends(consumer);
    if (++consumer->ticks % COMMIT_EVERY_TICKS == 0) consumer_commit_to_group(consumer);
    if (consumer->ticks % LOOK_EVERY_TICKS == 0) consumer_look_at_offsets(consumer);
    consumer_take(consumer); /* in case a wake-up was lost */
}

/* The client says every few seconds how it stands with each broker (librdkafka's STATISTICS.md); there is no other way to ask it. */
static int on_statistics(rd_kafka_t *client, char *json, size_t len, void *ctx)
{
    static const char connected[] = "\"state\":\"UP\"";
    struct kafka_consumer *consumer = ctx;
    (void)client;
    consumer->is_kafka_away = memmem(json, len, connected, sizeof(connected) - 1) == NULL;
    return 0;
}

/* ---- life cycle ---- */

/* When a full fetch queue is looked at again. Older versions do so when something wakes the broker's thread, which may be a second later;
 * an answer with metadata does. */
static struct kafka_property queue_backoff(void)
{
    const int has_property = 0x020200ff;
    if (rd_kafka_version() >= has_property) return (struct kafka_property){"fetch.queue.backoff.ms", "10"};
    return (struct kafka_property){"topic.metadata.refresh.interval.ms", "100"};
}

static bool start_consumer(struct kafka_consumer *consumer)
{
    const struct kafka_property properties[] = {
        {"group.id", consumer->config->group},
        {"partition.assignment.strategy", "range"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "100"},
        {"fetch.message.max.bytes", "65536"}, /* of one partition: all of them take turns, and so both connections */
        {"fetch.error.backoff.ms", "100"},    /* until a batch that found no room is asked for again */
        {"queued.max.messages.kbytes", consumer->config->handler->queued_kbytes},
        {"queued.min.messages", consumer->config->handler->queued_messages},
        {"statistics.interval.ms", "5000"},
        queue_backoff(),
    };
    rd_kafka_conf_t *conf = kafka_conf_new(consumer->config->kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return false;
    if (!kafka_unpack_limit(conf, &consumer->unpack, consumer->config->unpacked_batch_bytes)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, consumer_on_rebalance);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    consumer->client = kafka_client_new(RD_KAFKA_CONSUMER, conf);
    if (consumer->client == NULL) return false;
    consumer->dead_letter_limit = kafka_limit_new(consumer->client, consumer->config->dead_letter_topic);
    consumer->topic_limit = kafka_limit_new(consumer->client, consumer->config->topic);
    if (consumer->dead_letter_limit == NULL || consumer->topic_limit == NULL) return false;
    rd_kafka_poll_set_consumer(consumer->client);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer->client);
    rd_kafka_queue_io_event_enable(queue, consumer->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    rd_kafka_queue_destroy(queue);
    return true;
}

static bool start_events(struct kafka_consumer *consumer)
{
    consumer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (consumer->wake_fd < 0) return false;
    consumer->wake = event_new(consumer->base, consumer->wake_fd, EV_READ | EV_PERSIST, consumer_on_wake, consumer);
    consumer->rest = evtimer_new(consumer->base, consumer_on_rested, consumer);
    consumer->tick = event_new(consumer->base, -1, EV_PERSIST, on_tick, consumer);
    consumer->offsets =
        offsets_new(consumer->base, consumer->config->database_url, consumer->config->topic, consumer_on_offsets, consumer);
    if (consumer->wake == NULL || consumer->rest == NULL || consumer->tick == NULL || consumer->offsets == NULL)
        return false;
    event_add(consumer->wake, NULL);
    event_add(consumer->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
    return true;
}

static void register_metrics(struct kafka_consumer *consumer)
{
    const struct message_handler *handler = consumer->config->handler;
    for (size_t i = 0; i < handler->results_len; i++) metrics_register(&handler->results[i]);
    metrics_register(&handler->gauges->lag);
    metrics_register(&handler->gauges->assigned);
    metrics_register(&handler->gauges->stopped);
    metrics_register(&handler->gauges->in_flight);
    metrics_register(&handler->gauges->memory_waits);
    metrics_on_collect(collect, consumer);
}

struct kafka_consumer *kafka_consumer_new(struct event_base *base, const struct kafka_consumer_config *config)
{
    struct kafka_consumer *consumer = calloc(1, sizeof(*consumer));
    if (consumer == NULL) return NULL;
    consumer->base = base;
    consumer->config = config;
    consumer->wake_fd = -1;
    consumer->context = (struct kafka_context){
        .arenas = arena_pool_new(ARENAS_KEPT_MAX),
        .handler = config->handler,
        .zones = &config->zones,
        .events = config->events,
        .dead_letter_bytes_max = DEAD_LETTER_BYTES_UNKNOWN,
    };
    if (consumer->context.arenas == NULL || !start_events(consumer) || !start_consumer(consumer)) {
        kafka_consumer_free(consumer);
        return NULL;
    }
    register_metrics(consumer);
    return consumer;
}

bool kafka_consumer_join(struct kafka_consumer *consumer)
{
    if (consumer->has_joined) return true;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, consumer->config->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer->client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) LOG_ERROR("not subscribed", LOG_STR("reason", rd_kafka_err2str(error)));
    consumer->has_joined = error == RD_KAFKA_RESP_ERR_NO_ERROR;
    return consumer->has_joined;
}

void kafka_consumer_drain(struct kafka_consumer *consumer)
{
    consumer->draining = true;
    kafka_backlog_drop_all(&consumer->backlog);
    consumer_cancel_offsets(consumer);
}

void kafka_consumer_drop(struct kafka_consumer *consumer)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        if (consumer->partitions[i].assigned) consumer_drop_taken(consumer, &consumer->partitions[i]);
    }
}

size_t kafka_consumer_pending(const struct kafka_consumer *consumer)
{
    return consumer->in_flight;
}

void kafka_consumer_degraded(const struct kafka_consumer *consumer, struct degraded *degraded)
{
    if (consumer->is_kafka_away)
        degraded_add(degraded, "Kafka is away: no broker can be reached for %s", consumer->config->topic);
    if (kafka_limit_bytes(consumer->topic_limit, 0) > consumer->unpack.packed_max) {
        degraded_add(degraded, "%s takes records that cannot be received: its max.message.bytes is above %zu",
                     consumer->config->topic, consumer->unpack.packed_max);
    }
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct consumer_partition *partition = &consumer->partitions[i];
        if (partition->assigned && partition->stopped) {
            degraded_add(degraded, "partition %d of %s is stopped", i, consumer->config->topic);
        }
    }
}

static void close_client(struct kafka_consumer *consumer)
{
    consumer->draining = true;
    if (consumer->leaving == NULL) leave_group(consumer);
    if (consumer->leaving != NULL) {
        while (!rd_kafka_consumer_closed(consumer->client)) serve_leaving(consumer, LEAVE_POLL_MS);
        rd_kafka_queue_destroy(consumer->leaving);
    }
    rd_kafka_destroy(consumer->client);
}

void kafka_consumer_free(struct kafka_consumer *consumer)
{
    if (consumer == NULL) return;
    kafka_backlog_drop_all(&consumer->backlog);
    kafka_limit_free(consumer->dead_letter_limit);
    kafka_limit_free(consumer->topic_limit);
    if (consumer->client != NULL) close_client(consumer);
    offsets_free(consumer->offsets);
    if (consumer->wake != NULL) event_free(consumer->wake);
    if (consumer->rest != NULL) event_free(consumer->rest);
    if (consumer->tick != NULL) event_free(consumer->tick);
    if (consumer->wake_fd >= 0) close(consumer->wake_fd);
    arena_pool_free(consumer->context.arenas);
    free(consumer);
}
