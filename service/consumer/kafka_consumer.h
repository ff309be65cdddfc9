/* A Kafka consumer: the messages of one topic in. Takes them from the consumer group, has each checked by its handler, hands it to the writer
 * as what is to be carried out or as a record to emit, and never skips one. Offsets live in PostgreSQL; the group's own are only for lag tools. */
#ifndef CONSUMER_KAFKA_CONSUMER_H
#define CONSUMER_KAFKA_CONSUMER_H

#include <event2/event.h>

#include "consumer/kafka_message.h"
#include "driver/kafka.h"

struct kafka_consumer;

/* Borrowed; outlives the consumer. */
struct kafka_consumer_config {
    const char *database_url;
    const struct message_handler *handler; /* of the topic's messages; one consumer of a kind in a process */
    const char *topic;
    const char *group; /* of this topic alone: each topic's members rebalance by themselves */
    const struct kafka_settings *kafka;
    const char *dead_letter_topic;
    size_t unpacked_batch_bytes; /* see driver/kafka_unpack.h */
    const struct time_zones *zones;
    struct event_context events;
    struct writer *writer;
};

/* Makes the consumer, which connects to Kafka and finds its group. NULL on failure; the reason was logged. Registers the consumer's metrics. */
struct kafka_consumer *kafka_consumer_new(struct event_base *base, const struct kafka_consumer_config *config);

/* Joins the group, once. False on failure; the reason was logged. */
bool kafka_consumer_join(struct kafka_consumer *consumer);

/* Stops taking. What was taken is still completed; once it is, the consumer leaves its group. */
void kafka_consumer_drain(struct kafka_consumer *consumer);

/* Drops what was taken and is not on its way to the database: whoever has the partitions next reads it again. After a drain. */
void kafka_consumer_drop(struct kafka_consumer *consumer);

/* Messages taken and not completed. */
size_t kafka_consumer_pending(const struct kafka_consumer *consumer);

/* Names the partitions that stand still, and whether Kafka is away. */
void kafka_consumer_degraded(const struct kafka_consumer *consumer, struct degraded *degraded);

/* Leaves the group and frees the consumer. May block for a few seconds when Kafka is away. Nothing may be pending in the writer, or
 * the writer must be freed first. */
void kafka_consumer_free(struct kafka_consumer *consumer);

#endif
