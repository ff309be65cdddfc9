/* Transactions of Kafka out: transactional producers that publish records and, in the same transaction, how far in the
 * WAL they reach. One transaction at a time, by the producers in turn.
 *
 * Happy path: send each record as it is read (the first begins the transaction), commit with the position behind them.
 * Failure modes: whatever goes wrong (broker away, delivery failed, fenced, a commit without an answer) makes every further
 * call fail; the caller closes the publisher and restarts from what is final of the progress that Kafka has. It is never asked whether
 * an error might heal: with librdkafka 2.0.2 a late EndTxn could end the next transaction of the same producer. The reason's kind
 * says what the caller does next. A record that Kafka refuses for good can only be distinguished from its neighbours when it is sent alone. */
#ifndef RELAY_PUBLISHER_H
#define RELAY_PUBLISHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/record.h"
#include "driver/kafka.h"
#include "relay/error_text.h"
#include "relay/progress_record.h"

/* PUBLISHER_RECORD_MAX: the largest record that a producer takes (record_wire_bytes). PUBLISHER_PRODUCERS: their ids are the configured one
 * and that with ".1" and so on. Whoever makes it smaller has to go on fencing the ids that were in use, and aborting what they left. */
enum { PUBLISHER_RECORD_MAX = 16000000, PUBLISHER_PRODUCERS = 2 };

/* Borrowed; outlives the publisher. */
struct publisher_config {
    const struct kafka_settings *kafka;
    const char *transactional_id;
    const char *events_topic;
    const char *dead_letter_topic;
    const char *progress_topic;
    bool (*on_wait)(void *ctx); /* called at least each 0.5 s while waiting for Kafka; false gives up */
    void *ctx;
};

struct publisher;

/* Makes the producers and fences all earlier ones of the same transactional ids, whose open transactions are then over.
 * NULL when that fails within 30 s; the reason is set. The reason is borrowed and set by every later failure. */
struct publisher *publisher_open(const struct publisher_config *config, struct error_text *reason);

/* Drops what is not committed. NULL is fine. */
void publisher_close(struct publisher *publisher);

/* Begins a transaction, at first waiting up to 20 ms since the last one if that had many records, with a progress record of what was published before: so the
 * partition of the progress joins it together with those of the first records. Each time that partitions join costs a request and, in
 * librdkafka, a millisecond of a core. */
bool publisher_begin(struct publisher *publisher, struct slice progress_key, const struct progress *progress);

/* Queues the record, copying it; waits while the queue is full. */
bool publisher_send(struct publisher *publisher, const struct record *record);

/* The bytes (record_wire_bytes) of the largest record that is surely taken: by the topic, whose max.message.bytes was read when the
 * publisher was opened, and by librdkafka. */
size_t publisher_room(const struct publisher *publisher, enum record_topic topic);

/* Sends the record as the only one of the open transaction and waits until it is delivered or, which sets *ret_is_refused and the reason,
 * refused for good: then the transaction is dropped. */
bool publisher_send_alone(struct publisher *publisher, const struct record *record, bool *ret_is_refused);

/* Commits all records sent so far together with a progress record, which is the one that counts. True: Kafka has them, exactly once. */
bool publisher_commit(struct publisher *publisher, struct slice progress_key, const struct progress *progress);

/* Serves librdkafka while there is nothing to publish. False when a producer has become unusable. */
bool publisher_tend(struct publisher *publisher);

#endif
