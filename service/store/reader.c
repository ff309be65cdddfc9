/* Happy path: send the statement and its sync at once; results come back in the order sent, so a ring of what waits is
 * all there is to know. Access queries gather until the loop has dealt with what had come, for they are many and alike.
 *
 * Failure modes: an error fails its own statement only, for each is its own transaction; a lost connection fails all that
 * wait. */
#include "store/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/metrics.h"
#include "store/lookups.h"

enum { UNIT_TIMEOUT_MS = 5000 };

static const struct pg_statement statements[] = {
    {"access", access_sql},
    {"list_user_schedules", list_user_schedules_sql},
    {"list_org_schedules", list_org_schedules_sql},
    {"list_team_schedules", list_team_schedules_sql},
    {"get_schedule", get_schedule_sql},
    {"get_default_schedule", get_default_schedule_sql},
};

struct read {
    void (*take_result)(struct read *read, const PGresult *result);
    struct lookups *lookups; /* owned */
    schedules_done *schedules_done;
    schedule_done *schedule_done;
    void *ctx;
    int64_t sent_us;
    bool is_settled;
};

struct reader {
    struct pg_config config;
    struct pg *pg;
    struct read ring[READER_PENDING_MAX];
    size_t first;
    size_t len;
    struct lookups *gathered; /* to be sent; NULL: none */
    size_t looked_up;         /* lookups that are not answered */
    struct event *send;       /* active: some are gathered */
};

static const int64_t read_buckets[] = {250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000, 0};
static struct metric read_seconds = {
    .type = METRIC_HISTOGRAM,
    .name = "schedule_read_seconds",
    .labels = "",
    .scale = 1e-6,
    .buckets = read_buckets,
    .help = "Time from sending a query of the HTTP door to its answer.",
};
static struct metric read_failures = {
    .type = METRIC_COUNTER,
    .name = "schedule_read_failures_total",
    .labels = "",
    .help = "Queries of the HTTP door that failed or lost their connection.",
};

/* ---- answers ---- */

static void take_access(struct read *read, const PGresult *result)
{
    lookups_settle(read->lookups, result);
}

static void take_schedules(struct read *read, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    int len = status == STATUS_OK ? PQntuples(result) : 0;
    struct schedule_row *rows = calloc((size_t)len + 1, sizeof(*rows));
    if (rows == NULL) status = STATUS_NO_MEMORY;
    for (int i = 0; i < len && rows != NULL; i++) rows[i] = schedule_row_read(result, i);
    bool is_cut = len > 0 && schedules_are_cut(result, READER_LIST_BYTES_MAX);
    read->schedules_done(read->ctx, status, rows, rows == NULL ? 0 : (size_t)len, is_cut);
    free(rows);
}

static void take_schedule(struct read *read, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    enum schedule_standing standing = status == STATUS_OK ? schedule_standing_read(result) : SCHEDULE_NONE;
    struct schedule_row row = {0};
    if (standing != SCHEDULE_NONE) row = schedule_row_read(result, 0);
    read->schedule_done(read->ctx, status, standing, &row);
}

static void settle(struct read *read, const PGresult *result)
{
    bool is_answered = result != NULL && PQresultStatus(result) == PGRES_TUPLES_OK;
    if (read->is_settled) return;
    read->is_settled = true;
    metric_observe(&read_seconds, clock_steady_us() - read->sent_us);
    if (!is_answered) metric_add(&read_failures, 1);
    /* A lost connection was logged once, by the connection. */
    if (!is_answered && result != NULL) LOG_WARN("query failed", LOG_STR("reason", PQresultErrorMessage(result)));
    read->take_result(read, result);
}

static void pop(struct reader *reader)
{
    struct lookups *lookups = reader->ring[reader->first].lookups;
    if (lookups != NULL) reader->looked_up -= lookups_len(lookups);
    lookups_free(lookups);
    reader->first = (reader->first + 1) % READER_PENDING_MAX;
    reader->len--;
}

static void on_ready(void *ctx)
{
    (void)ctx;
}

/* Reads change nothing, so an answer need not wait for the sync. */
static void on_result(void *ctx, const PGresult *result)
{
    struct reader *reader = ctx;
    if (reader->len > 0) settle(&reader->ring[reader->first], result);
}

static void on_sync(void *ctx)
{
    struct reader *reader = ctx;
    if (reader->len == 0) return;
    settle(&reader->ring[reader->first], NULL);
    pop(reader);
}

static void give_up_gathered(struct reader *reader)
{
    struct lookups *lookups = reader->gathered;
    if (lookups == NULL) return;
    reader->gathered = NULL;
    reader->looked_up -= lookups_len(lookups);
    lookups_settle(lookups, NULL);
    lookups_free(lookups);
}

static void on_lost(void *ctx)
{
    struct reader *reader = ctx;
    /* done may not submit anew: the connection is not ready. */
    for (; reader->len > 0; pop(reader)) settle(&reader->ring[reader->first], NULL);
    give_up_gathered(reader);
}

/* ---- questions ---- */

static struct pg_param int_param(char text[static 24], int64_t value)
{
    int len = snprintf(text, 24, "%" PRId64, value);
    return (struct pg_param){.data = text, .len = len};
}

static enum status admit(const struct reader *reader)
{
    if (!pg_is_ready(reader->pg)) return STATUS_UNAVAILABLE;
    return reader->len + reader->looked_up >= READER_PENDING_MAX ? STATUS_OVERLOADED : STATUS_OK;
}

static void push(struct reader *reader, const struct read *read)
{
    struct read *slot = &reader->ring[(reader->first + reader->len++) % READER_PENDING_MAX];
    *slot = *read;
    slot->sent_us = clock_steady_us();
}

static enum status submit(struct reader *reader, const char *statement, const struct pg_param *params, int params_len,
                          const struct read *read)
{
    enum status status = admit(reader);
    if (status != STATUS_OK) return status;
    /* In the ring only once it is sent whole: what is half sent is lost with its connection. */
    if (!pg_send(reader->pg, statement, params, params_len, false) || !pg_sync(reader->pg)) return STATUS_UNAVAILABLE;
    push(reader, read);
    return STATUS_OK;
}

/* What cannot be sent stays gathered until on_lost, which follows. */
static void send_gathered(struct reader *reader)
{
    struct pg_param params[LOOKUPS_PARAMS];
    const struct read read = {.take_result = take_access, .lookups = reader->gathered};
    if (!lookups_params(reader->gathered, params)) {
        give_up_gathered(reader);
    } else if (pg_send(reader->pg, "access", params, LOOKUPS_PARAMS, false) && pg_sync(reader->pg)) {
        reader->gathered = NULL;
        push(reader, &read);
    }
}

static void on_send(evutil_socket_t fd, short what, void *ctx)
{
    struct reader *reader = ctx;
    (void)fd;
    (void)what;
    if (reader->gathered != NULL) send_gathered(reader);
}

enum status reader_access(struct reader *reader, const struct access_query *query, access_done *done, void *ctx)
{
    enum status status = admit(reader);
    if (status != STATUS_OK) return status;
    if (reader->gathered == NULL) {
        reader->gathered = lookups_new();
        event_active(reader->send, EV_TIMEOUT, 0);
    }
    if (reader->gathered == NULL || !lookups_add(reader->gathered, query, done, ctx)) return STATUS_NO_MEMORY;
    reader->looked_up++;
    if (lookups_len(reader->gathered) == LOOKUPS_MAX) send_gathered(reader);
    return STATUS_OK;
}

enum status reader_list_user_schedules(struct reader *reader, int64_t org_id, int64_t user_id, schedules_done *done,
                                       void *ctx)
{
    char most[24];
    char org[24];
    char user[24];
    const struct pg_param params[] = {
        int_param(most, READER_LIST_BYTES_MAX),
        int_param(org, org_id),
        int_param(user, user_id),
    };
    const struct read read = {.take_result = take_schedules, .schedules_done = done, .ctx = ctx};
    return submit(reader, "list_user_schedules", params, 3, &read);
}

/* team_id NULL: of all members. */
static enum status list_page(struct reader *reader, int64_t org_id, const int64_t *team_id, const struct page *page,
                             schedules_done *done, void *ctx)
{
    char most[24];
    char org[24];
    char take[24];
    char skip[24];
    char team[24];
    const struct pg_param params[] = {
        int_param(most, READER_LIST_BYTES_MAX),
        int_param(org, org_id),
        int_param(take, page->take),
        int_param(skip, page->skip),
        int_param(team, team_id == NULL ? 0 : *team_id),
    };
    const struct read read = {.take_result = take_schedules, .schedules_done = done, .ctx = ctx};
    if (team_id == NULL) return submit(reader, "list_org_schedules", params, 4, &read);
    return submit(reader, "list_team_schedules", params, 5, &read);
}

enum status reader_list_org_schedules(struct reader *reader, int64_t org_id, const struct page *page, schedules_done *done,
                                      void *ctx)
{
    return list_page(reader, org_id, NULL, page, done, ctx);
}

enum status reader_list_team_schedules(struct reader *reader, int64_t org_id, int64_t team_id, const struct page *page,
                                       schedules_done *done, void *ctx)
{
    return list_page(reader, org_id, &team_id, page, done, ctx);
}

enum status reader_get_schedule(struct reader *reader, int64_t org_id, int64_t user_id, int64_t schedule_id,
                                schedule_done *done, void *ctx)
{
    char org[24];
    char user[24];
    char id[24];
    const struct pg_param params[] = {int_param(org, org_id), int_param(user, user_id), int_param(id, schedule_id)};
    const struct read read = {.take_result = take_schedule, .schedule_done = done, .ctx = ctx};
    return submit(reader, "get_schedule", params, 3, &read);
}

enum status reader_get_default_schedule(struct reader *reader, int64_t org_id, int64_t user_id, schedule_done *done,
                                        void *ctx)
{
    char org[24];
    char user[24];
    const struct pg_param params[] = {int_param(org, org_id), int_param(user, user_id)};
    const struct read read = {.take_result = take_schedule, .schedule_done = done, .ctx = ctx};
    return submit(reader, "get_default_schedule", params, 2, &read);
}

/* ---- life cycle ---- */

void reader_metrics_register(void)
{
    metrics_register(&read_seconds);
    metrics_register(&read_failures);
}

struct reader *reader_new(struct event_base *base, const char *database_url, bool is_for_pages)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) return NULL;
    reader->config = (struct pg_config){
        .url = database_url,
        .application_name = "schedule-service reader",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = !is_for_pages,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    reader->send = evtimer_new(base, on_send, reader);
    reader->pg = pg_new(base, &reader->config, &handler, reader);
    if (reader->send != NULL && reader->pg != NULL) return reader;
    reader_free(reader);
    return NULL;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL) return;
    pg_free(reader->pg);
    if (reader->send != NULL) event_free(reader->send);
    lookups_free(reader->gathered);
    for (; reader->len > 0; pop(reader)) continue;
    free(reader);
}

bool reader_is_ready(const struct reader *reader)
{
    return pg_is_ready(reader->pg);
}
