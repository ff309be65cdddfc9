/* One pipelined connection for reads, each its own transaction. Those that wait take turns by caller: a caller's second waits behind everybody
 * else's first, so that a hundred of one caller wait behind each other and not before others. */
#ifndef STORE_READ_CONNECTION_H
#define STORE_READ_CONNECTION_H

#include "driver/pg.h"
#include "store/caller_lookup.h"
#include "store/reader.h"

enum {
    READ_PARAMS_MAX = 6,
    READ_CALLER_MAX = READER_PENDING_MAX / 4, /* a caller's share of what may wait on a connection */
    READ_WAIT_MAX_MS = 5000                   /* what is not sent by then is given up */
};

struct pending_read {
    void (*take_result)(struct pending_read *pending_read, const PGresult *result); /* NULL: lost, or given up */
    struct caller_lookup *lookup; /* owned; NULL: a statement with numbers */
    char *list;                   /* owned; the text of an array behind the numbers, or NULL */
    schedules_done *schedules_done;
    schedule_done *schedule_done;
    people_done *people_done;
    void *ctx;
    uint64_t caller;
    const char *statement;
    int64_t params[READ_PARAMS_MAX];
    int params_len;
    /* the connection's */
    uint64_t turn;
    uint64_t number; /* in the order they came */
    int64_t since_us;
    bool is_complete;
};

struct read_connection;

struct read_connection_config {
    const char *name;
    const char *database_url;
    bool keeps_plans;             /* see pg_config */
    int64_t statement_timeout_ms; /* 0: none */
    size_t sent_max;              /* and not answered: what is sent waits for no turn any more */
};

/* NULL: no memory. The config's texts outlive it. on_lost: what was not submitted yet is lost as well. */
struct read_connection *read_connection_new(struct event_base *base, const struct read_connection_config *config,
                                            void (*on_lost)(void *ctx), void *ctx);

/* What is under way is dropped without an answer. */
void read_connection_free(struct read_connection *connection);

bool read_connection_is_ready(const struct read_connection *connection);

/* STATUS_OK, STATUS_UNAVAILABLE without a connection, STATUS_OVERLOADED when READER_PENDING_MAX wait, or READ_CALLER_MAX of this caller. */
enum status read_connection_admit(const struct read_connection *connection, uint64_t caller);

/* Copies the read and takes its lookup and list. It was admitted. */
void read_connection_submit(struct read_connection *connection, const struct pending_read *pending_read);

void read_metrics_register(void);

#endif
