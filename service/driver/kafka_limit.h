/* A topic's max.message.bytes, asked of the brokers once, by any client, without waiting.
 *
 * Happy path: ask, look now and then until the answer is there.
 * Failure modes: who may not read it, and who asks for a topic that is not there, is refused, and there is no answer; while Kafka is away
 * the question is asked again. */
#ifndef DRIVER_KAFKA_LIMIT_H
#define DRIVER_KAFKA_LIMIT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

struct kafka_limit;

/* Asks. The topic's name and the client are borrowed until kafka_limit_free. NULL when memory is out. */
struct kafka_limit *kafka_limit_new(rd_kafka_t *client, const char *topic);
void kafka_limit_free(struct kafka_limit *limit);

/* Whether the question is still open. Never blocks. */
bool kafka_limit_is_open(struct kafka_limit *limit);

/* The bytes; unknown as long as there is no answer. Never blocks. */
size_t kafka_limit_bytes(struct kafka_limit *limit, size_t unknown);

#endif
