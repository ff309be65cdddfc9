/* The writes of one purpose that wait, in the order in which they may be tried, and the connections that take them. Internal to the
 * writer.
 *
 * Writes of Kafka wait in their partitions, of which one batch takes several. Writes of HTTP have no order. When a batch fails, what
 * it took is tried apart: each partition, and each owner's writes over HTTP, one after the other. A partition by itself takes
 * half as many at each failure, until its first write is alone. What fails alone is in the way: it is retried after a delay that
 * grows, by all connections but one at most, and with more patience than is good for others. */
#ifndef STORE_WRITE_POOL_H
#define STORE_WRITE_POOL_H

#include "store/batch.h"
#include "store/queue.h"

struct write_connection;

/* What all connections of a writer share. */
struct writer_shared {
    struct event_base *base;
    struct event *kick;  /* activate it: every idle connection looks for work */
    struct batch *batch; /* of whoever sends next; what was sent has been copied */
    int64_t schedules_max;
    bool open; /* writes may pass, to the server at the mark */
    struct position_mark mark;
    uint64_t marks; /* so many were given */
};

extern const char *const write_purpose_names[WRITE_PURPOSES];

struct write_pool {
    enum write_purpose purpose;
    struct writer_shared *shared;
    struct write_connection *connections[WRITE_CONNECTIONS_MAX];
    size_t connections_len;
    size_t pending;          /* writes submitted and not completed */
    size_t patient;          /* connections that try what is in the way */
    struct partition *first; /* partitions with waiting writes, in turn */
    struct partition *last;
    struct queue fresh; /* of HTTP: go together */
    struct queue alone; /* of HTTP: go one by one, each with its followers behind it */
};

/* ---- what comes ---- */

void write_pool_submit(struct write_pool *pool, struct pending_write *pending_write);

/* Ends the write, which nothing holds any more; its followers continue. */
void write_pool_complete(struct write_pool *pool, struct pending_write *pending_write, enum status status);

/* Gives up the HTTP writes that are not on their way and whose deadline is over. */
void write_pool_expire(struct write_pool *pool, int64_t now_us);

/* ---- what is taken ---- */

/* The next partition, or the next HTTP write, that may be tried in the connection's batch; NULL: none. Its own are the partitions whose number
 * modulo the connections is its number. Of a partition that is under way only the same connection may take more, into its next batch. The
 * caller takes it before it asks again. */
struct partition *write_pool_next_partition(struct write_pool *pool, const struct write_batch *batch, bool only_own,
                                            int64_t now_us);
struct pending_write *write_pool_next_alone(struct write_pool *pool, int64_t now_us);

/* Whether so many writes are there for another batch of the connection, of its own partitions or behind what it has under way. */
bool write_pool_has_rows(const struct write_pool *pool, const struct write_connection *connection, size_t rows);

/* Takes the partition's first write. */
struct pending_write *write_pool_take(struct write_pool *pool, struct partition *partition);

/* Puts the partition behind the others. */
void write_pool_rotate(struct write_pool *pool, struct partition *partition);

/* Takes the next HTTP write that goes with others; those of an owner whose write is in the way go behind that one. NULL: there is
 * none. */
struct pending_write *write_pool_take_fresh(struct write_pool *pool);

/* Whether it has failed by itself. */
static inline bool hold_has_failed(const struct hold *hold)
{
    return hold->failures > 0;
}

/* ---- what comes back ---- */

/* Where it was, before what waits there. The rows of a batch come last first. */
void write_pool_put_back(struct write_pool *pool, struct pending_write *pending_write);

/* One that was tried with others, and now is tried by itself. Likewise. */
void write_pool_part(struct write_pool *pool, struct pending_write *pending_write);

/* It failed by itself, and is put back. It is logged once, with the reason, that a partition waits. */
void write_pool_fail_alone(struct write_pool *pool, struct pending_write *pending_write, const char *sqlstate,
                           const char *reason);

/* Ends every write that waits in the partition with STATUS_OFFSET_MOVED; what is on its way ends so when it would be put back. */
void write_pool_drop(struct write_pool *pool, struct partition *partition);

/* See writer_shorten_partition. */
int64_t write_pool_shorten(struct write_pool *pool, struct partition *partition);

/* A batch of the partition failed, which had so many rows; the next one takes half of them. */
void partition_halve(struct partition *partition, size_t rows);

/* A batch of the partition was stored. */
void partition_succeed(struct partition *partition);

/* What was in the way of the partition is gone. */
void partition_goes_on(struct partition *partition);

void write_pool_kick(struct write_pool *pool);

#endif
