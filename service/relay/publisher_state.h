/* The state of a publisher, and what its two files share. Internal to them. */
#ifndef RELAY_PUBLISHER_STATE_H
#define RELAY_PUBLISHER_STATE_H

#include <stdatomic.h>

#include "relay/publisher.h"

enum {
    PUBLISHER_SLICE_MS = 100, /* one call of librdkafka, before the relay's turn to wait */
    PUBLISHER_COMMIT_TIMEOUT_MS =
        5000, /* EndTxn alone: everything is delivered before. The longest that stopping can take. */
    PUBLISHER_BATCH_BYTES_MAX = 1000000, /* librdkafka's default */
};

struct producer {
    rd_kafka_t *client;
    rd_kafka_topic_t *events;
    rd_kafka_topic_t *dead_letters;
    rd_kafka_topic_t *progress;
    bool is_ready; /* all earlier ones of its id are fenced */
    bool in_transaction;
};

struct publisher {
    struct publisher_config config;
    struct error_text *reason;
    struct producer producers[PUBLISHER_PRODUCERS];
    struct producer *turn; /* whose transaction is open, or the next one */
    size_t events_room;    /* bytes of a record that each topic surely takes */
    size_t dead_letters_room;
    size_t batch_bytes;
    size_t window_bytes;            /* may be queued before all of it has to be delivered */
    size_t queued_bytes;            /* since all was */
    int64_t queued_us;              /* since when */
    int64_t begin_us;               /* of the transaction */
    size_t records;                 /* of it, without progress */
    atomic_uint connections_closed; /* of all producers so far; librdkafka's threads count them */
    unsigned closed_before;         /* the same when the oldest transaction began whose end is not known to be written */
    bool is_final;                  /* there is none */
    int64_t rest_end_us;            /* when the next one may begin */
    bool failed;
};

/* publisher.c: each notes the first failure only, and is false. */
bool publisher_fail(struct publisher *publisher, const char *doing, const char *text);
bool publisher_fail_by(struct publisher *publisher, const char *doing, rd_kafka_resp_err_t error);
bool publisher_fail_with(struct publisher *publisher, const char *doing, rd_kafka_error_t *error); /* takes the error */

/* The relay's turn to wait. False: it is to stop, Kafka has failed, or the steady clock is past the deadline. */
bool publisher_wait(struct publisher *publisher, int64_t deadline_us, const char *doing);

/* Notes a record that was not delivered. librdkafka calls it from within our own calls to rd_kafka_poll and _flush. */
void publisher_on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *ctx);

/* Opens the transaction of whose turn it is, unless it is open. */
bool publisher_begin_transaction(struct publisher *publisher);

/* False when a connection in use was closed since the oldest transaction began that is not final: a broker that comes back may have left out a part of
 * it, or all of it (ADR 8). */
bool publisher_has_stayed_connected(struct publisher *publisher);

/* Waits until everything queued is delivered. */
bool publisher_deliver(struct publisher *publisher);

/* The next transaction is the next producer's. */
void publisher_take_turns(struct publisher *publisher);

/* publisher_opening.c: takes over from all publishers before, with batches that both topics take. */
bool publisher_take_over(struct publisher *publisher);

/* Closes the producers; an open transaction ends with the next take-over. */
void publisher_leave(struct publisher *publisher);

#endif
