/* Reads a topic of the relay's own, up to where it ends now: committed records only, of all partitions.
 *
 * Happy path: note where each partition ends, read up to there, hand each record over.
 * Failure modes: Kafka away, the topic missing, more than 10,000 partitions, or a transaction on it that stays open: the reason is set, start again. */
#ifndef RELAY_TOPIC_READER_H
#define RELAY_TOPIC_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/record.h"
#include "driver/kafka.h"
#include "relay/error_text.h"

/* Where a record was. */
struct topic_place {
    int32_t partition;
    int64_t timestamp_ms;
};

/* Borrowed. */
struct topic_source {
    rd_kafka_t *client; /* of topic_client_new() */
    const char *name;
    bool (*on_wait)(void *ctx); /* called now and then; false gives up */
    void *ctx;
    struct error_text *reason;
};

/* Borrowed for the call. */
struct topic_reading {
    const struct topic_source *source;
    int64_t newest;     /* offsets of each partition, from its end; 0: all of it */
    bool stops_at_open; /* at a transaction that is open; else it is waited for */
    /* The record is borrowed for the call; false gives up, with the reason set. */
    bool (*on_record)(void *ctx, const struct record *record, const struct topic_place *place);
    /* Asked of the first record of each partition that has older ones: whether those can be left out. NULL: they can. */
    bool (*reaches_back)(void *ctx, const struct record *record);
    void (*on_start)(void *ctx); /* for topic_read_back: forgets the records so far, as all of them come again */
    void *ctx;
};

/* A client that reads one topic after another, and begins to connect. Borrows the settings. NULL when that fails; the reason was logged. */
rd_kafka_t *topic_client_new(const struct kafka_settings *kafka);

/* False when that fails within 30 s without a record. *ret_is_enough: nothing was left out that cannot be. */
bool topic_read(const struct topic_reading *reading, bool *ret_is_enough);

/* Reads the newest offsets of each partition, so many, and then ever more, until nothing was left out that cannot be; 0: all of them. */
bool topic_read_back(struct topic_reading *reading, int64_t newest);

#endif
