/* Where a time is in each partition of a topic, which Kafka alone knows. */
#ifndef WEBHOOK_WEBHOOK_PLACING_H
#define WEBHOOK_WEBHOOK_PLACING_H

#include <librdkafka/rdkafka.h>

#include "webhook/webhook_sender_state.h"

/* What is asked, and the answer: offsets of the first messages that are not older; the end of the partition where there is none. */
struct placing {
    rd_kafka_t *client; /* borrowed, as the topic is */
    const char *topic;
    bool is_from_asked;
    int64_t from_ms;
    int64_t to_ms;
    bool ok; /* false: Kafka did not say */
    int32_t len;
    int64_t from[SENDER_PARTITIONS_MAX];
    int64_t to[SENDER_PARTITIONS_MAX];
};

/* Blocks for some seconds where Kafka is away, so a thread calls it (driver/background.h). ctx: a placing. */
void placing_look_up(void *ctx);

#endif
