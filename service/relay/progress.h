/* How far the relay has come, kept with Kafka because replication slots go backwards when PostgreSQL crashes: one record in
 * a compacted topic, written in the transaction of the events it stands for.
 *
 * Happy path: read all partitions of the topic up to their ends, committed records only; the last of our key counts.
 * Failure modes: Kafka away, the topic missing, or a transaction on it that stays open: the reason is set, begin anew. */
#ifndef RELAY_PROGRESS_H
#define RELAY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/kafka.h"
#include "relay/progress_record.h"
#include "relay/reason.h"

/* Reads the progress that was published last under the key; all zero when there is none. To be called after the producer that will
 * write on was made, when no older one can commit any more. False when that fails within 30 s. on_wait as publisher's. */
bool progress_read(const struct kafka_settings *kafka, const char *topic, const char *key, bool (*on_wait)(void *ctx),
                   void *ctx, struct reason *reason, struct progress *ret_progress);

#endif
