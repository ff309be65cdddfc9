/* One pipelined, non-blocking PostgreSQL connection on the event loop, which reconnects by itself with jittered backoff.
 *
 * Work is a run of pg_send calls ended by pg_sync: each such unit is its own implicit transaction and fails or succeeds
 * whole. Units are answered in order: on_result for each statement, then on_sync once. When the connection is lost, on_lost
 * comes once and nothing sent before it will be answered; whether it happened is unknown. */
#ifndef DRIVER_PG_H
#define DRIVER_PG_H

#include <stdbool.h>
#include <event2/event.h>
#include <libpq-fe.h>

#include "core/slice.h"
#include "core/status.h"

struct pg;

struct pg_statement {
    const char *name;
    const char *sql; /* parameters' types stand in it as casts: $1::bigint */
};

struct pg_handler {
    /* Connected and every statement prepared. */
    void (*on_ready)(void *ctx);
    /* One statement's rows or error (PQresultStatus); borrowed. After an error the rest of the unit gives PGRES_PIPELINE_ABORTED. */
    void (*on_result)(void *ctx, const PGresult *result);
    /* The unit is completed: durable when none of its results was an error. */
    void (*on_sync)(void *ctx);
    /* Was ready and is no more. */
    void (*on_lost)(void *ctx);
};

struct pg_config {
    const char *url;
    const char *application_name;
    const struct pg_statement *statements;
    size_t statements_len;
    /* A statement is planned once, for whatever parameters, which is most of the work of a small one; else for those of each execution. */
    bool keeps_plans;
    /* A unit that is not answered by then loses the connection. */
    int64_t unit_timeout_ms;
    /* Of each statement, and of each wait for a lock in it: the server then ends it with 57014 or 55P03. 0: none. */
    int64_t statement_timeout_ms;
    int64_t lock_timeout_ms;
};

/* Starts connecting; the config's parts are borrowed and outlive it. NULL when memory is out. */
struct pg *pg_new(struct event_base *base, const struct pg_config *config, const struct pg_handler *handler, void *ctx);
void pg_free(struct pg *pg);

bool pg_is_ready(const struct pg *pg);

/* Whether a statement was last found missing that this session has prepared, or there that it has not: a pooler between gives each transaction
 * another session. */
bool pg_lacks_session(const struct pg *pg);

/* A parameter: binary when is_binary, else text. data NULL is SQL null. */
struct pg_param {
    const char *data;
    int len;
    bool is_binary;
};

enum { PG_PARAMS_MAX = 24 };

/* Queues one execution of a prepared statement; rows come back in binary when binary_rows. Parameters are copied. The pg must be
 * ready; text parameters end with a NUL, which len does not count. False when libpq refuses (memory): the connection is then dropped and on_lost follows from the loop. */
bool pg_send(struct pg *pg, const char *statement, const struct pg_param *params, int params_len, bool binary_rows);

/* Ends the unit and flushes. False as pg_send. */
bool pg_sync(struct pg *pg);

/* From within on_result: the result at hand, which becomes the caller's to PQclear. */
PGresult *pg_take_result(struct pg *pg);

/* Drops the connection from the loop, for this reason; on_lost follows, and it connects again. */
void pg_drop(struct pg *pg, const char *reason);

/* Whether the statement names a table, column or function that is not there: the schema is of another build, or of none. */
bool pg_lacks_schema(const PGresult *result);

/* What a failed result means for the work that met it: RETRY classes for 08, 53, 57, 40 and for anything unknown;
 * STATUS_UNSTORABLE for 22 and 23. */
enum status pg_result_status(const PGresult *result);

#endif
