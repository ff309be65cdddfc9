/* Happy path: move the ids behind those that are published, create the slot if there is none, then publish the deletions, then the schedules in the order of owners and ids, in
 * bounded transactions.
 *
 * Failure modes: the relay does not keep up: the next batch waits, so that the slot is not lost again for the WAL it holds. An error,
 * a lost connection or a slot that is lost meanwhile ends the command, which prints where it can continue. */
#include "app/commands/handlers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"
#include "app/slot.h"
#include "driver/clock.h"
#include "relay/progress.h"
#include "relay/topic_reader.h"

enum { PROGRESS_US = 1000000, WAIT_MS = 100 };

#define BATCH "100" /* schedules; their owners cannot be written to meanwhile */

struct rebuild {
    const struct config *config;
    PGconn *db;
    PGconn *relay_db; /* with the relay's login, which may make the slot and read what is known of it */
    const char *slot;
    int64_t behind_max; /* WAL that may wait for the relay */
    int64_t owner_id;   /* of the schedule up to which all is emitted */
    int64_t id;
    char create_id[40]; /* of the deleted schedule up to which all are emitted */
    int64_t schedules;  /* emitted */
    int64_t deletions;
    int64_t started_us;
    int64_t reported_us; /* when progress was last shown */
};

static double seconds_since(int64_t then_us)
{
    return (double)(clock_steady_us() - then_us) / 1e6;
}

static void show_progress(struct rebuild *rebuild, int64_t behind_bytes)
{
    int64_t now_us = clock_steady_us();
    if (now_us - rebuild->reported_us < PROGRESS_US) return;
    rebuild->reported_us = now_us;
    fprintf(stderr,
            "deletions=%" PRId64 " schedules=%" PRId64 " after=%" PRId64 "/%" PRId64 " waiting_bytes=%" PRId64
            " seconds=%.0f\n",
            rebuild->deletions, rebuild->schedules, rebuild->owner_id, rebuild->id, behind_bytes,
            seconds_since(rebuild->started_us));
}

/* ---- the ids ---- */

static bool on_wait(void *ctx)
{
    (void)ctx;
    return true;
}

/* A restored database would hand out ids again that are published. */
static bool move_ids(const struct rebuild *rebuild)
{
    struct error_text reason = {0};
    struct progress progress;
    char id[24];
    const char *const params[] = {id};
    rd_kafka_t *client = topic_client_new(&rebuild->config->kafka);
    const struct topic_source topic = {client, rebuild->config->progress_topic, on_wait, NULL, &reason};
    bool is_read = progress_read(&topic, "", false, &progress);
    if (client != NULL) rd_kafka_destroy(client);
    if (!is_read) {
        database_fail("%s", reason.text);
        return false;
    }
    snprintf(id, sizeof(id), "%" PRId64, progress.highest_id);
    return database_execute(rebuild->db, "SELECT move_schedule_ids($1)", 1, params);
}

/* ---- the slot ---- */

static bool ensure_slot(struct rebuild *rebuild)
{
    struct slot_view view;
    PGconn *db = rebuild->relay_db;
    if (!database_lock(db) || !slot_look(db, rebuild->slot, &view)) return false;
    if (!view.is_usable && rebuild->id > 0) {
        database_fail("replication slot %s was lost again: run the rebuild from the start, without --after", rebuild->slot);
        return false;
    }
    if (view.is_usable) return database_unlock(db);
    fprintf(stderr, "making replication slot %s; transactions that are under way end first\n", rebuild->slot);
    return slot_make(db, rebuild->slot) && database_unlock(db);
}

/* Waits until the relay has published enough of what was emitted. */
static bool await_relay(struct rebuild *rebuild)
{
    struct slot_view view;
    while (slot_look(rebuild->relay_db, rebuild->slot, &view)) {
        show_progress(rebuild, view.behind_bytes);
        if (!view.is_usable) {
            database_fail("replication slot %s was lost again", rebuild->slot);
            return false;
        }
        if (view.behind_bytes <= rebuild->behind_max) return true;
        usleep(WAIT_MS * 1000);
    }
    return false;
}

/* ---- the events ---- */

/* One transaction; its row's last column is how many were emitted. NULL on an error, which was printed. */
static PGresult *emit(struct rebuild *rebuild, const char *sql, int params_len, const char *const *params)
{
    if (!await_relay(rebuild)) return NULL;
    PGresult *result = database_try(rebuild->db, sql, params_len, params);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) return result;
    database_fail("%s", PQerrorMessage(rebuild->db));
    PQclear(result);
    return NULL;
}

/* Each returns how many were emitted, 0 behind the last; -1 on an error. */
static int64_t tell_deletions(struct rebuild *rebuild)
{
    static const char sql[] = "SELECT id, emitted FROM emit_deletions($1, " BATCH ")";
    const char *after = rebuild->deletions == 0 ? NULL : rebuild->create_id;
    PGresult *result = emit(rebuild, sql, 1, &after);
    if (result == NULL) return -1;
    int64_t emitted = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    snprintf(rebuild->create_id, sizeof(rebuild->create_id), "%s", PQgetvalue(result, 0, 0));
    rebuild->deletions += emitted;
    PQclear(result);
    return emitted;
}

static int64_t tell_schedules(struct rebuild *rebuild)
{
    static const char sql[] = "SELECT owner_id, id, emitted FROM emit_schedules($1, $2, " BATCH ")";
    char owner_id[24];
    char id[24];
    snprintf(owner_id, sizeof(owner_id), "%" PRId64, rebuild->owner_id);
    snprintf(id, sizeof(id), "%" PRId64, rebuild->id);
    PGresult *result = emit(rebuild, sql, 2, (const char *const[]){owner_id, id});
    if (result == NULL) return -1;
    int64_t emitted = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
    if (emitted > 0) {
        rebuild->owner_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        rebuild->id = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    }
    rebuild->schedules += emitted;
    PQclear(result);
    return emitted;
}

/* Until there are none left; false on an error. */
static bool tell_all(struct rebuild *rebuild, int64_t (*tell_some)(struct rebuild *rebuild))
{
    int64_t emitted;
    do emitted = tell_some(rebuild);
    while (emitted > 0);
    return emitted == 0;
}

static int run(struct rebuild *rebuild)
{
    if (!move_ids(rebuild) || !ensure_slot(rebuild)) return 1;
    if (tell_all(rebuild, tell_deletions) && tell_all(rebuild, tell_schedules)) {
        printf("deletions=%" PRId64 " schedules=%" PRId64 " seconds=%.1f\n", rebuild->deletions, rebuild->schedules,
               seconds_since(rebuild->started_us));
        return 0;
    }
    if (rebuild->id == 0) return database_fail("the rebuild ended early; run it again");
    return database_fail("the rebuild ended early; repeat it from the start, or with --after %" PRId64 "/%" PRId64,
                         rebuild->owner_id, rebuild->id);
}

/* ---- one schedule ---- */

static int run_one(struct rebuild *rebuild)
{
    static const char sql[] = "SELECT emit_last_event($1)";
    struct slot_view view;
    char id[24];
    if (!slot_look(rebuild->relay_db, rebuild->slot, &view)) return 1;
    if (!view.is_usable)
        return database_fail("replication slot %s is lost: run the rebuild of all schedules", rebuild->slot);
    snprintf(id, sizeof(id), "%" PRId64, rebuild->id);
    PGresult *result = emit(rebuild, sql, 1, (const char *const[]){id});
    if (result == NULL) return 1;
    bool is_there = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    if (!is_there) return database_fail("there is no schedule %s, and no deletion of it is remembered", id);
    printf("schedule=%s\n", id);
    return 0;
}

int rebuild_command(const struct command_call *call)
{
    const struct config *config = call->config;
    const char *after = call->values[OPT_AFTER];
    const char *id = call->values[OPT_SCHEDULE];
    struct rebuild rebuild = {.config = config,
                              .db = call->db,
                              .slot = config->slot,
                              .behind_max = config->wal_budget_bytes / 2};
    if (after != NULL && id != NULL) {
        database_fail("--after and --schedule exclude each other");
        return 2;
    }
    if (after != NULL) {
        rebuild.owner_id = strtoll(after, NULL, 10);
        id = strchr(after, '/') + 1;
    }
    if (id != NULL) rebuild.id = strtoll(id, NULL, 10);
    rebuild.started_us = rebuild.reported_us = clock_steady_us();
    rebuild.relay_db = database_connect(config->relay_database_url);
    if (rebuild.relay_db == NULL) return 1;
    int code = call->values[OPT_SCHEDULE] != NULL ? run_one(&rebuild) : run(&rebuild);
    PQfinish(rebuild.relay_db);
    return code;
}
