/* What a Kafka consumer knows, and what its parts do for each other. Internal to consumer/. */
#ifndef CONSUMER_KAFKA_CONSUMER_STATE_H
#define CONSUMER_KAFKA_CONSUMER_STATE_H

#include "consumer/kafka_backlog.h"
#include "consumer/kafka_consumer.h"
#include "driver/kafka_limit.h"
#include "driver/kafka_unpack.h"
#include "store/offsets.h"

enum {
    TICK_MS = 200,
    YIELD_MAX_US = 50000 /* to others behind a large message: it may have been the machine that took longer */
};

/* A batch that could not be read: whether for good shows only when it fails again, see on_unreadable. */
struct doubt {
    unsigned failures; /* in a row; 0: no doubt */
    int64_t offset;
    uint64_t turned_away; /* as it was at the first of them */
    uint64_t drained;     /* likewise */
};

/* What the consumer knows of one partition of the topic. */
struct consumer_partition {
    struct partition stored; /* first: the writer's view */
    bool assigned;
    bool fetching;  /* from its stored offset: until that is known again, what comes is of an older fetch and not taken */
    int64_t looked; /* its stored offset to our knowledge when the database was last asked */
    bool stopped;   /* its stored offset is outside of its log, or what is there cannot be read */
    bool is_cut;    /* its log does not begin at 0; asked for only when nothing of it was taken */
    bool is_ahead;  /* it is paused until its share of the backlog is used */
    bool held_back; /* it waits in the writer: what was taken behind its first message was given back, and none is fetched */
    int64_t taken;  /* the next offset to take; lower ones were taken already */
    int64_t kept;   /* the next offset for the backlog */
    int32_t broker; /* that its last message came from; -1: none came yet */
    int64_t end;    /* where the consumer has last reached the partition's end; 0: not since it was assigned */
    bool storing_end;
    int64_t committed; /* to the group, for lag tools */
    struct doubt doubt;
    struct kafka_backlog_queue backlog; /* what was fetched and is not taken */
};

struct kafka_consumer {
    struct event_base *base;
    const struct kafka_consumer_config *config;
    struct kafka_context context;
    rd_kafka_t *client;
    struct kafka_unpack unpack;
    struct kafka_limit *topic_limit;
    struct kafka_limit *dead_letter_limit;
    uint64_t drained; /* times that there was nothing to take */
    struct offsets *offsets;
    bool
        is_loading; /* the stored offsets of what is assigned are asked for to begin with, not to see whether they were moved */
    int wake_fd;
    struct event *wake;
    struct event *rest;      /* pending: what comes waits */
    int64_t yields_until_us; /* steady clock; others have the loop until then */
    struct event *tick;
    /* By number; here, so that none can lack memory when it is assigned. */
    struct consumer_partition partitions[OFFSETS_PARTITIONS_MAX];
    struct kafka_backlog backlog;
    bool is_emptying;  /* what librdkafka has is kept until that has nothing more */
    bool has_ahead;    /* a partition may be ahead that is not paused */
    bool lacks_memory; /* since that was logged, no message could be checked */
    size_t in_flight;
    size_t in_flight_bytes;
    int ticks;
    int full_ticks;
    bool is_kafka_away;
    bool paused;
    bool giving_back; /* what is done now with STATUS_OFFSET_MOVED was given back */
    bool has_joined;
    bool draining;
    rd_kafka_queue_t *leaving; /* what comes of leaving the group; NULL: it does not leave yet */
};

/* ---- kafka_consumer_partitions.c ---- */

/* NULL: no consumer has room for a partition of that number. */
struct consumer_partition *consumer_partition_at(struct kafka_consumer *consumer, int32_t number);

/* Reads the stored offsets of what is assigned; fetching starts when they are there. */
void consumer_load_offsets(struct kafka_consumer *consumer);

/* Reads those of which nothing is on its way to the database, unless all are being read anyway. */
void consumer_look_at_offsets(struct kafka_consumer *consumer);

/* What both of them found. */
void consumer_on_offsets(void *ctx, const struct stored_offset *items, size_t len);

/* Runs inside rd_kafka_consumer_poll, on the loop's thread. */
void consumer_on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *ctx);

/* What was asked for last, to load or to look, is not answered: no partition begins to be fetched for it. */
void consumer_cancel_offsets(struct kafka_consumer *consumer);

/* Takes nothing more of what was fetched of the partition. */
void consumer_end_fetch(struct kafka_consumer *consumer, struct consumer_partition *partition);

/* The same, and drops what is not on its way to the database. */
void consumer_drop_taken(struct kafka_consumer *consumer, struct consumer_partition *partition);

/* Commits the stored offsets to the group. */
void consumer_commit_to_group(struct kafka_consumer *consumer);

/* Everything that is fetched. */
void consumer_pause_or_resume(struct kafka_consumer *consumer, bool is_paused);

/* Pauses partitions that have more than their share of the backlog while others wait to be fetched. To be called when librdkafka has nothing
 * more. */
void consumer_pause_ahead(struct kafka_consumer *consumer);

/* Resumes the partition, which is ahead, when its share is used. */
void consumer_mind_ahead(struct kafka_consumer *consumer, struct consumer_partition *partition);

/* Of a log that does not begin at 0. */
void consumer_start_at_beginning(struct kafka_consumer *consumer, struct consumer_partition *partition);

/* Until its stored offset is moved. */
void consumer_stop_partition(struct kafka_consumer *consumer, struct consumer_partition *partition);

/* Holds back what waits in the writer, and resumes what no longer does. */
void consumer_mind_waiting(struct kafka_consumer *consumer);

/* ---- kafka_consumer_taking.c ---- */

/* For one turn, or until the consumer is full; when a turn is due anyway, then. */
void consumer_take(struct kafka_consumer *consumer);

/* Pauses fetching when the consumer stays full, and resumes it. */
void consumer_mind_fullness(struct kafka_consumer *consumer);

void consumer_store_ends(struct kafka_consumer *consumer);

/* Callbacks of libevent: there is something to take; what was to come meanwhile has come. */
void consumer_on_wake(evutil_socket_t fd, short what, void *ctx);
void consumer_on_rested(evutil_socket_t fd, short what, void *ctx);

#endif
