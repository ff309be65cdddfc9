/* One consumed message as a write: judged by the rules of its kind, and turned into what the writer carries out or a record that is
 * emitted instead. */
#ifndef SOURCE_KAFKA_MESSAGE_H
#define SOURCE_KAFKA_MESSAGE_H

#include <librdkafka/rdkafka.h>

#include "codec/event.h"
#include "core/time_zone.h"
#include "driver/metrics.h"
#include "store/writer.h"

struct kafka_message;

/* The gauges of one door. */
struct kafka_gauges {
    struct metric lag;
    struct metric assigned;
    struct metric stopped;
    struct metric in_flight;
    struct metric memory_waits; /* a counter */
};

/* What the messages of a topic are, and what a door needs to know of them. */
struct kafka_kind {
    enum write_purpose purpose;
    /* Bounds of what is fetched ahead, as librdkafka's properties have them. */
    const char *queued_messages;
    const char *queued_kbytes;
    /* Makes the write or a record of the message: whatever it is, it becomes one of them. False when memory is out. */
    bool (*judge)(struct kafka_message *message, const struct time_zones *zones);
    /* The writer's refusal: a record takes the place of what was refused. False when memory is out; the write is then as it was,
     * and will be refused again. */
    bool (*refuse)(struct kafka_message *message, enum status status);
    /* Counts what became of it. */
    void (*settled)(const struct kafka_message *message, enum status status);
    struct kafka_gauges *gauges;
    struct metric *results;
    size_t results_len;
};

enum kafka_verdict { VERDICT_WRITE, VERDICT_REJECTION, VERDICT_DEAD_LETTER };

struct kafka_message {
    struct write write;      /* first: the writer's view */
    rd_kafka_message_t *raw; /* owned */
    struct arena *arena;     /* owned: everything decoded */
    struct buf text;         /* owned: the record or the entry */
    const struct kafka_kind *kind;
    const struct event_context *events;
    enum kafka_verdict verdict;
    void *door;
};

/* Judges the message and takes it. NULL when memory is out; the message then stays the caller's, to try again. */
struct kafka_message *kafka_message_new(rd_kafka_message_t *raw, const struct kafka_kind *kind,
                                        const struct time_zones *zones, const struct event_context *events,
                                        struct partition *partition);
void kafka_message_free(struct kafka_message *message);

/* ---- for the kinds ---- */

struct record_origin kafka_message_origin(const struct kafka_message *message);

/* The last header of that name; empty when there is none. */
struct slice kafka_message_header(const struct kafka_message *message, const char *name);

/* Whether its content-type says so. */
bool kafka_message_is_json(const struct kafka_message *message);

/* Makes the text the record to emit. */
void kafka_message_emit(struct kafka_message *message, enum kafka_verdict verdict);

/* Makes it a dead letter; the reason is not in the arena. False when memory is out. */
bool kafka_message_bury(struct kafka_message *message, struct slice reason);

/* Whether, with that outcome, it was or will be settled by another reading of it. */
bool kafka_message_is_elsewhere(const struct kafka_message *message, enum status status);

#endif
