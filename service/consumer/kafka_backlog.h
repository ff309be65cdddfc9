/* Messages that a consumer gave and that are not taken yet, by partition. librdkafka gives them as they were fetched: of a sender's batch,
 * which may be thousands of one partition, one behind the other. A partition's writes follow each other on one connection, so the other
 * connections would have nothing to do meanwhile. Here every partition has a queue, and the next one is of the partition with
 * the fewest under way.
 *
 * A message of librdkafka's holds its whole batch in memory (kafka_unpack.h), also here. */
#ifndef CONSUMER_KAFKA_BACKLOG_H
#define CONSUMER_KAFKA_BACKLOG_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KAFKA_BACKLOG_MAX = 4096, /* messages: with so many, or so many bytes, it is full */
    KAFKA_BACKLOG_BYTES_MAX = 2 << 20,
    KAFKA_BACKLOG_SHARE = 1024, /* a partition's */
    KAFKA_BACKLOG_SHARE_BYTES = 512 << 10,
    KAFKA_BACKLOG_ROOM = 32768,
    KAFKA_BACKLOG_RESERVE = 64 /* of that, for what comes of a consumer that is paused */
};

/* A partition's; all zero at first. */
struct kafka_backlog_queue {
    size_t under_way; /* its caller's: so many were taken and are not completed */
    size_t len;
    size_t bytes;
    /* the backlog's */
    uint16_t first;
    uint16_t last;
    bool is_listed;
    struct kafka_backlog_queue *next;
};

struct kafka_backlog_entry {
    rd_kafka_message_t *message;
    uint16_t next;
};

/* Of one consumer; all zero at first. It has room for a fixed number, so that none can lack memory. */
struct kafka_backlog {
    struct kafka_backlog_entry entries[KAFKA_BACKLOG_ROOM];
    size_t used;     /* so many of the entries were in use once */
    uint16_t unused; /* the first of those that are so no longer, which are used - len */
    size_t len;
    size_t bytes;
    struct kafka_backlog_queue *queues; /* all that are not empty, and some that are */
};

bool kafka_backlog_is_full(const struct kafka_backlog *backlog);

/* Whether so much was added beyond that, that no more should be. */
bool kafka_backlog_is_overfull(const struct kafka_backlog *backlog);

/* Whether another message can be added. */
bool kafka_backlog_has_room(const struct kafka_backlog *backlog);

/* Whether the queue has more than its share. */
bool kafka_backlog_is_ahead(const struct kafka_backlog_queue *queue);

/* Whether half of its share, or less, is left of the queue. */
bool kafka_backlog_is_behind(const struct kafka_backlog_queue *queue);

/* Puts the message, which is the backlog's now, at the end of the queue. There must be room. */
void kafka_backlog_add(struct kafka_backlog *backlog, struct kafka_backlog_queue *queue, rd_kafka_message_t *message);

/* The queue of those with messages that has the fewest under way; NULL: none has messages. */
struct kafka_backlog_queue *kafka_backlog_next(struct kafka_backlog *backlog);

/* The first message of a queue that is not empty; it stays there. */
rd_kafka_message_t *kafka_backlog_first(const struct kafka_backlog *backlog, const struct kafka_backlog_queue *queue);

/* Takes that message out of its queue; it is the caller's now. */
rd_kafka_message_t *kafka_backlog_take(struct kafka_backlog *backlog, struct kafka_backlog_queue *queue);

/* Destroys what the queue has. */
void kafka_backlog_drop(struct kafka_backlog *backlog, struct kafka_backlog_queue *queue);

/* Destroys what all queues have. */
void kafka_backlog_drop_all(struct kafka_backlog *backlog);

#endif
