/* Happy path: a round is one step of removals and one of the sweep, each a small transaction of its own; between them, every ten seconds while
 * there are removals, what is left of them is counted. When there was something to do, the next round comes after a rest as long as this
 * one took, so that others have half the time to themselves; else after a second.
 *
 * Failure modes: a step that fails (statement_timeout, a deadlock) or is not answered in time is undone by the database, and the next
 * one is half as large, down to a single row. A lost connection connects again and continues from what is committed. */
#include "store/maintenance.h"

#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/metrics.h"
#include "driver/pg.h"
#include "driver/pg_array.h"

enum {
    IDLE_MS = 1000,
    UNIT_TIMEOUT_MS = 15000,
    SIZE_MAX_ROWS = 200, /* schedules of a step: what its owners wait for */
    SWEEP_ROWS_EACH = 5, /* completed commands for each of these: they are deleted faster, and nobody waits */
    REPORT_EVERY_US = 10000000,
    COUNT_EVERY_US = 10000000,
    TIME_LEN = 64
};

static const struct pg_statement statements[] = {
    {"remove", "SELECT deleted, ended, pending, oldest_seconds FROM run_removals($1::bigint)"},
    {"count", "SELECT schedules_left_to_remove()"},
    {"sweep", "SELECT swept, up_to FROM sweep_processed_commands($1::timestamptz, $2::bigint)"},
};

enum task { TASK_REMOVE, TASK_COUNT, TASK_SWEEP, TASKS };

struct maintenance {
    struct pg_config pg_config;
    struct pg *pg;
    struct event *timer;
    bool removals_allowed;
    enum task task;          /* whose answer is next; TASKS: none is under way */
    bool is_busy;            /* in this round something was done */
    int64_t size;            /* of the next steps, in schedules */
    char swept_to[TIME_LEN]; /* "": nothing yet on this connection */
    int64_t started_us;      /* of the round */
    int64_t deleted;         /* schedules, since that was logged */
    int64_t reported_us;
    bool has_removals;  /* as the last step left them */
    int64_t counted_us; /* when what is left of them was counted; 0: not since they began */
};

static struct metric pending_removals = {.type = METRIC_GAUGE,
                                         .name = "schedule_removals_pending",
                                         .labels = "",
                                         .help = "Users and organizations whose removal is in progress, up to 100,000."};
static struct metric oldest_removal = {.type = METRIC_GAUGE,
                                       .name = "schedule_removals_oldest_seconds",
                                       .labels = "",
                                       .help = "Age of the oldest removal in progress."};
static struct metric schedules_left = {.type = METRIC_GAUGE,
                                       .name = "schedule_removals_schedules_left",
                                       .labels = "",
                                       .help = "Schedules of removed users and organizations that are still there, as "
                                               "counted every ten seconds, up to a million of each."};
static struct metric removed_schedules = {.type = METRIC_COUNTER,
                                          .name = "schedule_removals_schedules_total",
                                          .labels = "",
                                          .help = "Schedules deleted by this process for removed users and organizations."};
static struct metric swept_commands = {.type = METRIC_COUNTER,
                                       .name = "schedule_processed_commands_swept_total",
                                       .labels = "",
                                       .help = "Expired command records that this process deleted."};

/* ---- a round ---- */

static void arm(struct maintenance *maintenance, int64_t after_us)
{
    struct timeval after = {.tv_sec = after_us / 1000000, .tv_usec = after_us % 1000000};
    event_add(maintenance->timer, &after);
}

static struct pg_param text_param(const char *text)
{
    return (struct pg_param){text, (int)strlen(text), false};
}

static void send_remove(struct maintenance *maintenance)
{
    char size[24];
    snprintf(size, sizeof(size), "%lld", (long long)maintenance->size);
    const struct pg_param params[] = {text_param(size)};
    maintenance->task = TASK_REMOVE;
    if (pg_send(maintenance->pg, "remove", params, 1, false)) (void)pg_sync(maintenance->pg);
}

static bool count_is_due(const struct maintenance *maintenance)
{
    if (!maintenance->has_removals) return false;
    return maintenance->counted_us == 0 || clock_steady_us() - maintenance->counted_us >= COUNT_EVERY_US;
}

static void send_count(struct maintenance *maintenance)
{
    maintenance->task = TASK_COUNT;
    maintenance->counted_us = clock_steady_us();
    if (pg_send(maintenance->pg, "count", NULL, 0, false)) (void)pg_sync(maintenance->pg);
}

static void send_sweep(struct maintenance *maintenance)
{
    static const struct pg_param from_the_first = {NULL, 0, false};
    char size[24];
    bool has_place = maintenance->swept_to[0] != '\0';
    snprintf(size, sizeof(size), "%lld", (long long)maintenance->size * SWEEP_ROWS_EACH);
    const struct pg_param params[] = {has_place ? text_param(maintenance->swept_to) : from_the_first, text_param(size)};
    maintenance->task = TASK_SWEEP;
    if (pg_send(maintenance->pg, "sweep", params, 2, false)) (void)pg_sync(maintenance->pg);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct maintenance *maintenance = ctx;
    (void)fd;
    (void)what;
    if (maintenance->task != TASKS || !pg_is_ready(maintenance->pg)) return;
    maintenance->started_us = clock_steady_us();
    maintenance->is_busy = false;
    if (maintenance->removals_allowed) send_remove(maintenance);
    else send_sweep(maintenance);
}

static void end_round(struct maintenance *maintenance)
{
    int64_t took_us = clock_steady_us() - maintenance->started_us;
    maintenance->task = TASKS;
    arm(maintenance, maintenance->is_busy ? took_us : IDLE_MS * 1000);
}

/* ---- the answers ---- */

static int64_t number(const PGresult *result, int column)
{
    return strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

/* Once when removals ended, and from time to time while they continue. */
static void tell_removals(struct maintenance *maintenance, int64_t ended, int64_t pending)
{
    int64_t now_us = clock_steady_us();
    if (ended == 0 && (maintenance->deleted == 0 || now_us - maintenance->reported_us < REPORT_EVERY_US)) return;
    LOG_INFO(ended > 0 ? "removals ended" : "removals continue", LOG_INT("ended", ended), LOG_INT("pending", pending),
             LOG_INT("schedules_deleted", maintenance->deleted));
    maintenance->deleted = 0;
    maintenance->reported_us = now_us;
}

/* deleted is null while another process does this. */
static void read_remove(struct maintenance *maintenance, const PGresult *result)
{
    enum { DELETED, ENDED, PENDING, OLDEST };
    int64_t deleted = number(result, DELETED);
    int64_t ended = number(result, ENDED);
    metric_add(&removed_schedules, deleted);
    metric_set(&pending_removals, number(result, PENDING));
    metric_set(&oldest_removal, number(result, OLDEST));
    maintenance->deleted += deleted;
    maintenance->has_removals = number(result, PENDING) > 0;
    if (!maintenance->has_removals) {
        maintenance->counted_us = 0;
        metric_set(&schedules_left, 0);
    }
    maintenance->is_busy = maintenance->is_busy || deleted > 0 || ended > 0;
    tell_removals(maintenance, ended, number(result, PENDING));
}

static void read_sweep(struct maintenance *maintenance, const PGresult *result)
{
    enum { SWEPT, UP_TO };
    int64_t swept = number(result, SWEPT);
    metric_add(&swept_commands, swept);
    snprintf(maintenance->swept_to, sizeof(maintenance->swept_to), "%s", PQgetvalue(result, 0, UP_TO));
    maintenance->is_busy = maintenance->is_busy || swept == maintenance->size * SWEEP_ROWS_EACH;
}

static void shrink(struct maintenance *maintenance, const char *reason)
{
    LOG_WARN("maintenance step failed", LOG_INT("size", maintenance->size), LOG_STR("reason", reason));
    maintenance->size = maintenance->size > 1 ? maintenance->size / 2 : 1;
}

static void on_result(void *ctx, const PGresult *result)
{
    struct maintenance *maintenance = ctx;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        const char *reason = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        shrink(maintenance, reason == NULL ? "no answer" : reason);
    } else if (maintenance->task == TASK_REMOVE) {
        read_remove(maintenance, result);
    } else if (maintenance->task == TASK_COUNT) {
        metric_set(&schedules_left, number(result, 0));
    } else {
        read_sweep(maintenance, result);
    }
}

static void on_sync(void *ctx)
{
    struct maintenance *maintenance = ctx;
    if (maintenance->task == TASK_REMOVE && count_is_due(maintenance)) {
        send_count(maintenance);
        return;
    }
    if (maintenance->task != TASK_SWEEP) {
        send_sweep(maintenance);
        return;
    }
    if (maintenance->is_busy && maintenance->size < SIZE_MAX_ROWS) maintenance->size++;
    end_round(maintenance);
}

/* ---- the connection ---- */

static void on_ready(void *ctx)
{
    struct maintenance *maintenance = ctx;
    maintenance->swept_to[0] = '\0'; /* another server may have another clock */
    arm(maintenance, 0);
}

static void on_lost(void *ctx)
{
    struct maintenance *maintenance = ctx;
    if (maintenance->task != TASKS) shrink(maintenance, "the connection was lost");
    maintenance->task = TASKS;
    event_del(maintenance->timer);
}

struct maintenance *maintenance_new(struct event_base *base, const char *database_url)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct maintenance *maintenance = calloc(1, sizeof(*maintenance));
    if (maintenance == NULL) return NULL;
    maintenance->task = TASKS;
    maintenance->size = SIZE_MAX_ROWS;
    maintenance->pg_config = (struct pg_config){
        .url = database_url,
        .application_name = "schedule-service maintenance",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = true,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    maintenance->timer = evtimer_new(base, on_timer, maintenance);
    maintenance->pg = pg_new(base, &maintenance->pg_config, &handler, maintenance);
    if (maintenance->timer == NULL || maintenance->pg == NULL) {
        maintenance_free(maintenance);
        return NULL;
    }
    metrics_register(&pending_removals);
    metrics_register(&oldest_removal);
    metrics_register(&schedules_left);
    metrics_register(&removed_schedules);
    metrics_register(&swept_commands);
    return maintenance;
}

void maintenance_free(struct maintenance *maintenance)
{
    if (maintenance == NULL) return;
    pg_free(maintenance->pg);
    if (maintenance->timer != NULL) event_free(maintenance->timer);
    free(maintenance);
}

void maintenance_allow_removals(struct maintenance *maintenance, bool allowed)
{
    maintenance->removals_allowed = allowed;
}
