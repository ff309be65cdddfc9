/* Happy path: connect without blocking, enter pipeline mode, prepare the statements as the first unit, then units in order.
 *
 * Failure modes: a refused or lost connection, a unit that is not answered in time and a full libpq all end in drop(), which
 * calls on_lost once and connects again, host by host (pg_dial.h), after a jittered wait of 0.1 to 5 seconds. The server's process of a
 * lost connection may work on and hold locks, as it looks at its socket only when it is done: the next connection ends it. */
#include "driver/pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/pg_dial.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000, BACKEND_SIZE = 64, SCHEMA_REPORT_US = 60000000 };

enum pg_state { PG_WAITING, PG_CONNECTING, PG_PREPARING, PG_READY };

static const char *const state_names[] = {"waiting", "connecting", "preparing", "ready"};

struct pg {
    struct event_base *base;
    const struct pg_config *config;
    struct pg_handler handler;
    void *ctx;
    struct pg_setting settings[6];
    struct pg_dial *dial; /* while connecting */
    PGconn *conn;         /* once connected */
    struct event *socket_event;
    struct event *timer; /* the next connect, or the deadline of what is under way */
    enum pg_state state;
    size_t units_sent; /* and not answered */
    int64_t backoff_ms;
    PGresult *result;             /* at hand; NULL: it was taken */
    char backend[BACKEND_SIZE];   /* the server's process; "": not known yet */
    char abandoned[BACKEND_SIZE]; /* the one of a lost connection that had work; "": none */
    bool wants_write;
    bool lacks_schema; /* doomed for that */
    bool lacks_session;
    bool has_own_session; /* so far, in the unit at hand */
    bool doomed;          /* to be dropped from the loop, not from inside the caller */
    const char *doom;     /* why; NULL: libpq knows */
};

static void on_socket(evutil_socket_t fd, short what, void *ctx);
static void on_timer(evutil_socket_t fd, short what, void *ctx);

/* The one place that moves the state. */
static void enter(struct pg *pg, enum pg_state state, const char *reason)
{
    LOG_DEBUG("postgres connection", LOG_STR("name", pg->config->application_name), LOG_STR("from", state_names[pg->state]),
              LOG_STR("to", state_names[state]), LOG_STR("reason", reason));
    pg->state = state;
}

static void arm(struct pg *pg, int64_t after_ms)
{
    struct timeval after = {.tv_sec = after_ms / 1000, .tv_usec = after_ms % 1000 * 1000};
    event_add(pg->timer, &after);
}

static void forget_socket(struct pg *pg)
{
    if (pg->socket_event != NULL) event_free(pg->socket_event);
    pg->socket_event = NULL;
}

/* Marks it for dropping once the caller has returned to the loop. */
static bool doom(struct pg *pg)
{
    pg->doomed = true;
    event_active(pg->timer, EV_TIMEOUT, 0);
    return false;
}

static void watch(struct pg *pg, int fd, short what)
{
    forget_socket(pg);
    pg->socket_event = event_new(pg->base, fd, (short)(what | EV_PERSIST), on_socket, pg);
    if (pg->socket_event == NULL || event_add(pg->socket_event, NULL) != 0) doom(pg);
}

static void drop(struct pg *pg, const char *reason)
{
    bool was_ready = pg->state == PG_READY;
    LOG_AT(pg->lacks_schema || pg->lacks_session ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "postgres connection lost",
           LOG_STR("name", pg->config->application_name), LOG_STR("reason", reason));
    forget_socket(pg);
    pg_dial_free(pg->dial);
    pg->dial = NULL;
    PQfinish(pg->conn);
    pg->conn = NULL;
    if (pg->units_sent > 0 && pg->backend[0] != '\0') memcpy(pg->abandoned, pg->backend, sizeof(pg->abandoned));
    pg->backend[0] = '\0';
    pg->units_sent = 0;
    pg->doomed = false;
    pg->lacks_schema = false;
    pg->doom = NULL;
    enter(pg, PG_WAITING, "lost");
    /* Full jitter keeps a fleet from coming back in step; random() is good enough for that. */
    arm(pg, pg->backoff_ms / 2 + random() % (pg->backoff_ms / 2 + 1));
    pg->backoff_ms = pg->backoff_ms * 2 < BACKOFF_MAX_MS ? pg->backoff_ms * 2 : BACKOFF_MAX_MS;
    if (was_ready) pg->handler.on_lost(pg->ctx);
}

static void flush(struct pg *pg)
{
    int left = PQflush(pg->conn);
    if (left < 0) {
        doom(pg);
        return;
    }
    if ((left > 0) != pg->wants_write) {
        pg->wants_write = left > 0;
        watch(pg, PQsocket(pg->conn), pg->wants_write ? EV_READ | EV_WRITE : EV_READ);
    }
}

static bool send_limit(struct pg *pg, const char *name, int64_t limit_ms)
{
    char sql[64];
    if (limit_ms == 0) return true;
    snprintf(sql, sizeof(sql), "SET %s = %" PRId64, name, limit_ms);
    return PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

/* A plan that is kept may have been made while the tables were small: it must not read them whole. */
static bool send_settings(struct pg *pg)
{
    static const char *const kept[] = {"SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off", NULL};
    static const char *const again[] = {"SET plan_cache_mode = force_custom_plan", NULL};
    for (const char *const *sql = pg->config->keeps_plans ? kept : again; *sql != NULL; sql++) {
        if (PQsendQueryParams(pg->conn, *sql, 0, NULL, NULL, NULL, NULL, 0) != 1) return false;
    }
    return send_limit(pg, "lock_timeout", pg->config->lock_timeout_ms) &&
           send_limit(pg, "statement_timeout", pg->config->statement_timeout_ms);
}

/* Names the server's process, so that the next connection can end it, and ends that of the last one. In SQL: it comes by the same way,
 * encrypted as that is, and does not block, which PQcancel does. A number alone may be another one's by now, or on another server.
 * What waits for a standby has committed: ended, it would be seen before the standby has it. */
static bool send_backend(struct pg *pg)
{
    const char *abandoned = pg->abandoned;
    if (abandoned[0] != '\0' &&
        PQsendQueryParams(
            pg->conn,
            "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE concat_ws(' ', pid, backend_start) = $1 "
            "AND usename = current_user AND wait_event IS DISTINCT FROM 'SyncRep'",
            1, NULL, &abandoned, NULL, NULL, 0) != 1) {
        return false;
    }
    return PQsendQueryParams(pg->conn,
                             "SELECT concat_ws(' ', pid, backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()",
                             0, NULL, NULL, NULL, NULL, 0) == 1;
}

static bool send_statements(struct pg *pg)
{
    for (size_t i = 0; i < pg->config->statements_len; i++) {
        const struct pg_statement *statement = &pg->config->statements[i];
        if (PQsendPrepare(pg->conn, statement->name, statement->sql, 0, NULL) != 1) return false;
    }
    return true;
}

static void start_preparing(struct pg *pg)
{
    enter(pg, PG_PREPARING, "connected");
    pg->conn = pg_dial_take(pg->dial);
    pg_dial_free(pg->dial);
    pg->dial = NULL;
    pg->wants_write = false;
    watch(pg, PQsocket(pg->conn), EV_READ);
    if (PQsetnonblocking(pg->conn, 1) != 0 || PQenterPipelineMode(pg->conn) != 1) {
        doom(pg);
        return;
    }
    if (!send_settings(pg) || !send_backend(pg) || !send_statements(pg)) {
        doom(pg);
        return;
    }
    pg_sync(pg);
}

static void go_on_connecting(struct pg *pg)
{
    forget_socket(pg);
    enum pg_dial_state state = pg_dial_step(pg->dial);
    switch (state) {
    case PG_DIAL_READING:
    case PG_DIAL_WRITING:
        watch(pg, pg_dial_fd(pg->dial), state == PG_DIAL_READING ? EV_READ : EV_WRITE);
        if (!pg->doomed) arm(pg, pg_dial_left_ms(pg->dial));
        break;
    case PG_DIAL_CONNECTED: start_preparing(pg); break;
    case PG_DIAL_FAILED: drop(pg, pg_dial_reason(pg->dial)); break;
    }
}

static void start_connecting(struct pg *pg)
{
    enter(pg, PG_CONNECTING, "start");
    pg->dial = pg_dial_new(pg->config->application_name, pg->config->url, pg->settings,
                           sizeof(pg->settings) / sizeof(pg->settings[0]));
    if (pg->dial == NULL) drop(pg, "out of memory");
    else go_on_connecting(pg);
}

static void on_unit_done(struct pg *pg)
{
    pg->units_sent--;
    if (pg->units_sent > 0) arm(pg, pg->config->unit_timeout_ms);
    else event_del(pg->timer);
    if (pg->state == PG_READY) {
        if (pg->has_own_session) pg->lacks_session = false;
        pg->has_own_session = true;
        pg->handler.on_sync(pg->ctx);
        return;
    }
    enter(pg, PG_READY, "prepared");
    pg->abandoned[0] = '\0';
    pg->backoff_ms = BACKOFF_FIRST_MS;
    pg->handler.on_ready(pg->ctx);
}

/* Where nobody has migrated yet every connection fails, and whoever watches the schema says so once. Only one that goes on failing is worth a
 * line, now and then: the schema may be there, and a statement wrong. */
static bool is_schema_overdue(void)
{
    static int64_t next_us;
    int64_t now_us = clock_steady_us();
    bool is_overdue = next_us != 0 && now_us >= next_us;
    if (next_us == 0 || is_overdue) next_us = now_us + SCHEMA_REPORT_US;
    return is_overdue;
}

/* 26000: prepared, and not there; 42P05: there, and not prepared. All connections fare alike: one line now and then is enough. */
static void mind_session(struct pg *pg, const PGresult *result)
{
    static int64_t next_us;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (sqlstate == NULL || (strcmp(sqlstate, "26000") != 0 && strcmp(sqlstate, "42P05") != 0)) return;
    pg->lacks_session = true;
    pg->has_own_session = false;
    if (clock_steady_us() < next_us) return;
    next_us = clock_steady_us() + SCHEMA_REPORT_US;
    LOG_ERROR("a pooler before PostgreSQL gives each transaction another session; set it to session pooling",
              LOG_STR("name", pg->config->application_name), LOG_STR("sqlstate", sqlstate),
              LOG_STR("reason", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static void on_result(struct pg *pg, const PGresult *result)
{
    mind_session(pg, result);
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        on_unit_done(pg);
    } else if (pg->state == PG_READY) {
        pg->handler.on_result(pg->ctx, result);
    } else if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        if (PQnfields(result) == 1 && PQntuples(result) == 1)
            snprintf(pg->backend, sizeof(pg->backend), "%s", PQgetvalue(result, 0, 0));
    } else if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        pg->lacks_schema = pg_lacks_schema(result);
        bool is_reported = pg->lacks_session || (pg->lacks_schema && !is_schema_overdue());
        LOG_AT(is_reported ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, "statement not prepared",
               LOG_STR("name", pg->config->application_name), LOG_STR("reason", PQresultErrorMessage(result)));
        doom(pg);
    }
}

/* Where nothing was asked libpq hands what comes to the notice receiver, as the reason why the server ends the session. */
static void read_unasked(struct pg *pg)
{
    PQclear(PQgetResult(pg->conn)); /* idle from now on, which it is not right behind a sync */
    (void)PQisBusy(pg->conn);
}

static void on_readable(struct pg *pg)
{
    if (PQconsumeInput(pg->conn) != 1) {
        drop(pg, PQerrorMessage(pg->conn));
        return;
    }
    /* A NULL only parts one statement's results from the next's; two in a row, or nothing outstanding, is the end. */
    int nulls = 0;
    if (pg->units_sent == 0) read_unasked(pg);
    while (!pg->doomed && pg->units_sent > 0 && nulls < 2 && !PQisBusy(pg->conn)) {
        pg->result = PQgetResult(pg->conn);
        nulls = pg->result == NULL ? nulls + 1 : 0;
        if (pg->result != NULL) on_result(pg, pg->result);
        PQclear(pg->result);
    }
    if (PQstatus(pg->conn) == CONNECTION_BAD) drop(pg, PQerrorMessage(pg->conn));
}

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
    struct pg *pg = ctx;
    (void)fd;
    if (pg->state == PG_CONNECTING) {
        go_on_connecting(pg);
        return;
    }
    if (what & EV_WRITE) flush(pg);
    if ((what & EV_READ) && !pg->doomed) on_readable(pg);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct pg *pg = ctx;
    (void)fd;
    (void)what;
    if (pg->state == PG_WAITING) start_connecting(pg);
    else if (pg->state == PG_CONNECTING && !pg->doomed) go_on_connecting(pg);
    else if (!pg->doomed) drop(pg, "no answer in time");
    else drop(pg, pg->doom != NULL ? pg->doom : PQerrorMessage(pg->conn));
}

struct pg *pg_new(struct event_base *base, const struct pg_config *config, const struct pg_handler *handler, void *ctx)
{
    struct pg *pg = calloc(1, sizeof(*pg));
    if (pg == NULL) return NULL;
    *pg = (struct pg){.base = base,
                      .config = config,
                      .handler = *handler,
                      .ctx = ctx,
                      .backoff_ms = BACKOFF_FIRST_MS,
                      .settings = {{.keyword = "application_name", .value = config->application_name},
                                   {.keyword = "client_encoding", .value = "UTF8"},
                                   {.keyword = "keepalives_idle", .value = "10"},
                                   {.keyword = "keepalives_interval", .value = "5"},
                                   {.keyword = "keepalives_count", .value = "3"},
                                   {.keyword = "tcp_user_timeout", .value = "15000"}}};
    pg->timer = evtimer_new(base, on_timer, pg);
    if (pg->timer == NULL) {
        free(pg);
        return NULL;
    }
    arm(pg, 0);
    return pg;
}

void pg_free(struct pg *pg)
{
    if (pg == NULL) return;
    forget_socket(pg);
    event_free(pg->timer);
    pg_dial_free(pg->dial);
    PQfinish(pg->conn);
    free(pg);
}

bool pg_is_ready(const struct pg *pg)
{
    return pg->state == PG_READY && !pg->doomed;
}

/* Parameters as libpq wants them. */
struct param_arrays {
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX];
    int formats[PG_PARAMS_MAX];
};

static void fill(struct param_arrays *arrays, const struct pg_param *params, int params_len)
{
    for (int i = 0; i < params_len; i++) {
        arrays->values[i] = params[i].data;
        arrays->lengths[i] = params[i].len;
        arrays->formats[i] = params[i].is_binary;
    }
}

bool pg_send(struct pg *pg, const char *statement, const struct pg_param *params, int params_len, bool binary_rows)
{
    struct param_arrays arrays;
    if (pg->doomed) return false;
    fill(&arrays, params, params_len);
    int is_sent =
        PQsendQueryPrepared(pg->conn, statement, params_len, arrays.values, arrays.lengths, arrays.formats, binary_rows);
    return is_sent == 1 || doom(pg);
}

bool pg_sync(struct pg *pg)
{
    if (pg->doomed) return false;
    if (PQpipelineSync(pg->conn) != 1) return doom(pg);
    if (pg->units_sent++ == 0) arm(pg, pg->config->unit_timeout_ms);
    flush(pg);
    return !pg->doomed;
}

PGresult *pg_take_result(struct pg *pg)
{
    PGresult *result = pg->result;
    pg->result = NULL;
    return result;
}

void pg_drop(struct pg *pg, const char *reason)
{
    pg->doom = reason;
    doom(pg);
}

bool pg_lacks_session(const struct pg *pg)
{
    return pg->lacks_session;
}

bool pg_lacks_schema(const PGresult *result)
{
    static const char *const states[] = {"42P01", "42703", "42883"};
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]) && sqlstate != NULL; i++) {
        if (strcmp(sqlstate, states[i]) == 0) return true;
    }
    return false;
}

enum status pg_result_status(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return STATUS_OK;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool is_data = sqlstate != NULL && (strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0);
    return is_data ? STATUS_UNSTORABLE : STATUS_UNAVAILABLE;
}
