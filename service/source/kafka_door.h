/* The Kafka door: commands in. Takes messages from the consumer group, judges each, hands it to the writer as a schedule, a
 * rejection or a dead letter, and never skips one. Offsets live in PostgreSQL; the group's own are only for lag tools. */
#ifndef SOURCE_KAFKA_DOOR_H
#define SOURCE_KAFKA_DOOR_H

#include <event2/event.h>

#include "codec/event.h"
#include "core/time_zone.h"
#include "driver/kafka.h"
#include "store/writer.h"

struct kafka_door;

/* Borrowed; outlives the door. */
struct kafka_door_config {
    const char *database_url;
    const char *topic;
    const char *group;
    const struct kafka_settings *kafka;
    const struct time_zones *zones;
    struct event_context events;
    struct writer *writer;
};

/* Makes the consumer and joins the group. NULL on failure; the reason was logged. Registers the door's metrics. */
struct kafka_door *kafka_door_new(struct event_base *base, const struct kafka_door_config *config);

/* Stops taking. What was taken is still settled. */
void kafka_door_drain(struct kafka_door *door);

/* Commands taken and not settled. */
size_t kafka_door_pending(const struct kafka_door *door);

/* How many assigned partitions stand still because their stored offset is outside of their log. */
size_t kafka_door_stopped_partitions(const struct kafka_door *door);

/* Leaves the group and frees the door. May block for a few seconds when Kafka is away. Nothing may be pending in the writer, or
 * the writer must be freed first. */
void kafka_door_free(struct kafka_door *door);

#endif
