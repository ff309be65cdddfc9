/* A Kafka door: the messages of one topic in. Takes them from the consumer group, has each judged as its kind, hands it to the writer
 * as what is to be carried out or as a record to emit, and never skips one. Offsets live in PostgreSQL; the group's own are only for lag tools. */
#ifndef SOURCE_KAFKA_DOOR_H
#define SOURCE_KAFKA_DOOR_H

#include <event2/event.h>

#include "driver/kafka.h"
#include "source/kafka_message.h"

struct kafka_door;

/* Borrowed; outlives the door. */
struct kafka_door_config {
    const char *database_url;
    const struct kafka_kind *kind; /* of the topic's messages; one door of a kind in a process */
    const char *topic;
    const char *group; /* of this topic alone: each door's members rebalance by themselves */
    const struct kafka_settings *kafka;
    const char *dead_letter_topic;
    size_t unpacked_batch_bytes; /* see driver/kafka_unpack.h */
    const struct time_zones *zones;
    struct event_context events;
    struct writer *writer;
};

/* Makes the consumer and joins the group. NULL on failure; the reason was logged. Registers the door's metrics. */
struct kafka_door *kafka_door_new(struct event_base *base, const struct kafka_door_config *config);

/* Stops taking. What was taken is still settled. */
void kafka_door_drain(struct kafka_door *door);

/* Drops what was taken and is not on its way to the database: whoever has the partitions next reads it again. After a drain. */
void kafka_door_drop(struct kafka_door *door);

/* Messages taken and not settled. */
size_t kafka_door_pending(const struct kafka_door *door);

/* Tells which partitions stand still, and whether Kafka is away. */
void kafka_door_degraded(const struct kafka_door *door, struct degraded *degraded);

/* Leaves the group and frees the door. May block for a few seconds when Kafka is away. Nothing may be pending in the writer, or
 * the writer must be freed first. */
void kafka_door_free(struct kafka_door *door);

#endif
