#include "store/watch.h"

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
static const struct watch_view unknown = {.slot_safe_ppm = WATCH_SAFE_PPM};

struct watch {
    struct pg_config pg_config;
    struct pg *pg;
    struct event *timer;
    struct event *again; /* pending: before the timer is due */
    const char *slot;
    struct watch_schema schema;
    void (*changed)(void *ctx, const struct watch_view *view);
    void *ctx;
    struct watch_view view;
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

static void show(struct watch *watch)
{
    metric_set(&slot_kept, watch->view.slot_kept_bytes);
    metric_set(&slot_safe, watch->view.slot_safe_ppm);
    metric_set(&slot_wal_status, watch->view.slot_wal_status);
    metric_set(&slot_present, watch->view.has_slot);
    metric_set(&slot_active, watch->view.is_slot_active);
    metric_set(&slot_behind, watch->view.slot_behind_bytes);
    metric_set(&accepted, watch->view.is_accepted);
    watch->changed(watch->ctx, &watch->view);
}

static void ask(struct watch *watch)
{
    if (watch->asked || !pg_is_ready(watch->pg)) return;
    const struct pg_param slot = {watch->slot, (int)strlen(watch->slot), false};
    watch->asked = true;
    if (pg_send(watch->pg, "look", &slot, 1, true)) (void)pg_sync(watch->pg);
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
static bool is_accepted(struct watch *watch, const PGresult *result)
{
    struct position position;
    position_read(result, POSITION, &position);
    bool is_told = position.timeline != 0 && strcmp(PQgetvalue(result, 0, POSITION_STATE), "accepted") == 0;
    bool ok = is_told || position_is_at(&position, &watch->mark);
    if (ok) position_note(&position, &watch->mark);
    return ok;
}

/* What is not known here is newer. */
static bool has_schema(const struct watch_schema *schema, const PGresult *result)
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
    struct watch *watch = ctx;
    watch->view = unknown;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) return;
    watch->view.is_known = true;
    watch->view.has_schema = has_schema(&watch->schema, result);
    watch->view.is_read_only = number(result, READ_ONLY) != 0;
    watch->view.is_slot_active = number(result, ACTIVE) != 0;
    watch->view.slot_behind_bytes = number(result, BEHIND);
    watch->view.slot_kept_bytes = number(result, KEPT);
    watch->view.slot_safe_ppm = number(result, SAFE);
    watch->view.slot_wal_status = number(result, WAL_STATUS);
    bool is_refused = strcmp(PQgetvalue(result, 0, POSITION_STATE), "refused") == 0;
    watch->view.has_slot = number(result, SLOT) != 0 && !is_refused;
    watch->view.is_accepted = watch->view.has_slot && is_accepted(watch, result);
    watch->view.mark = watch->mark;
}

static void on_sync(void *ctx)
{
    static const struct timeval soon = {.tv_usec = WAITING_MS * 1000};
    struct watch *watch = ctx;
    const struct watch_view *view = &watch->view;
    watch->asked = false;
    if (!view->is_read_only && view->has_schema && view->has_slot && !view->is_accepted) event_add(watch->again, &soon);
    show(watch);
}

static void on_lost(void *ctx)
{
    struct watch *watch = ctx;
    watch->asked = false;
    watch->view = unknown;
    show(watch);
}

struct watch *watch_new(struct event_base *base, const char *database_url, const char *slot,
                        const struct watch_schema *schema, void (*changed)(void *ctx, const struct watch_view *view),
                        void *ctx)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) return NULL;
    watch->view = unknown;
    watch->slot = slot;
    watch->schema = *schema;
    watch->changed = changed;
    watch->ctx = ctx;
    watch->pg_config = (struct pg_config){
        .url = database_url,
        .application_name = "schedule-service watch",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = true,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    watch->timer = event_new(base, -1, EV_PERSIST, on_timer, watch);
    watch->again = evtimer_new(base, on_timer, watch);
    watch->pg = pg_new(base, &watch->pg_config, &handler, watch);
    if (watch->timer == NULL || watch->again == NULL || watch->pg == NULL) {
        watch_free(watch);
        return NULL;
    }
    event_add(watch->timer, &(struct timeval){.tv_sec = EVERY_MS / 1000});
    metrics_register(&slot_present);
    metrics_register(&slot_active);
    metrics_register(&slot_behind);
    metrics_register(&slot_kept);
    metrics_register(&slot_safe);
    metrics_register(&slot_wal_status);
    metric_set(&slot_safe, WATCH_SAFE_PPM);
    metrics_register(&accepted);
    return watch;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL) return;
    pg_free(watch->pg);
    if (watch->timer != NULL) event_free(watch->timer);
    if (watch->again != NULL) event_free(watch->again);
    free(watch);
}

const struct watch_view *watch_view(const struct watch *watch)
{
    return &watch->view;
}
