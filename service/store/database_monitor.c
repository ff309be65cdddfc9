#include "store/database_monitor.h"

#include <stdlib.h>
#include <string.h>

#include "driver/log.h"
#include "driver/metrics.h"
#include "driver/pg.h"
#include "driver/pg_array.h"

enum { EVERY_MS = 2000, WAITING_MS = 20, UNIT_TIMEOUT_MS = 10000 };

/* The version and what a relay has said go through query_to_xml because a statement on what is not there yet cannot even be prepared. A
 * standby has no insert position. */
static const struct pg_statement statements[] = {
    {"look",
     "SELECT CASE WHEN to_regclass('schema_migrations') IS NULL THEN 0::bigint ELSE coalesce(substring(query_to_xml("
     "'SELECT max(version) AS v FROM schema_migrations', false, false, '')::text FROM '<v>([0-9]+)</v>')::bigint, 0) END, "
     "CASE WHEN to_regclass('schema_functions') IS NULL THEN '' ELSE coalesce(substring(query_to_xml("
     "'SELECT checksum AS c FROM schema_functions', false, false, '')::text FROM '<c>(.+)</c>'), '') END, "
     "current_setting('transaction_read_only')::bool::int::bigint, "
     "(s.slot_name IS NOT NULL AND s.wal_status IS DISTINCT FROM 'lost')::int::bigint, "
     "coalesce(s.active, false)::int::bigint, "
     "greatest(coalesce(pg_wal_lsn_diff(wanted.lsn, s.confirmed_flush_lsn), 0), 0)::bigint, "
     "greatest(coalesce(pg_wal_lsn_diff(wanted.lsn, s.restart_lsn), 0), 0)::bigint, "
     "coalesce(s.safe_wal_size * 1e6 / nullif(pg_size_bytes(current_setting('max_slot_wal_keep_size')), 0), 1e6)::bigint, "
     "coalesce(array_position(ARRAY['reserved', 'extended', 'unreserved', 'lost'], s.wal_status), 0)::bigint, "
     "CASE WHEN to_regproc('position_state') IS NULL THEN '' ELSE substring(query_to_xml(format("
     "'SELECT position_state(%L) AS s', wanted.name), false, false, '')::text FROM '<s>(.+)</s>') END, " POSITION_COLUMNS " "
     "FROM (SELECT $1::text AS name, CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
     "ELSE pg_current_wal_insert_lsn() END AS lsn) AS wanted "
     "LEFT JOIN pg_replication_slots s ON s.slot_name = wanted.name"},
};

/* Columns of look; those of a position come last. */
enum { VERSION, FUNCTIONS, READ_ONLY, SLOT, ACTIVE, BEHIND, KEPT, SAFE, WAL_STATUS, POSITION_STATE, POSITION };

/* Nothing is known, so that no alarm rings of it. */
static const struct database_view unknown = {.slot_safe_ppm = DATABASE_SAFE_PPM};

struct database_monitor {
    struct pg_config pg_config;
    struct pg *pg;
    struct event *timer;
    struct event *again; /* pending: before the timer is due */
    const char *slot;
    struct database_schema schema;
    void (*changed)(void *ctx, const struct database_view *view);
    void *ctx;
    struct database_view view;
    struct position_mark mark; /* kept while the database is away */
    bool asked;
};

static struct metric slot_present = {.type = METRIC_GAUGE,
                                     .name = "schedule_slot_present",
                                     .labels = "",
                                     .help = "1 while the replication slot is there and not invalidated."};
static struct metric slot_active = {.type = METRIC_GAUGE,
                                    .name = "schedule_slot_active",
                                    .labels = "",
                                    .help = "1 while a relay, of any replica, holds the replication slot."};
static struct metric accepted = {.type = METRIC_GAUGE,
                                 .name = "schedule_position_accepted",
                                 .labels = "",
                                 .help = "1 while writes may pass to the database as it stands: a relay has accepted it."};
static struct metric slot_behind = {.type = METRIC_GAUGE,
                                    .name = "schedule_slot_behind_bytes",
                                    .labels = "",
                                    .help = "WAL that the slot's relay has not confirmed."};

static struct metric slot_kept = {.type = METRIC_GAUGE,
                                  .name = "schedule_slot_kept_bytes",
                                  .labels = "",
                                  .help = "WAL that the server keeps for the slot, from its restart_lsn."};
static struct metric slot_safe = {
    .type = METRIC_GAUGE,
    .name = "schedule_slot_safe_ratio",
    .labels = "",
    .help = "The slot's safe_wal_size as a share of max_slot_wal_keep_size; 1 without such a limit.",
    .scale = 1e-6};

static void write_wal_status(struct buf *out, const struct metric *metric)
{
    static const char *const labels[] = {"status=\"reserved\"", "status=\"extended\"", "status=\"unreserved\"",
                                         "status=\"lost\""};
    for (int i = 0; i < 4; i++) metric_write(out, metric, labels[i], metric_get(metric) == i + 1);
}

static struct metric slot_wal_status = {.type = METRIC_GAUGE,
                                        .name = "schedule_slot_wal_status",
                                        .help = "1 for the slot's wal_status, as pg_replication_slots has it.",
                                        .write_series = write_wal_status};

static void show(struct database_monitor *monitor)
{
    metric_set(&slot_kept, monitor->view.slot_kept_bytes);
    metric_set(&slot_safe, monitor->view.slot_safe_ppm);
    metric_set(&slot_wal_status, monitor->view.slot_wal_status);
    metric_set(&slot_present, monitor->view.has_slot);
    metric_set(&slot_active, monitor->view.is_slot_active);
    metric_set(&slot_behind, monitor->view.slot_behind_bytes);
    metric_set(&accepted, monitor->view.is_accepted);
    monitor->view.is_pooled = !monitor->view.is_known && pg_lacks_session(monitor->pg);
    monitor->changed(monitor->ctx, &monitor->view);
}

static void ask(struct database_monitor *monitor)
{
    if (monitor->asked || !pg_is_ready(monitor->pg)) return;
    const struct pg_param slot = {monitor->slot, (int)strlen(monitor->slot), false};
    monitor->asked = true;
    if (pg_send(monitor->pg, "look", &slot, 1, true)) (void)pg_sync(monitor->pg);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    ask(ctx);
}

static void on_ready(void *ctx)
{
    ask(ctx);
}

static int64_t number(const PGresult *result, int column)
{
    return pg_get_int8(PQgetvalue(result, 0, column));
}

/* What was accepted stays so while the server is the same and not set back, whether a relay works or not. */
static bool is_accepted(struct database_monitor *monitor, const PGresult *result)
{
    struct position position;
    position_read(result, POSITION, &position);
    bool is_told = position.timeline != 0 && strcmp(PQgetvalue(result, 0, POSITION_STATE), "accepted") == 0;
    bool ok = is_told || position_is_at(&position, &monitor->mark);
    if (ok) position_note(&position, &monitor->mark);
    return ok;
}

/* What is not known here is newer. */
static bool has_schema(const struct database_schema *schema, const PGresult *result)
{
    const char *functions = PQgetvalue(result, 0, FUNCTIONS);
    if (number(result, VERSION) < schema->version || functions[0] == '\0') return false;
    for (const char *const *former = schema->former_functions; *former != NULL; former++) {
        if (strcmp(*former, functions) == 0) return false;
    }
    return true;
}

static void on_result(void *ctx, const PGresult *result)
{
    struct database_monitor *monitor = ctx;
    monitor->view = unknown;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) return;
    monitor->view.is_known = true;
    monitor->view.has_schema = has_schema(&monitor->schema, result);
    monitor->view.is_read_only = number(result, READ_ONLY) != 0;
    monitor->view.is_slot_active = number(result, ACTIVE) != 0;
    monitor->view.slot_behind_bytes = number(result, BEHIND);
    monitor->view.slot_kept_bytes = number(result, KEPT);
    monitor->view.slot_safe_ppm = number(result, SAFE);
    monitor->view.slot_wal_status = number(result, WAL_STATUS);
    monitor->view.knows_slot = strcmp(PQgetvalue(result, 0, POSITION_STATE), "unknown") != 0;
    bool is_refused = strcmp(PQgetvalue(result, 0, POSITION_STATE), "refused") == 0;
    monitor->view.has_slot = number(result, SLOT) != 0 && !is_refused;
    monitor->view.is_accepted = monitor->view.has_slot && is_accepted(monitor, result);
    monitor->view.mark = monitor->mark;
}

static void on_sync(void *ctx)
{
    static const struct timeval soon = {.tv_usec = WAITING_MS * 1000};
    struct database_monitor *monitor = ctx;
    const struct database_view *view = &monitor->view;
    monitor->asked = false;
    if (!view->is_read_only && view->has_schema && view->has_slot && !view->is_accepted) event_add(monitor->again, &soon);
    show(monitor);
}

static void on_lost(void *ctx)
{
    struct database_monitor *monitor = ctx;
    monitor->asked = false;
    monitor->view = unknown;
    show(monitor);
}

struct database_monitor *database_monitor_new(struct event_base *base, const char *database_url, const char *slot,
                                              const struct database_schema *schema,
                                              void (*changed)(void *ctx, const struct database_view *view), void *ctx)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct database_monitor *monitor = calloc(1, sizeof(*monitor));
    if (monitor == NULL) return NULL;
    monitor->view = unknown;
    monitor->slot = slot;
    monitor->schema = *schema;
    monitor->changed = changed;
    monitor->ctx = ctx;
    monitor->pg_config = (struct pg_config){
        .url = database_url,
        .application_name = "schedule-service monitor",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = true,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    monitor->timer = event_new(base, -1, EV_PERSIST, on_timer, monitor);
    monitor->again = evtimer_new(base, on_timer, monitor);
    monitor->pg = pg_new(base, &monitor->pg_config, &handler, monitor);
    if (monitor->timer == NULL || monitor->again == NULL || monitor->pg == NULL) {
        database_monitor_free(monitor);
        return NULL;
    }
    event_add(monitor->timer, &(struct timeval){.tv_sec = EVERY_MS / 1000});
    metrics_register(&slot_present);
    metrics_register(&slot_active);
    metrics_register(&slot_behind);
    metrics_register(&slot_kept);
    metrics_register(&slot_safe);
    metrics_register(&slot_wal_status);
    metric_set(&slot_safe, DATABASE_SAFE_PPM);
    metrics_register(&accepted);
    return monitor;
}

void database_monitor_free(struct database_monitor *monitor)
{
    if (monitor == NULL) return;
    pg_free(monitor->pg);
    if (monitor->timer != NULL) event_free(monitor->timer);
    if (monitor->again != NULL) event_free(monitor->again);
    free(monitor);
}

const struct database_view *database_view(const struct database_monitor *monitor)
{
    return &monitor->view;
}
