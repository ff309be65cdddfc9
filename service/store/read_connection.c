/* Happy path: a read is sent with its sync as soon as fewer than sent_max are under way; results come back in the order sent, so a ring
 * of what was sent is all there is to know of it.
 *
 * Failure modes: an error fails its own statement only, for each is its own transaction; a lost connection fails all; what has waited
 * too long for its turn is given up. */
#include "store/read_connection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/metrics.h"
#include "store/schedule_query.h"

enum { UNIT_TIMEOUT_MS = 5000 };

static const struct pg_statement statements[] = {
    {"access", caller_sql},
    {"list_user_schedules", list_user_schedules_sql},
    {"list_org_schedules", list_org_schedules_sql},
    {"list_team_schedules", list_team_schedules_sql},
    {"list_people", list_people_sql},
    {"get_schedule", get_schedule_sql},
    {"get_default_schedule", get_default_schedule_sql},
};

struct read_connection {
    struct pg_config config;
    struct pg *pg;
    size_t sent_max;
    void (*on_lost)(void *ctx);
    void *ctx;
    struct pending_read sent[READER_PENDING_MAX]; /* a ring */
    size_t sent_first;
    size_t sent_len;
    struct pending_read waiting[READER_PENDING_MAX]; /* in no order */
    size_t waiting_len;
    uint64_t turn;   /* the one that was sent last */
    uint64_t number; /* the last one given */
};

static const int64_t read_buckets[] = {250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000, 0};
static struct metric read_seconds = {
    .type = METRIC_HISTOGRAM,
    .name = "schedule_read_seconds",
    .labels = "",
    .scale = 1e-6,
    .buckets = read_buckets,
    .help = "Time from sending a query of the HTTP API to its answer.",
};
static struct metric read_failures = {
    .type = METRIC_COUNTER,
    .name = "schedule_read_failures_total",
    .labels = "",
    .help = "Queries of the HTTP API that failed or lost their connection.",
};

/* ---- answers ---- */

static void complete(struct pending_read *pending_read, const PGresult *result)
{
    bool is_answered = result != NULL && PQresultStatus(result) == PGRES_TUPLES_OK;
    if (pending_read->is_complete) return;
    pending_read->is_complete = true;
    metric_observe(&read_seconds, clock_steady_us() - pending_read->since_us);
    if (!is_answered) metric_add(&read_failures, 1);
    /* A lost connection was logged once, by the connection. */
    if (!is_answered && result != NULL) LOG_WARN("query failed", LOG_STR("reason", PQresultErrorMessage(result)));
    pending_read->take_result(pending_read, result);
}

static void release(struct pending_read *pending_read)
{
    caller_lookup_free(pending_read->lookup);
    free(pending_read->list);
}

static void pop(struct read_connection *connection)
{
    release(&connection->sent[connection->sent_first]);
    connection->sent_first = (connection->sent_first + 1) % READER_PENDING_MAX;
    connection->sent_len--;
}

static struct pending_read take_waiting(struct read_connection *connection, size_t index)
{
    struct pending_read pending_read = connection->waiting[index];
    connection->waiting[index] = connection->waiting[--connection->waiting_len];
    return pending_read;
}

static void give_up(struct read_connection *connection, size_t index)
{
    struct pending_read pending_read = take_waiting(connection, index);
    complete(&pending_read, NULL);
    release(&pending_read);
}

static void give_up_late(struct read_connection *connection)
{
    int64_t late_us = clock_steady_us() - READ_WAIT_MAX_MS * INT64_C(1000);
    for (size_t i = connection->waiting_len; i > 0; i--) {
        if (i <= connection->waiting_len && connection->waiting[i - 1].since_us <= late_us) give_up(connection, i - 1);
    }
}

/* ---- sending ---- */

static bool is_before(const struct pending_read *one, const struct pending_read *other)
{
    return one->turn < other->turn || (one->turn == other->turn && one->number < other->number);
}

enum {
    PARAMS_MAX = (int)READ_PARAMS_MAX > (int)CALLER_LOOKUP_PARAMS ? (int)READ_PARAMS_MAX + 1 : (int)CALLER_LOOKUP_PARAMS
};

/* Parameters, and the text of those that are numbers. */
struct read_params {
    struct pg_param items[PARAMS_MAX];
    char texts[READ_PARAMS_MAX][24];
    int len;
};

/* False: no memory. */
static bool fill_params(const struct pending_read *pending_read, struct read_params *params)
{
    params->len = pending_read->lookup != NULL ? CALLER_LOOKUP_PARAMS : pending_read->params_len;
    if (pending_read->lookup != NULL) return caller_lookup_params(pending_read->lookup, params->items);
    for (int i = 0; i < params->len; i++) {
        int len = snprintf(params->texts[i], sizeof(params->texts[i]), "%" PRId64, pending_read->params[i]);
        params->items[i] = (struct pg_param){.data = params->texts[i], .len = len};
    }
    if (pending_read->list != NULL)
        params->items[params->len++] = (struct pg_param){.data = pending_read->list, .len = (int)strlen(pending_read->list)};
    return true;
}

/* What libpq does not take is lost with its connection, which is dropped from the loop. */
static void send_next(struct read_connection *connection)
{
    struct read_params params;
    size_t next = 0;
    for (size_t i = 1; i < connection->waiting_len; i++) {
        if (is_before(&connection->waiting[i], &connection->waiting[next])) next = i;
    }
    if (!fill_params(&connection->waiting[next], &params)) {
        give_up(connection, next);
        return;
    }
    struct pending_read *pending_read =
        &connection->sent[(connection->sent_first + connection->sent_len++) % READER_PENDING_MAX];
    *pending_read = take_waiting(connection, next);
    pending_read->since_us = clock_steady_us();
    connection->turn = pending_read->turn;
    if (pg_send(connection->pg, pending_read->statement, params.items, params.len, false)) (void)pg_sync(connection->pg);
}

static void send_waiting(struct read_connection *connection)
{
    while (connection->waiting_len > 0 && connection->sent_len < connection->sent_max && pg_is_ready(connection->pg)) {
        send_next(connection);
    }
}

static size_t waiting_of(const struct read_connection *connection, uint64_t caller)
{
    size_t len = 0;
    for (size_t i = 0; i < connection->waiting_len; i++) len += connection->waiting[i].caller == caller;
    return len;
}

enum status read_connection_admit(const struct read_connection *connection, uint64_t caller)
{
    if (!pg_is_ready(connection->pg)) return STATUS_UNAVAILABLE;
    if (connection->sent_len + connection->waiting_len >= READER_PENDING_MAX) return STATUS_OVERLOADED;
    return waiting_of(connection, caller) >= READ_CALLER_MAX ? STATUS_OVERLOADED : STATUS_OK;
}

void read_connection_submit(struct read_connection *connection, const struct pending_read *pending_read)
{
    struct pending_read *slot = &connection->waiting[connection->waiting_len];
    *slot = *pending_read;
    slot->turn = connection->turn + 1 + waiting_of(connection, pending_read->caller);
    slot->number = ++connection->number;
    slot->since_us = clock_steady_us();
    connection->waiting_len++;
    send_waiting(connection);
}

/* ---- the connection ---- */

static void on_ready(void *ctx)
{
    (void)ctx;
}

/* Reads change nothing, so an answer need not wait for the sync. */
static void on_result(void *ctx, const PGresult *result)
{
    struct read_connection *connection = ctx;
    if (connection->sent_len > 0) complete(&connection->sent[connection->sent_first], result);
}

static void on_sync(void *ctx)
{
    struct read_connection *connection = ctx;
    if (connection->sent_len == 0) return;
    complete(&connection->sent[connection->sent_first], NULL);
    pop(connection);
    give_up_late(connection);
    send_waiting(connection);
}

/* done may not submit again meanwhile: the connection is not ready. */
static void on_lost(void *ctx)
{
    struct read_connection *connection = ctx;
    for (; connection->sent_len > 0; pop(connection)) complete(&connection->sent[connection->sent_first], NULL);
    while (connection->waiting_len > 0) give_up(connection, connection->waiting_len - 1);
    if (connection->on_lost != NULL) connection->on_lost(connection->ctx);
}

/* ---- life cycle ---- */

void read_metrics_register(void)
{
    metrics_register(&read_seconds);
    metrics_register(&read_failures);
}

struct read_connection *read_connection_new(struct event_base *base, const struct read_connection_config *config,
                                            void (*lost)(void *ctx), void *ctx)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct read_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) return NULL;
    connection->sent_max = config->sent_max;
    connection->on_lost = lost;
    connection->ctx = ctx;
    connection->config = (struct pg_config){
        .url = config->database_url,
        .application_name = config->name,
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = config->keeps_plans,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
        .statement_timeout_ms = config->statement_timeout_ms,
    };
    connection->pg = pg_new(base, &connection->config, &handler, connection);
    if (connection->pg != NULL) return connection;
    free(connection);
    return NULL;
}

void read_connection_free(struct read_connection *connection)
{
    if (connection == NULL) return;
    pg_free(connection->pg);
    for (; connection->sent_len > 0; pop(connection)) continue;
    for (size_t i = 0; i < connection->waiting_len; i++) release(&connection->waiting[i]);
    free(connection);
}

bool read_connection_is_ready(const struct read_connection *connection)
{
    return pg_is_ready(connection->pg);
}
