/* Happy path: partitions are assigned -> their stored offsets are read -> fetching starts there -> messages become writes,
 * up to a maximum in flight -> each settled one makes room for the next. At a partition's end its offset is stored too where no message is
 * the last: transactions of senders leave records behind that are none.
 *
 * Failure modes: PostgreSQL away: in-flight fills up, fetching is paused, polling goes on so that the group keeps this member.
 * A rebalance: what is queued of a revoked partition is dropped, what is on its way is settled by the compare-and-set. A stored
 * offset outside of the log, and a batch that librdkafka cannot read: that partition stops and says so. A stored offset that somebody else
 * has moved (an operator, a database that failed over): found by the next write, or by a look every few seconds at partitions of which nothing
 * is on its way; it is read on from there, also what was stopped. A partition that waits in the
 * writer: all but its first message is given back, so that it takes no room from others, and read again when it goes on. Out of
 * memory: the message at hand is kept, which is logged and counted, and tried again. */
#include "source/kafka_door.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "codec/dead_letter.h"
#include "core/smaller.h"
#include "driver/log.h"
#include "source/kafka_door_state.h"

enum {
    COMMIT_EVERY_TICKS = 25,
    LOOK_EVERY_TICKS = 10 /* at stored offsets that somebody may have moved */
};

/* ---- metrics ---- */

static int64_t partition_lag(const struct kafka_door *door, const struct door_partition *partition)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_get_watermark_offsets(door->consumer, partition->stored.topic, partition->stored.number, &low, &high);
    int64_t next = partition->stored.next_offset > low ? partition->stored.next_offset : low;
    return high > next ? high - next : 0;
}

static void collect(void *ctx)
{
    const struct kafka_door *door = ctx;
    int64_t total_lag = 0;
    int64_t total_assigned = 0;
    int64_t total_stopped = 0;
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned) continue;
        total_assigned++;
        total_stopped += partition->stopped;
        total_lag += partition_lag(door, partition);
    }
    struct kafka_gauges *gauges = door->config->kind->gauges;
    metric_set(&gauges->lag, total_lag);
    metric_set(&gauges->assigned, total_assigned);
    metric_set(&gauges->stopped, total_stopped);
    metric_set(&gauges->in_flight, (int64_t)door->in_flight);
}

/* ---- the slow timer ---- */

static size_t dead_letter_room(struct kafka_door *door)
{
    return smaller(kafka_limit_bytes(door->dead_letter_limit, DEAD_LETTER_BYTES_UNKNOWN), DEAD_LETTER_BYTES_MAX);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_door *door = ctx;
    (void)fd;
    (void)what;
    door_mind_waiting(door);
    if (door->draining) return;
    door_mind_fullness(door);
    door->context.dead_letter_bytes_max = dead_letter_room(door);
    door_store_ends(door);
    if (++door->ticks % COMMIT_EVERY_TICKS == 0) door_commit_to_group(door);
    if (door->ticks % LOOK_EVERY_TICKS == 0) door_look_at_offsets(door);
    door_take(door); /* in case a wake-up was lost */
}

/* The client says every few seconds how it stands with each broker (librdkafka's STATISTICS.md); there is no other way to ask it. */
static int on_statistics(rd_kafka_t *consumer, char *json, size_t len, void *ctx)
{
    static const char connected[] = "\"state\":\"UP\"";
    struct kafka_door *door = ctx;
    (void)consumer;
    door->is_kafka_away = memmem(json, len, connected, sizeof(connected) - 1) == NULL;
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

static bool start_consumer(struct kafka_door *door)
{
    const struct kafka_property properties[] = {
        {"group.id", door->config->group},
        {"partition.assignment.strategy", "range"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "100"},
        {"fetch.message.max.bytes", "65536"}, /* of one partition: all of them take turns, and so both connections */
        {"fetch.error.backoff.ms", "100"},    /* until a batch that found no room is asked for again */
        {"queued.max.messages.kbytes", door->config->kind->queued_kbytes},
        {"queued.min.messages", door->config->kind->queued_messages},
        {"statistics.interval.ms", "5000"},
        queue_backoff(),
    };
    rd_kafka_conf_t *conf = kafka_conf_new(door->config->kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return false;
    if (!kafka_unpack_limit(conf, &door->unpack, door->config->unpacked_batch_bytes)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_conf_set_opaque(conf, door);
    rd_kafka_conf_set_rebalance_cb(conf, door_on_rebalance);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    door->consumer = kafka_client_new(RD_KAFKA_CONSUMER, conf);
    if (door->consumer == NULL) return false;
    door->dead_letter_limit = kafka_limit_new(door->consumer, door->config->dead_letter_topic);
    door->topic_limit = kafka_limit_new(door->consumer, door->config->topic);
    if (door->dead_letter_limit == NULL || door->topic_limit == NULL) return false;
    rd_kafka_poll_set_consumer(door->consumer);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(door->consumer);
    rd_kafka_queue_io_event_enable(queue, door->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, door->config->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(door->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) LOG_ERROR("not subscribed", LOG_STR("reason", rd_kafka_err2str(error)));
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool start_events(struct kafka_door *door)
{
    door->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (door->wake_fd < 0) return false;
    door->wake = event_new(door->base, door->wake_fd, EV_READ | EV_PERSIST, door_on_wake, door);
    door->rest = evtimer_new(door->base, door_on_rested, door);
    door->tick = event_new(door->base, -1, EV_PERSIST, on_tick, door);
    door->offsets = offsets_new(door->base, door->config->database_url, door->config->topic, door_on_offsets, door);
    if (door->wake == NULL || door->rest == NULL || door->tick == NULL || door->offsets == NULL) return false;
    event_add(door->wake, NULL);
    event_add(door->tick, &(struct timeval){.tv_usec = DOOR_TICK_MS * 1000});
    return true;
}

static void register_metrics(struct kafka_door *door)
{
    const struct kafka_kind *kind = door->config->kind;
    for (size_t i = 0; i < kind->results_len; i++) metrics_register(&kind->results[i]);
    metrics_register(&kind->gauges->lag);
    metrics_register(&kind->gauges->assigned);
    metrics_register(&kind->gauges->stopped);
    metrics_register(&kind->gauges->in_flight);
    metrics_register(&kind->gauges->memory_waits);
    metrics_on_collect(collect, door);
}

struct kafka_door *kafka_door_new(struct event_base *base, const struct kafka_door_config *config)
{
    struct kafka_door *door = calloc(1, sizeof(*door));
    if (door == NULL) return NULL;
    door->base = base;
    door->config = config;
    door->context = (struct kafka_context){config->kind, config->zones, config->events, DEAD_LETTER_BYTES_UNKNOWN};
    door->wake_fd = -1;
    if (!start_events(door) || !start_consumer(door)) {
        kafka_door_free(door);
        return NULL;
    }
    register_metrics(door);
    return door;
}

void kafka_door_drain(struct kafka_door *door)
{
    door->draining = true;
}

void kafka_door_drop(struct kafka_door *door)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        if (door->partitions[i].assigned) door_drop_taken(door, &door->partitions[i]);
    }
}

size_t kafka_door_pending(const struct kafka_door *door)
{
    return door->in_flight;
}

void kafka_door_degraded(const struct kafka_door *door, struct degraded *degraded)
{
    if (door->is_kafka_away) degraded_add(degraded, "Kafka is away: no broker can be reached for %s", door->config->topic);
    if (kafka_limit_bytes(door->topic_limit, 0) > door->unpack.packed_max) {
        degraded_add(degraded, "%s takes records that cannot be received: its max.message.bytes is above %zu",
                     door->config->topic, door->unpack.packed_max);
    }
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (partition->assigned && partition->stopped) {
            degraded_add(degraded, "partition %d of %s is stopped", i, door->config->topic);
        }
    }
}

void kafka_door_free(struct kafka_door *door)
{
    if (door == NULL) return;
    if (door->held != NULL) rd_kafka_message_destroy(door->held);
    kafka_limit_free(door->dead_letter_limit);
    kafka_limit_free(door->topic_limit);
    if (door->consumer != NULL) {
        door_commit_to_group(door);
        rd_kafka_consumer_close(door->consumer);
        rd_kafka_destroy(door->consumer);
    }
    offsets_free(door->offsets);
    if (door->wake != NULL) event_free(door->wake);
    if (door->rest != NULL) event_free(door->rest);
    if (door->tick != NULL) event_free(door->tick);
    if (door->wake_fd >= 0) close(door->wake_fd);
    free(door);
}
