/* Endpoints of webhooks in the database, as their owners see them: two pipelined connections, for reads and for changes, which go through
 * functions (migrations/functions/webhooks.sql).
 *
 * webhook_store_ask either returns STATUS_OK and calls done exactly once later, or returns why it cannot (STATUS_UNAVAILABLE without a
 * connection, STATUS_OVERLOADED when WEBHOOK_STORE_PENDING_MAX wait, or of this caller a quarter of that) and never calls it. done's status
 * is STATUS_OK, and then a change is durable; STATUS_DUPLICATE, it was sent twice, as the connection was lost, and this is what came of the second;
 * STATUS_UNAVAILABLE; of a change STATUS_UNKNOWN_OUTCOME, the connection was lost; or what the database said. The result is lent during the call,
 * and set with the first two alone. */
#ifndef STORE_WEBHOOK_STORE_H
#define STORE_WEBHOOK_STORE_H

#include "driver/pg.h"

enum { WEBHOOK_STORE_PENDING_MAX = 256 };

struct webhook_store;

/* With their parameters. */
enum webhook_query {
    WEBHOOK_CLIENT, /* client id, user: the client's organization, the user's role there and their first organization; null: none. And how many
                       webhooks it has */
    WEBHOOK_GET,        /* id: row, or none */
    WEBHOOK_LIST,       /* user, organization, client, take, skip: rows */
    WEBHOOK_STATUS,     /* id: JSON */
    WEBHOOK_DELIVERIES, /* id: JSON */
    WEBHOOK_JOB,        /* id, job id: JSON, or no row */
    WEBHOOK_CHANGES,    /* those from here on change something */
    WEBHOOK_CREATE =
        WEBHOOK_CHANGES, /* id, user, organization, client, URL, triggers, active, secret, format, most: verdict, row */
    WEBHOOK_UPDATE,      /* id, revision, URL, triggers, active, has secret, secret, format, restart: verdict, row */
    WEBHOOK_DELETE,      /* id, revision: verdict, row */
    WEBHOOK_DELETE_ALL,  /* client: how many */
    WEBHOOK_JOB_CREATE,  /* job id, id, kind, from time, from event, to time, triggers, most: verdict, JSON */
    WEBHOOK_QUERIES
};

enum { WEBHOOK_QUERY_PARAMS_MAX = 10 };

typedef void webhook_done(void *ctx, enum status status, const PGresult *result);

/* database_url is borrowed. NULL: no memory. */
struct webhook_store *webhook_store_new(struct event_base *base, const char *database_url);

/* What is under way is dropped without done. */
void webhook_store_free(struct webhook_store *store);

/* Copies the parameters, of which texts end with a NUL. A caller is any number that is the same for the same one. */
enum status webhook_store_ask(struct webhook_store *store, uint64_t caller, enum webhook_query query,
                              const struct pg_param *params, webhook_done *done, void *ctx);

/* A row; texts are the result's. */
struct webhook_row {
    struct slice id;
    int64_t user_id;        /* of one of a user; else 0 */
    int64_t org_id;         /* of an organization, or of a client's; else 0 */
    struct slice client_id; /* of a client; else data is NULL */
    struct slice url;
    struct slice triggers_json;
    bool is_active;
    struct slice secret_hex; /* sealed, as PostgreSQL writes it, "\x..."; data NULL: none */
    struct slice rest_json;  /* what else is answered: members, without braces */
    int64_t revision;
};

/* From a row of WEBHOOK_GET or WEBHOOK_LIST, or of a change whose verdict is "stored". */
struct webhook_row webhook_row_read(const PGresult *result, int row);

/* Of a change. */
const char *webhook_verdict(const PGresult *result);

#endif
