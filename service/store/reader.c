/* Happy path: send the statement and its sync at once; results come back in the order sent, so a ring of what waits is
 * all there is to know.
 *
 * Failure modes: an error fails its own read only, for each is its own transaction; a lost connection fails all that
 * wait. */
#include "store/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/metrics.h"
#include "driver/pg.h"

enum { UNIT_TIMEOUT_MS = 5000 };

/* Every name of a schedule_row's columns stands here once; row_of reads them by number. */
#define SCHEDULE_COLUMNS                                                                      \
    "s.id, s.owner_id, s.org_id, s.name, s.time_zone, s.availability::text AS availability, " \
    "s.overrides::text AS overrides, d.schedule_id IS NOT NULL AS is_default, s.version"
#define SCHEDULE_TABLES "schedules s LEFT JOIN default_schedules d ON d.owner_id = s.owner_id AND d.schedule_id = s.id"

/* About what one takes in an answer. */
#define SCHEDULE_BYTES "(octet_length(s.availability::text) + octet_length(s.overrides::text) + octet_length(s.name) + 200)"

/* The running total says where the list is to be cut; the row that crosses it still comes and tells so. */
static const char list_sql[] =
    "SELECT * FROM (SELECT " SCHEDULE_COLUMNS ","
    " sum(" SCHEDULE_BYTES ") OVER (ORDER BY s.id) AS bytes, " SCHEDULE_BYTES " AS own_bytes"
    " FROM " SCHEDULE_TABLES " WHERE s.owner_id = $2::bigint AND (s.org_id = $1::bigint OR s.org_id IS NULL)) AS list"
    " WHERE bytes - own_bytes <= $3::bigint ORDER BY id";

static const char get_sql[] =
    "SELECT " SCHEDULE_COLUMNS ", 0 AS bytes FROM " SCHEDULE_TABLES
    " WHERE s.id = $2::bigint AND (s.org_id = $1::bigint OR (s.org_id IS NULL"
    " AND EXISTS (SELECT FROM memberships m WHERE m.org_id = $1::bigint AND m.user_id = s.owner_id)))";

static const struct pg_statement statements[] = {
    {"access", access_sql},
    {"list_schedules", list_sql},
    {"get_schedule", get_sql},
};

struct read {
    void (*take_result)(struct read *read, const PGresult *result);
    access_done *access_done;
    schedules_done *schedules_done;
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

static int64_t int_at(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static bool bool_at(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

static struct slice text_at(const PGresult *result, int row, int column)
{
    return (struct slice){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

static void take_access(struct read *read, const PGresult *result)
{
    struct access_facts facts = {0};
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    if (status == STATUS_OK) access_facts_read(result, &facts);
    read->access_done(read->ctx, status, &facts);
}

static struct schedule_row row_of(const PGresult *result, int row)
{
    return (struct schedule_row){
        .id = int_at(result, row, 0),
        .owner_id = int_at(result, row, 1),
        .org_id = int_at(result, row, 2),
        .name = text_at(result, row, 3),
        .time_zone = text_at(result, row, 4),
        .availability_json = text_at(result, row, 5),
        .overrides_json = text_at(result, row, 6),
        .is_default = bool_at(result, row, 7),
        .version = int_at(result, row, 8),
    };
}

static void take_schedules(struct read *read, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    int len = status == STATUS_OK ? PQntuples(result) : 0;
    struct schedule_row *rows = calloc((size_t)len + 1, sizeof(*rows));
    if (rows == NULL) status = STATUS_NO_MEMORY;
    for (int i = 0; i < len && rows != NULL; i++) rows[i] = row_of(result, i);
    bool is_cut = len > 0 && int_at(result, len - 1, 9) > READER_LIST_BYTES_MAX;
    read->schedules_done(read->ctx, status, rows, rows == NULL ? 0 : (size_t)len, is_cut);
    free(rows);
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

static void on_lost(void *ctx)
{
    struct reader *reader = ctx;
    /* done may not submit anew: the connection is not ready. */
    for (; reader->len > 0; pop(reader)) settle(&reader->ring[reader->first], NULL);
}

/* ---- questions ---- */

static struct pg_param int_param(char text[static 24], int64_t value)
{
    int len = snprintf(text, 24, "%" PRId64, value);
    return (struct pg_param){.data = text, .len = len};
}

static enum status submit(struct reader *reader, const char *statement, const struct pg_param *params, int params_len,
                          const struct read *read)
{
    if (!pg_is_ready(reader->pg)) return STATUS_UNAVAILABLE;
    if (reader->len == READER_PENDING_MAX) return STATUS_OVERLOADED;
    /* In the ring only once it is sent whole: what is half sent is lost with its connection. */
    if (!pg_send(reader->pg, statement, params, params_len, false) || !pg_sync(reader->pg)) return STATUS_UNAVAILABLE;
    struct read *slot = &reader->ring[(reader->first + reader->len++) % READER_PENDING_MAX];
    *slot = *read;
    slot->sent_us = clock_steady_us();
    return STATUS_OK;
}

enum status reader_access(struct reader *reader, const struct access_query *query, access_done *done, void *ctx)
{
    char org_id[24];
    char team_id[24];
    char user_id[24];
    const struct pg_param params[] = {
        {.data = (const char *)query->key_hash, .len = ACCESS_HASH_LEN, .is_binary = true},
        {.data = query->client_id, .len = (int)slice_of(query->client_id).len},
        int_param(org_id, query->org_id),
        int_param(team_id, query->team_id),
        int_param(user_id, query->user_id),
    };
    const struct read read = {.take_result = take_access, .access_done = done, .ctx = ctx};
    return submit(reader, "access", params, sizeof(params) / sizeof(params[0]), &read);
}

enum status reader_list_schedules(struct reader *reader, int64_t org_id, int64_t user_id, schedules_done *done, void *ctx)
{
    char org[24];
    char user[24];
    char most[24];
    const struct pg_param params[] = {
        int_param(org, org_id),
        int_param(user, user_id),
        int_param(most, READER_LIST_BYTES_MAX),
    };
    const struct read read = {.take_result = take_schedules, .schedules_done = done, .ctx = ctx};
    return submit(reader, "list_schedules", params, 3, &read);
}

enum status reader_get_schedule(struct reader *reader, int64_t org_id, int64_t schedule_id, schedules_done *done, void *ctx)
{
    char org[24];
    char id[24];
    const struct pg_param params[] = {int_param(org, org_id), int_param(id, schedule_id)};
    const struct read read = {.take_result = take_schedules, .schedules_done = done, .ctx = ctx};
    return submit(reader, "get_schedule", params, 2, &read);
}

/* ---- life cycle ---- */

struct reader *reader_new(struct event_base *base, const char *database_url)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) return NULL;
    reader->config = (struct pg_config){
        .url = database_url,
        .application_name = "schedule-service reader",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    reader->pg = pg_new(base, &reader->config, &handler, reader);
    if (reader->pg == NULL) {
        free(reader);
        return NULL;
    }
    metrics_register(&read_seconds);
    metrics_register(&read_failures);
    return reader;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL) return;
    pg_free(reader->pg);
    free(reader);
}

bool reader_is_ready(const struct reader *reader)
{
    return pg_is_ready(reader->pg);
}
