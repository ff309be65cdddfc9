/* librdkafka clients of the benchmarks. */
#ifndef KAFKA_CLIENT_H
#define KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "sample.h"

/* A producer as fast as librdkafka goes when linger_ms lets it gather; one that sends in transactions; a consumer that reads read_committed from the beginning of
 * what it is assigned. End the program when librdkafka refuses. */
rd_kafka_t *producer_new(const char *brokers, const char *linger_ms);
rd_kafka_t *transactional_producer_new(const char *brokers, const char *transactional_id);
rd_kafka_t *consumer_new(const char *brokers);

/* Sends the command of a number, keyed by its owner; waits while the producer's queue is full. */
void producer_send(rd_kafka_t *producer, const char *topic, int64_t number, int64_t org_id, int64_t first_owner);

/* The same with one command in ten that deletes a schedule, five that change one and four that create one. What there is to change has the ids
 * from 1 on, by the owners in turn; each command takes another. */
void producer_send_mixed(rd_kafka_t *producer, const char *topic, int64_t number, int64_t org_id, int64_t first_owner);

/* All partitions of a topic, each with the given offset. The caller destroys the list. */
rd_kafka_topic_partition_list_t *topic_partitions(rd_kafka_t *client, const char *topic, int64_t offset);

/* Puts the last stable offsets, what a read_committed consumer is told is the end (KIP-98), in place of RD_KAFKA_OFFSET_END and
 * returns their sum; -1 when the broker does not tell. */
int64_t readable_ends(rd_kafka_t *consumer, rd_kafka_topic_partition_list_t *partitions);

#endif
