#include "relay/healing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/schedule_document.h"
#include "core/arena.h"
#include "driver/log.h"
#include "relay/relay_metrics.h"

enum {
    NOTED_MAX = 500, /* events of a batch, */
    NOTED_BYTES = 1 << 20,
    BATCH_BYTES_MAX = 64 << 20, /* one event alone may be large */
    ARENA_BYTES_MAX = 16 << 20,
    HEALED_MAX = 500, /* schedules of a transaction */
};

/* Text arrays of PostgreSQL; each element ends with a comma. */
static void begin_batch(struct healing *healing)
{
    struct buf *const arrays[] = {&healing->ids, &healing->versions, &healing->deletions};
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        buf_clear(arrays[i]);
        buf_append_char(arrays[i], '{');
    }
    healing->noted = 0;
}

void healing_init(struct healing *healing, const struct healing_config *config)
{
    *healing = (struct healing){.config = *config};
    buf_init(&healing->ids, BATCH_BYTES_MAX);
    buf_init(&healing->versions, BATCH_BYTES_MAX);
    buf_init(&healing->deletions, BATCH_BYTES_MAX);
    begin_batch(healing);
}

void healing_done(struct healing *healing)
{
    buf_done(&healing->ids);
    buf_done(&healing->versions);
    buf_done(&healing->deletions);
    PQfinish(healing->conn);
}

static bool fail(struct healing *healing, const char *text)
{
    error_text_set(healing->config.reason, "healing what is published beyond the database: %s", text);
    return false;
}

/* One row of the function, whose first arguments are the slot and its holder; NULL when that fails. */
static PGresult *call(struct healing *healing, const char *sql, const char *const *arguments, int arguments_len)
{
    const struct healing_config *config = &healing->config;
    char holder[16];
    const char *params[5] = {config->slot, holder};
    snprintf(holder, sizeof(holder), "%" PRId32, config->holder);
    for (int i = 0; i < arguments_len; i++) params[2 + i] = arguments[i];
    if (!config->on_wait(config->ctx)) {
        fail(healing, "interrupted");
        return NULL;
    }
    if (healing->conn == NULL) healing->conn = session_open(config->database_url, false, config->wait_state, config->reason);
    if (healing->conn == NULL) return NULL;
    PGresult *result = session_call(healing->conn, sql, 2 + arguments_len, params, config->wait_state, config->reason);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) return result;
    if (result != NULL) fail(healing, PQresultErrorMessage(result));
    PQclear(result);
    return NULL;
}

/* ---- what is noted ---- */

static const char *end_array(struct buf *array)
{
    if (!array->failed) array->data[array->len - 1] = '}';
    buf_append_char(array, '\0');
    return array->data;
}

static bool flush(struct healing *healing)
{
    if (healing->noted == 0) return true;
    const char *const arrays[] = {end_array(&healing->ids), end_array(&healing->versions), end_array(&healing->deletions)};
    if (healing->ids.failed || healing->versions.failed || healing->deletions.failed) return fail(healing, "out of memory");
    PGresult *noted = call(healing, "SELECT note_published($1, $2, $3, $4, $5)", arrays, 3);
    PQclear(noted);
    begin_batch(healing);
    return noted != NULL;
}

/* As if it had been deleted after that, a version above. Of one that cannot be read no deletion can be published. */
static enum status pack_deletion(struct healing *healing, const struct record *event, int64_t told_ms, struct buf *packed)
{
    struct schedule_event deletion = {.type = SCHEDULE_DELETED,
                                      .command_id = SLICE("00000000-0000-0000-0000-000000000000"),
                                      .occurred_us = told_ms * 1000};
    struct violations violations = {0};
    const char *unread;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    if (arena == NULL) return STATUS_NO_MEMORY;
    enum status status = schedule_document_read(event->value, NULL, arena, &deletion.stored, &violations, &unread);
    deletion.stored.version++;
    if (status == STATUS_OK) event_schedule(packed, healing->config.events, &deletion);
    arena_free(arena);
    return status == STATUS_OK ? buf_status(packed) : status;
}

static void append_bytes(struct buf *array, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    buf_printf(array, "\"\\\\x");
    char *to = buf_extend(array, 2 * bytes.len);
    for (size_t i = 0; to != NULL && i < bytes.len; i++) {
        *to++ = digits[(unsigned char)bytes.data[i] >> 4];
        *to++ = digits[(unsigned char)bytes.data[i] & 15];
    }
    buf_printf(array, "\",");
}

static bool append_deletion(struct healing *healing, const struct record *event, int64_t told_ms)
{
    struct slice type = record_header(event, SLICE("ce_type"));
    struct buf packed;
    enum status status = STATUS_UNDECODABLE;
    buf_init(&packed, BATCH_BYTES_MAX);
    if (!slice_equal(type, SLICE("schedules.v1.ScheduleDeleted"))) status = pack_deletion(healing, event, told_ms, &packed);
    if (status == STATUS_OK) append_bytes(&healing->deletions, buf_slice(&packed));
    else buf_printf(&healing->deletions, "NULL,");
    buf_done(&packed);
    return status != STATUS_NO_MEMORY || fail(healing, "out of memory");
}

bool healing_note(struct healing *healing, const struct record *event, int64_t told_ms)
{
    int64_t id = event_schedule_id(event);
    if (id == 0) return true;
    buf_printf(&healing->ids, "%" PRId64 ",", id);
    buf_printf(&healing->versions, "%" PRId64 ",", event_schedule_version(event));
    if (!append_deletion(healing, event, told_ms)) return false;
    healing->noted++;
    return (healing->noted < NOTED_MAX && healing->deletions.len < NOTED_BYTES) || flush(healing);
}

/* ---- healing ---- */

static bool heal_some(struct healing *healing, bool *ret_is_left)
{
    char max[16];
    const char *const arguments[] = {max};
    snprintf(max, sizeof(max), "%d", HEALED_MAX);
    PGresult *healed = call(healing, "SELECT raised, ended, is_left FROM heal_published($1, $2, $3)", arguments, 1);
    if (healed == NULL) return false;
    healing->raised += strtoll(PQgetvalue(healed, 0, 0), NULL, 10);
    healing->ended += strtoll(PQgetvalue(healed, 0, 1), NULL, 10);
    *ret_is_left = PQgetvalue(healed, 0, 2)[0] == 't';
    PQclear(healed);
    return true;
}

static void log_healed(const struct healing *healing)
{
    if (healing->raised + healing->ended == 0) return;
    relay_metrics_healed((size_t)healing->raised, (size_t)healing->ended);
    LOG_WARN("relay: schedules whose published version is missing in the database are republished as the database has them",
             LOG_INT("raised", healing->raised), LOG_INT("ended", healing->ended));
}

/* Where nothing was noted, nothing is left of an earlier time either: it would have been noted again. */
bool healing_run(struct healing *healing)
{
    bool is_left = true;
    if (!flush(healing)) return false;
    if (healing->conn == NULL) return true;
    while (is_left) {
        if (!heal_some(healing, &is_left)) return false;
    }
    log_healed(healing);
    return true;
}
