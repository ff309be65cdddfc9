/* Happy path: a query is sent with its sync at once; its result is kept until the sync, behind which a change is durable.
 *
 * Failure modes: an error fails its own query only, for each is its own transaction; a lost connection fails all that is under way on
 * it, but the deletion of all of a client's, which does no harm twice: it is sent once more when there is a connection again. Whoever changes
 * endpoints takes turns in the database: a change waits for its turn for LOCK_TIMEOUT_MS. */
#include "store/webhook_store.h"

#include <stdlib.h>

#include "driver/log.h"

enum { UNIT_TIMEOUT_MS = 5000, STATEMENT_TIMEOUT_MS = 3000, LOCK_TIMEOUT_MS = 2000, RECONNECT_MS = 5000 };

/* A time as answers have it, or null. */
#define TIME(value) "to_char((" value ") AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

#define MEMBER(name, value) "'\"" name "\":' || coalesce(to_json(" value ")::text, 'null')"
#define LOST                                                                                                 \
    "CASE WHEN s.lost_from IS NOT NULL THEN json_build_object('from', " TIME("s.lost_from") ", 'to', " TIME( \
        "s.lost_to") ") END"

/* Of w, the endpoint, and s, how it fares. */
#define ROW                                                                                                                                                                                                                                                            \
    " w.id, w.user_id, w.org_id, w.client_id, w.subscriber_url, array_to_json(w.triggers), w.active, w.secret, " MEMBER(                                                                                                                                               \
        "format",                                                                                                                                                                                                                                                      \
        "w.format") " || ',' || " MEMBER("version",                                                                                                                                                                                                                    \
                                         "w.version") " || ',' || " MEMBER("createdAt",                                                                                                                                                                                \
                                                                           TIME(                                                                                                                                                                                       \
                                                                               "w.created_at")) " || ',' || " MEMBER("disa"                                                                                                                                            \
                                                                                                                     "bled"                                                                                                                                            \
                                                                                                                     "At",                                                                                                                                             \
                                                                                                                     TIME(                                                                                                                                             \
                                                                                                                         "w.disabled_at")) " || ',' || " MEMBER("disabledReason",                                                                                      \
                                                                                                                                                                "w.disabled_reason") " || ',' || " MEMBER("previousSecretUntil",                                       \
                                                                                                                                                                                                          TIME(                                                        \
                                                                                                                                                                                                              "w.previous_secret_until")) " || ',' || " MEMBER("lost", \
                                                                                                                                                                                                                                                               LOST) ", w.revision "

#define STATE_OF_W " LEFT JOIN webhook_states s ON s.webhook_id = w.id "

/* The row that a function returned as o.webhook. */
#define RETURNED_ROW " CROSS JOIN LATERAL (SELECT (o.webhook).*) AS w"
#define RETURNED RETURNED_ROW STATE_OF_W
/* The statement sees the state as it was before: what is lost is so no more where the webhook starts again. */
#define STATE_UNLESS_RESTARTED " LEFT JOIN webhook_states s ON s.webhook_id = w.id AND NOT $9::boolean "

#define JOB                                                                                                            \
    "json_build_object('id', j.id, 'kind', j.kind, 'state', j.state, 'from', coalesce(" TIME(                          \
        "j.from_time") ", j.from_event),"                                                                              \
                       " 'to', CASE WHEN j.kind = 'replay' THEN " TIME(                                                \
                           "j.to_time") " END, 'triggers', array_to_json(j.triggers),"                                 \
                                        " 'delivered', j.delivered, 'failed', j.failed, 'status', j.status, 'error', " \
                                        "j.error,"                                                                     \
                                        " 'createdAt', " TIME("j.created_at") ", 'startedAt', " TIME(                  \
                                            "j.started_at") ", 'endedAt', " TIME("j.ended_at") ")"

static const struct {
    struct pg_statement statement;
    int params_len;
} queries
    [] =
        {
            [WEBHOOK_CLIENT] = {{"client",
                                 "SELECT (SELECT c.org_id FROM oauth_clients c WHERE c.id = $1::text),"
                                 " (SELECT m.role FROM oauth_clients c JOIN memberships m USING (org_id)"
                                 " WHERE c.id = $1::text AND m.user_id = $2::bigint),"
                                 " (SELECT min(m.org_id) FROM memberships m JOIN organizations o ON o.id = m.org_id"
                                 " WHERE m.user_id = $2::bigint),"
                                 " (SELECT count(*) FROM webhooks_of(NULL, NULL, $1::text))"},
                                2},
            [WEBHOOK_GET] = {{"get", "SELECT NULL," ROW "FROM webhooks w" STATE_OF_W
                                     "WHERE w.id = $1::uuid AND w.removed_at IS NULL"},
                             1},
            [WEBHOOK_LIST] = {{"list", "SELECT NULL," ROW "FROM webhooks_of($1::bigint, $2::bigint, $3::text) w" STATE_OF_W
                                       "ORDER BY w.created_at, w.id LIMIT $4::bigint OFFSET $5::bigint"},
                              5},
            [WEBHOOK_STATUS] =
                {
                    {"status", "SELECT json_build_object('active', w.active, 'disabledAt', " TIME(
                                   "w.disabled_at") ", 'disabledReason', w.disabled_reason,"
                                                    " 'lagSeconds', (SELECT CASE WHEN count(*) > 0 THEN greatest(0, "
                                                    "round(extract(epoch FROM now() - "
                                                    "min(coalesce(c.taken_until, o.taken_until)))::numeric, 3)) END"
                                                    "   FROM webhook_offsets o LEFT JOIN webhook_cursors c ON c.topic = "
                                                    "o.topic AND c.partition = o.partition"
                                                    "    AND c.webhook_id = w.id AND c.starts = w.starts),"
                                                    " 'lastSuccessAt', " TIME(
                                                        "s.last_success_at") ", 'failuresSince', coalesce(s.failures, 0),"
                                                                             " 'firstFailureAt', " TIME("s.first_failure_at") ", 'lastFailureAt', " TIME(
                                                                                 "s.last_failure_at") ","
                                                                                                      " 'lastStatus', "
                                                                                                      "s.last_status, "
                                                                                                      "'lastError', "
                                                                                                      "s.last_error,"
                                                                                                      " 'retrying', "
                                                                                                      "d.retrying, "
                                                                                                      "'waiting', "
                                                                                                      "d.waiting, 'failed', "
                                                                                                      "d.failed,"
                                                                                                      " 'oldestFailureAt',"
                                                                                                      " " TIME("d.oldest") ", 'nextAttemptAt', " TIME(
                                                                                                          "d.next") ","
                                                                                                                    " '"
                                                                                                                    "previou"
                                                                                                                    "sSecret"
                                                                                                                    "Until',"
                                                                                                                    " " TIME(
                                                                                                                        "w."
                                                                                                                        "pre"
                                                                                                                        "vio"
                                                                                                                        "us_"
                                                                                                                        "sec"
                                                                                                                        "ret"
                                                                                                                        "_un"
                                                                                                                        "ti"
                                                                                                                        "l") ","
                                                                                                                             " 'lost', " LOST
                                                                                                                             ")"
                                                                                                                             " FROM webhooks w" STATE_OF_W
                                                                                                                             "CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state = 'retrying') AS retrying,"
                                                                                                                             "  count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'failed') AS failed,"
                                                                                                                             "  min(first_failed_at) FILTER (WHERE state = 'retrying') AS oldest, min(next_attempt_at) AS next"
                                                                                                                             "  FROM webhook_deliveries WHERE webhook_id = w.id) AS d WHERE w.id = $1::uuid"},
                    1},
            [WEBHOOK_DELIVERIES] =
                {{"deliveries", "SELECT json_build_object('failures', coalesce((SELECT json_agg(json_build_object('id', "
                                "d.event_id, 'triggerEvent', d.trigger,"
                                " 'scheduleId', d.schedule_id, 'version', d.schedule_version, 'state', d.state, 'attempts', "
                                "d.attempts,"
                                " 'firstFailedAt', " TIME("d.first_failed_at") ", 'lastFailedAt', " TIME(
                                    "d.last_failed_at") ","
                                                        " 'nextAttemptAt', " TIME("d.next_attempt_at") ", 'failedAt', " TIME(
                                                            "d.failed_at") ", 'status', d.status, 'error', d.error)"
                                                                           " ORDER BY d.last_failed_at DESC)"
                                                                           " FROM (SELECT webhook_id, event_id, trigger, "
                                                                           "schedule_id, schedule_version, state, attempts, "
                                                                           "first_failed_at, last_failed_at,"
                                                                           "  next_attempt_at, failed_at, status, error "
                                                                           "FROM webhook_deliveries WHERE webhook_id = "
                                                                           "$1::uuid AND state <> 'waiting'"
                                                                           "  ORDER BY last_failed_at DESC LIMIT 100) AS "
                                                                           "d), '[]'),"
                                                                           " 'successes', coalesce((SELECT "
                                                                           "json_agg(json_build_object('at', " TIME(
                                                                               "to_timestamp((r.item ->> 'at')::bigint / "
                                                                               "1000.0)") ", 'status', r.item -> 'status') "
                                                                                          "ORDER BY r.place)"
                                                                                          " FROM webhook_states s CROSS "
                                                                                          "JOIN "
                                                                                          "jsonb_array_elements(s.recent) "
                                                                                          "WITH ORDINALITY AS r (item, "
                                                                                          "place)"
                                                                                          " WHERE s.webhook_id = $1::uuid), "
                                                                                          "'[]'))"},
                 1},
            [WEBHOOK_JOB] = {{"job", "SELECT " JOB " FROM webhook_jobs j WHERE j.webhook_id = $1::uuid AND j.id = $2::uuid"},
                             2},
            [WEBHOOK_CREATE] = {{"create",
                                 "SELECT o.verdict," ROW "FROM create_webhook($1::uuid, $2::bigint, $3::bigint, $4::text, "
                                 "$5::text, $6::text[], $7::boolean, $8::bytea, $9::text,"
                                 " $10::bigint) o" RETURNED},
                                10},
            [WEBHOOK_UPDATE] = {{"update",
                                 "SELECT o.verdict," ROW "FROM update_webhook($1::uuid, $2::bigint, $3::text, $4::text[], "
                                 "$5::boolean, $6::boolean, $7::bytea, $8::text,"
                                 " $9::boolean) o" RETURNED_ROW STATE_UNLESS_RESTARTED},
                                9},
            [WEBHOOK_DELETE] = {{"delete", "SELECT o.verdict," ROW "FROM delete_webhook($1::uuid, $2::bigint) o" RETURNED},
                                2},
            [WEBHOOK_DELETE_ALL] = {{"delete_all", "SELECT delete_client_webhooks($1::text)"}, 1},
            [WEBHOOK_JOB_CREATE] = {{"job_create", "SELECT o.verdict, " JOB
                                                   " FROM create_webhook_job($1::uuid, $2::uuid, $3::text, $4::timestamptz, "
                                                   "$5::text, $6::timestamptz, $7::text[], $8::bigint) o"
                                                   " CROSS JOIN LATERAL (SELECT (o.job).*) AS j"},
                                    8},
};

/* A query that was sent. */
struct asked {
    webhook_done *done;
    void *ctx;
    uint64_t caller;
    enum status status;
    PGresult *result; /* owned; NULL: not yet, or an error */
    char *client;     /* owned; of WEBHOOK_DELETE_ALL, while it may be sent once more */
    bool is_again;
};

struct connection {
    struct pg_statement statements[WEBHOOK_QUERIES];
    struct pg_config config;
    struct pg *pg;
    struct event *timer;                           /* until when what may be sent once more waits for a connection */
    enum status lost;                              /* what becomes of a query whose connection is lost */
    struct asked asked[WEBHOOK_STORE_PENDING_MAX]; /* a ring */
    size_t first;
    size_t len;
};

struct webhook_store {
    struct connection reads;
    struct connection changes;
};

/* ---- answers ---- */

static struct asked *asked_at(struct connection *connection, size_t index)
{
    return &connection->asked[(connection->first + index) % WEBHOOK_STORE_PENDING_MAX];
}

static void pop(struct connection *connection)
{
    PQclear(asked_at(connection, 0)->result);
    free(asked_at(connection, 0)->client);
    connection->first = (connection->first + 1) % WEBHOOK_STORE_PENDING_MAX;
    connection->len--;
}

/* The entry stays until done has returned, which may ask again. */
static void complete(struct connection *connection, enum status status)
{
    struct asked *asked = asked_at(connection, 0);
    const PGresult *result = status == STATUS_OK ? asked->result : NULL;
    if (asked->is_again) status = status == STATUS_OK ? STATUS_DUPLICATE : connection->lost;
    asked->done(asked->ctx, status, result);
    pop(connection);
}

/* What libpq does not take is lost with its connection, which is dropped from the loop. */
static void send_query(struct connection *connection, enum webhook_query query, const struct pg_param *params)
{
    if (pg_send(connection->pg, queries[query].statement.name, params, queries[query].params_len, false))
        (void)pg_sync(connection->pg);
}

/* What waits is to be sent once more. */
static void on_ready(void *ctx)
{
    struct connection *connection = ctx;
    event_del(connection->timer);
    for (size_t i = 0; i < connection->len; i++) {
        struct asked *asked = asked_at(connection, i);
        const struct pg_param client = {asked->client, (int)strlen(asked->client), false};
        asked->is_again = true;
        send_query(connection, WEBHOOK_DELETE_ALL, &client);
        free(asked->client);
        asked->client = NULL;
    }
}

static void on_result(void *ctx, const PGresult *result)
{
    struct connection *connection = ctx;
    struct asked *asked = asked_at(connection, 0);
    if (connection->len == 0) return;
    asked->status = pg_result_status(result);
    if (asked->status == STATUS_OK) asked->result = pg_take_result(connection->pg);
    else LOG_WARN("query of webhooks failed", LOG_STR("reason", PQresultErrorMessage(result)));
}

static void on_sync(void *ctx)
{
    struct connection *connection = ctx;
    if (connection->len > 0) complete(connection, asked_at(connection, 0)->status);
}

static void on_lost(void *ctx)
{
    struct connection *connection = ctx;
    for (size_t left = connection->len; left > 0; left--) {
        struct asked asked = *asked_at(connection, 0);
        if (asked.client == NULL) {
            complete(connection, connection->lost);
            continue;
        }
        PQclear(asked.result);
        asked.result = NULL;
        connection->first = (connection->first + 1) % WEBHOOK_STORE_PENDING_MAX;
        *asked_at(connection, connection->len - 1) = asked;
    }
    if (connection->len > 0) event_add(connection->timer, &(struct timeval){.tv_sec = RECONNECT_MS / 1000});
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
    struct connection *connection = ctx;
    (void)fd;
    (void)what;
    while (connection->len > 0) complete(connection, connection->lost);
}

/* ---- asking ---- */

static enum status admit(const struct connection *connection, uint64_t caller)
{
    size_t own = 0;
    if (!pg_is_ready(connection->pg)) return STATUS_UNAVAILABLE;
    if (connection->len == WEBHOOK_STORE_PENDING_MAX) return STATUS_OVERLOADED;
    for (size_t i = 0; i < connection->len; i++) {
        own += connection->asked[(connection->first + i) % WEBHOOK_STORE_PENDING_MAX].caller == caller;
    }
    return own >= WEBHOOK_STORE_PENDING_MAX / 4 ? STATUS_OVERLOADED : STATUS_OK;
}

enum status webhook_store_ask(struct webhook_store *store, uint64_t caller, enum webhook_query query,
                              const struct pg_param *params, webhook_done *done, void *ctx)
{
    struct connection *connection = query < WEBHOOK_CHANGES ? &store->reads : &store->changes;
    enum status status = admit(connection, caller);
    if (status != STATUS_OK) return status;
    char *client = query == WEBHOOK_DELETE_ALL ? strdup(params[0].data) : NULL; /* without memory it is not sent again */
    *asked_at(connection, connection->len++) =
        (struct asked){.done = done, .ctx = ctx, .caller = caller, .status = STATUS_FAILED, .client = client};
    send_query(connection, query, params);
    return STATUS_OK;
}

/* ---- rows ---- */

/* Data is NULL for SQL null. */
static struct slice text_at(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column)) return (struct slice){NULL, 0};
    return (struct slice){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

static int64_t number_at(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

struct webhook_row webhook_row_read(const PGresult *result, int row)
{
    return (struct webhook_row){
        .id = text_at(result, row, 1),
        .user_id = number_at(result, row, 2),
        .org_id = number_at(result, row, 3),
        .client_id = text_at(result, row, 4),
        .url = text_at(result, row, 5),
        .triggers_json = text_at(result, row, 6),
        .is_active = PQgetvalue(result, row, 7)[0] == 't',
        .secret_hex = text_at(result, row, 8),
        .rest_json = text_at(result, row, 9),
        .revision = number_at(result, row, 10),
    };
}

const char *webhook_verdict(const PGresult *result)
{
    return PQgetvalue(result, 0, 0);
}

/* ---- life cycle ---- */

static bool open_connection(struct connection *connection, struct event_base *base, const char *database_url,
                            const char *name, enum webhook_query from, enum webhook_query end)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    size_t len = 0;
    for (enum webhook_query query = from; query < end; query++) connection->statements[len++] = queries[query].statement;
    connection->config = (struct pg_config){
        .url = database_url,
        .application_name = name,
        .statements = connection->statements,
        .statements_len = len,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .lock_timeout_ms = LOCK_TIMEOUT_MS,
    };
    connection->timer = evtimer_new(base, on_timeout, connection);
    if (connection->timer != NULL) connection->pg = pg_new(base, &connection->config, &handler, connection);
    return connection->pg != NULL;
}

static void close_connection(struct connection *connection)
{
    if (connection->pg != NULL) pg_free(connection->pg);
    if (connection->timer != NULL) event_free(connection->timer);
    while (connection->len > 0) pop(connection);
}

struct webhook_store *webhook_store_new(struct event_base *base, const char *database_url)
{
    struct webhook_store *store = calloc(1, sizeof(*store));
    if (store == NULL) return NULL;
    store->reads.lost = STATUS_UNAVAILABLE;
    store->changes.lost = STATUS_UNKNOWN_OUTCOME;
    if (open_connection(&store->reads, base, database_url, "schedule-service webhooks reader", 0, WEBHOOK_CHANGES) &&
        open_connection(&store->changes, base, database_url, "schedule-service webhooks writer", WEBHOOK_CHANGES,
                        WEBHOOK_QUERIES)) {
        return store;
    }
    webhook_store_free(store);
    return NULL;
}

void webhook_store_free(struct webhook_store *store)
{
    if (store == NULL) return;
    close_connection(&store->reads);
    close_connection(&store->changes);
    free(store);
}
