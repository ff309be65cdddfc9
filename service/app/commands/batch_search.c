#include "app/commands/batch_search.h"

#include "app/database.h"
#include "driver/clock.h"
#include "driver/kafka.h"
#include "driver/kafka_unpack.h"

enum { TIMEOUT_US = 20000000, POLL_MS = 200 };

struct search {
    rd_kafka_t *consumer;
    struct kafka_unpack unpack;
    const char *topic;
    int32_t partition;
};

static bool open_consumer(struct search *search, const struct config *config)
{
    const struct kafka_property properties[] = {
        {"group.id", config->consumer_group},  {"enable.auto.commit", "false"},
        {"auto.offset.reset", "error"},        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"}, {"fetch.message.max.bytes", "1"}, /* no more than one batch */
        {"fetch.error.backoff.ms", "10"},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(&config->kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return false;
    if (!kafka_unpack_limit(conf, &search->unpack, (size_t)config->unpacked_batch_bytes)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    search->consumer = kafka_client_new(RD_KAFKA_CONSUMER, conf);
    if (search->consumer != NULL) rd_kafka_poll_set_consumer(search->consumer);
    return search->consumer != NULL;
}

/* What one message says of the offset that was asked for; BATCH_UNKNOWN: nothing. */
static enum batch_found check(const struct search *search, const rd_kafka_message_t *message, uint64_t turned_away)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: return BATCH_READABLE;
    default: break;
    }
    if (!kafka_is_unreadable(message->err)) return BATCH_UNKNOWN;
    return atomic_load(&search->unpack.turned_away) == turned_away ? BATCH_UNREADABLE : BATCH_UNKNOWN;
}

/* Reads at the offset. *ret_first is set with BATCH_UNREADABLE. */
static enum batch_found probe(struct search *search, int64_t offset, int64_t *ret_first)
{
    enum batch_found found = BATCH_UNKNOWN;
    int64_t deadline_us = clock_steady_us() + TIMEOUT_US;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, search->topic, search->partition)->offset = offset;
    kafka_assign(search->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    while (found == BATCH_UNKNOWN && clock_steady_us() < deadline_us) {
        uint64_t turned_away = atomic_load(&search->unpack.turned_away);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(search->consumer, POLL_MS);
        if (message == NULL) {
            kafka_unpack_drained(&search->unpack);
            continue;
        }
        found = check(search, message, turned_away);
        *ret_first = message->offset;
        rd_kafka_message_destroy(message);
    }
    kafka_assign(search->consumer, NULL);
    return found;
}

/* Whether the offset is inside of the batch that begins at first. Anything else is behind it. */
static enum batch_found probe_inside(struct search *search, int64_t offset, int64_t first)
{
    int64_t found_first = 0;
    enum batch_found found = probe(search, offset, &found_first);
    return found == BATCH_UNREADABLE && found_first != first ? BATCH_READABLE : found;
}

/* Steps that double until one leads out of the batch, then halves the last. */
static enum batch_found find_end(struct search *search, struct batch_range *range)
{
    int64_t inside = range->first;
    enum batch_found found = BATCH_UNREADABLE;
    for (int64_t step = 1; found == BATCH_UNREADABLE; step *= 2) {
        range->next = range->first + step;
        found = probe_inside(search, range->next, range->first);
        if (found == BATCH_UNREADABLE) inside = range->next;
    }
    while (found != BATCH_UNKNOWN && range->next - inside > 1) {
        int64_t middle = inside + (range->next - inside) / 2;
        found = probe_inside(search, middle, range->first);
        if (found == BATCH_UNREADABLE) inside = middle;
        else range->next = middle;
    }
    return found == BATCH_UNKNOWN ? BATCH_UNKNOWN : BATCH_UNREADABLE;
}

enum batch_found batch_search(const struct config *config, const char *topic, int32_t partition, int64_t offset,
                              struct batch_range *ret_range)
{
    struct search search = {.topic = topic, .partition = partition};
    struct batch_range range = {0, 0};
    enum batch_found found = BATCH_UNKNOWN;
    if (open_consumer(&search, config)) found = probe(&search, offset, &range.first);
    if (found == BATCH_UNREADABLE) found = find_end(&search, &range);
    if (found == BATCH_UNREADABLE) *ret_range = range;
    if (found == BATCH_UNKNOWN) database_fail("%s [%d]: Kafka does not answer", topic, (int)partition);
    if (search.consumer != NULL) {
        rd_kafka_consumer_close(search.consumer);
        rd_kafka_destroy(search.consumer);
    }
    return found;
}
