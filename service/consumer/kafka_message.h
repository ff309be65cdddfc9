/* One consumed message as a write: checked by the rules of its handler, and turned into what the writer carries out or a record that is
 * emitted instead. */
#ifndef CONSUMER_KAFKA_MESSAGE_H
#define CONSUMER_KAFKA_MESSAGE_H

#include <librdkafka/rdkafka.h>

#include "codec/event.h"
#include "core/time_zone.h"
#include "driver/metrics.h"
#include "store/writer.h"

struct kafka_message;

/* The gauges of one consumer. */
struct kafka_gauges {
    struct metric lag;
    struct metric assigned;
    struct metric stopped;
    struct metric in_flight;
    struct metric memory_waits; /* a counter */
};

/* What the messages of a topic are, and what a consumer needs to know of them. */
struct message_handler {
    enum write_purpose purpose;
    /* Bounds of what is fetched ahead, as librdkafka's properties have them. */
    const char *queued_messages;
    const char *queued_kbytes;
    /* Makes the write or a record of the message: whatever it is, it becomes one of them. False when memory is out. */
    bool (*decode_and_validate)(struct kafka_message *message, const struct time_zones *zones);
    /* The writer's refusal: a record takes the place of what was refused. False when memory is out; the write is then as it was,
     * and will be refused again. */
    bool (*refuse)(struct kafka_message *message, enum status status);
    /* Counts what became of it. */
    void (*on_completed)(const struct kafka_message *message, enum status status);
    struct kafka_gauges *gauges;
    struct metric *results;
    size_t results_len;
};

/* What a consumer checks its messages with. Borrowed; outlives them. */
struct kafka_context {
    struct arena_pool *arenas; /* what messages are made in */
    const struct message_handler *handler;
    const struct time_zones *const *zones; /* as they are now: they are read again at a signal */
    struct event_context events;
    size_t dead_letter_bytes_max;
};

enum kafka_verdict { VERDICT_WRITE, VERDICT_REJECTION, VERDICT_DEAD_LETTER };

/* Of what librdkafka gave nothing is kept but its headers: a message is a part of its batch, which would stay in memory with it. */
struct kafka_message {
    struct pending_write pending_write; /* first: the writer's view */
    struct slice key; /* as it came; kept, with value and headers, as long as it may still become a dead letter */
    struct slice value;
    rd_kafka_headers_t *headers; /* NULL: none */
    bool is_kept;                /* key, value and headers are the message's; else librdkafka's */
    struct arena *arena;         /* holds the message and everything decoded */
    struct buf text;             /* owned: the record or the entry */
    const struct kafka_context *context;
    enum kafka_verdict verdict;
    size_t bytes; /* that it holds */
    void *consumer;
};

/* Checks the message, which stays the caller's. NULL when memory is out: try again. */
struct kafka_message *kafka_message_new(rd_kafka_message_t *raw, const struct kafka_context *context,
                                        struct partition *partition);
void kafka_message_free(struct kafka_message *message);

/* ---- for the kinds ---- */

/* Where it is. */
struct record_origin kafka_message_origin(const struct kafka_message *message);

/* The last header of that name; empty when there is none. */
struct slice kafka_message_header(const struct kafka_message *message, const char *name);

/* Whether its content-type says so. */
bool kafka_message_is_json(const struct kafka_message *message);

/* Makes the text the record to emit. */
void kafka_message_emit(struct kafka_message *message, enum kafka_verdict verdict);

/* Makes it a dead letter. False when memory is out; it is then as it was. */
bool kafka_message_make_dead_letter(struct kafka_message *message, struct slice reason);

/* Whether, with that outcome, it was or will be completed by another reading of it. */
bool kafka_message_is_elsewhere(const struct kafka_message *message, enum status status);

#endif
