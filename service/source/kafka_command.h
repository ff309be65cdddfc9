/* One consumed message as a write: decoded, judged by the rules, and turned into a command to carry out, a rejection or a dead
 * letter to emit. */
#ifndef SOURCE_KAFKA_COMMAND_H
#define SOURCE_KAFKA_COMMAND_H

#include <librdkafka/rdkafka.h>

#include "codec/event.h"
#include "core/time_zone.h"
#include "store/writer.h"

enum command_verdict { VERDICT_COMMAND, VERDICT_REJECTION, VERDICT_DEAD_LETTER };

struct kafka_command {
    struct write write;          /* first: the writer's view */
    rd_kafka_message_t *message; /* owned */
    struct arena *arena;         /* owned: everything decoded */
    struct buf record;           /* owned: the rejection or dead letter */
    const struct event_context *events;
    enum command_verdict verdict;
    void *door;
};

/* Judges the message and takes it. NULL when memory is out; the message then stays the caller's, to try again. */
struct kafka_command *kafka_command_new(rd_kafka_message_t *message, const struct time_zones *zones,
                                        const struct event_context *events, struct partition *partition);
void kafka_command_free(struct kafka_command *command);

/* The writer's refusal: replaces the command by a rejection, or by a dead letter (unstorable). False
 * when memory is out; the write is then as it was, and will be refused again. */
bool kafka_command_refuse(struct kafka_command *command, enum status status);

#endif
