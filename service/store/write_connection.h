/* A write connection: takes what waits in its pool, one batch after the other, each as one transaction. A full batch of Kafka's writes is sent
 * while the one before it is under way, so that the server need not wait for the next. Internal to the writer. */
#ifndef STORE_WRITE_CONNECTION_H
#define STORE_WRITE_CONNECTION_H

#include "driver/pg.h"
#include "store/write_pool.h"

enum write_connection_state {
    CONNECTION_AWAY,
    CONNECTION_IDLE,
    CONNECTION_LOOKING,
    CONNECTION_TAKING_IDS,
    CONNECTION_WRITING,
    CONNECTION_PAUSED
};

/* A batch under way, and what became of it. */
struct write_batch {
    struct write_connection *connection;
    struct pending_write *rows[BATCH_ROWS_MAX]; /* in its order; NULL: given up meanwhile */
    size_t rows_len;
    struct partition *partitions[BATCH_ROWS_MAX]; /* of the rows, in the order of the batch */
    size_t partitions_len;
    bool is_alone;       /* it is one partition's, or one write of HTTP, that is tried by itself */
    bool is_patient;     /* of one that has failed so before */
    int64_t sent_us;     /* steady clock */
    enum status outcome; /* so far */
    bool is_short;       /* the server lacks something that all writes need */
    char sqlstate[6];    /* of the error; "": none */
    char *reason;        /* likewise, owned; NULL: none */
    char *detail;        /* of SS001 and SS002; owned */
    PGresult *answer;    /* what it was told; owned. The states of its writes are in it */
};

enum { CONNECTION_BATCHES_MAX = 2 };

struct write_connection {
    struct write_pool *pool;
    size_t number; /* in the pool */
    struct pg_config pg_config;
    struct pg *pg;
    enum write_connection_state state;
    struct write_batch
        *batches[CONNECTION_BATCHES_MAX]; /* owned; the first batches_len of them are under way, the oldest first */
    size_t batches_len;
    size_t answered; /* of them: it failed, and waits for those that were sent behind it */
    struct event *retry;
    int64_t retry_ms;   /* of the next pause; 0: the first */
    bool is_at_mark;    /* its server is the accepted one */
    uint64_t looked_at; /* the number of the mark that it was held against last; 0: none */
    int misses;         /* marks that it was not at */
    int64_t id_next;    /* ids in hand: id_next up to id_end */
    int64_t id_end;
    int64_t id_spare; /* where the block begins that comes behind them; 0: there is none */
    bool is_asking_ids;
};

/* The metrics of all connections; call once. */
void write_connection_metrics_register(void);

/* Starts connecting. NULL when memory is out. The configuration of pg is copied, what it points to is borrowed. */
struct write_connection *write_connection_new(struct write_pool *pool, size_t number, const struct pg_config *pg);
void write_connection_free(struct write_connection *connection);

/* Sends what is waiting, if the connection is free to; only_own: of its own partitions. */
void write_connection_serve(struct write_connection *connection, bool only_own);

/* Gives up the HTTP writes on their way whose deadline is over: their outcome is not known. */
void write_connection_expire(struct write_connection *connection, int64_t now_us);

/* The HTTP write that it has on its way by itself; NULL: none. */
struct pending_write *write_connection_alone(const struct write_connection *connection);

/* ---- between write_connection.c, write_batch_fill.c and write_outcome.c ---- */

/* Whether the connection has an id in hand for the next schedule. */
bool write_connection_has_id(struct write_connection *connection);

/* Moves waiting writes into the batch, which is empty; only_own: of the connection's own partitions. The batch's arrays hold them then.
 * STATUS_TOO_LARGE or STATUS_NO_MEMORY: the last one did not fit; it is among the batch's rows. */
enum status write_batch_fill(struct write_batch *batch, bool only_own);

/* Takes no work for a while that grows with each repeat. */
void write_connection_pause(struct write_connection *connection, const char *reason);

/* Forgets the batch, whose rows are all completed or put back. */
void write_connection_end_batch(struct write_batch *batch);

/* Forgets what an earlier unit was answered. */
void write_outcome_forget(struct write_batch *batch);

/* Notes what the database answered to the batch. */
void write_outcome_read(struct write_batch *batch, const PGresult *result);

/* Does what the outcome asks for: completes the batch, or changes it and puts it back. */
void write_outcome_complete(struct write_batch *batch);

/* Puts the batch back as it was: there was no try. */
void write_outcome_put_back(struct write_batch *batch);

/* The batch failed: puts it back, to be tried apart. */
void write_outcome_fail(struct write_batch *batch);

#endif
