/* How requests to endpoints went, from when they are answered until that is stored, and what follows from it: an endpoint that has failed for long
 * enough, or says that it is gone, is disabled in the transaction that says so on Kafka. webhook_storing.c has that transaction. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "codec/record.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "webhook/webhook_parameters.h"
#include "webhook/webhook_sender_state.h"

enum { OUTCOMES_EACH_MAX = 500, RECENT_BYTES_MAX = 1 << 16, EVENT_BYTES_MAX = 1 << 16 };
enum { FAILING_HOURS = 72 }; /* and as many attempts as the statement "failing" says */

static const int64_t hour_us = 3600000000;

/* ---- what went how ---- */

static struct outcome *outcome_of(struct webhook_sender *sender, struct endpoint *endpoint)
{
    if (endpoint->outcome != NULL) return endpoint->outcome;
    struct outcome *outcome = calloc(1, sizeof(*outcome));
    if (outcome == NULL) return NULL;
    outcome->endpoint = endpoint;
    if (sender->new_outcomes == NULL) sender->new_outcomes = outcome;
    else sender->new_outcomes_last->next = outcome;
    sender->new_outcomes_last = endpoint->outcome = outcome;
    endpoint->references++;
    return outcome;
}

void outcome_add(struct webhook_sender *sender, struct endpoint *endpoint, int64_t now_us, int status, const char *error)
{
    struct outcome *outcome = outcome_of(sender, endpoint);
    if (outcome == NULL) return; /* it is not counted */
    if (error != NULL) {
        if (outcome->failures++ == 0) outcome->first_failure_us = now_us;
        outcome->last_failure_us = now_us;
        outcome->status = status;
        outcome->error = error;
        return;
    }
    if (outcome->recent_len == OUTCOME_RECENT_MAX) {
        memmove(outcome->recent, outcome->recent + 1, sizeof(outcome->recent) - sizeof(outcome->recent[0]));
        outcome->recent_len--;
    }
    outcome->recent[outcome->recent_len].at_us = now_us;
    outcome->recent[outcome->recent_len++].status = status;
    outcome->success_us = now_us;
    outcome->failures = 0;
    outcome->first_failure_us = 0;
}

static void free_outcomes(struct outcome **outcomes)
{
    for (struct outcome *outcome = *outcomes, *next; outcome != NULL; outcome = next) {
        next = outcome->next;
        endpoint_release(outcome->endpoint);
        free(outcome);
    }
    *outcomes = NULL;
}

void sender_drop_outcomes(struct webhook_sender *sender)
{
    free_outcomes(&sender->new_outcomes);
    free_outcomes(&sender->outcomes);
}

/* ---- storing them ---- */

static void write_recent(struct buf *out, const struct outcome *outcome)
{
    buf_clear(out);
    for (size_t i = outcome->recent_len; i > 0; i--) {
        buf_printf(out, "%c{\"at\":%" PRId64 ",\"status\":%d}", i == outcome->recent_len ? '[' : ',',
                   outcome->recent[i - 1].at_us / 1000, outcome->recent[i - 1].status);
    }
    buf_append_slice(out, outcome->recent_len == 0 ? SLICE("[]") : SLICE("]"));
}

static void take_outcomes(struct webhook_sender *sender)
{
    for (size_t len = 0; len < OUTCOMES_EACH_MAX && sender->new_outcomes != NULL; len++) {
        struct outcome *outcome = sender->new_outcomes;
        sender->new_outcomes = outcome->next;
        outcome->endpoint->outcome = NULL;
        outcome->next = sender->outcomes;
        sender->outcomes = outcome;
    }
}

static void send_outcomes(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_UUID,        PG_OID_TEXT,        PG_OID_TIMESTAMPTZ, PG_OID_INT8,
                                        PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ, PG_OID_INT4,        PG_OID_TEXT};
    struct webhook_parameters parameters;
    struct buf recent;
    webhook_parameters_start(&parameters, types, 8);
    buf_init(&recent, RECENT_BYTES_MAX);
    struct pg_array *arrays = parameters.arrays;
    for (const struct outcome *outcome = sender->outcomes; outcome != NULL; outcome = outcome->next) {
        write_recent(&recent, outcome);
        webhook_add_uuid(&arrays[0], &outcome->endpoint->id);
        pg_array_add(&arrays[1], buf_slice(&recent));
        webhook_add_time(&arrays[2], outcome->success_us);
        pg_array_add_int8(&arrays[3], outcome->failures);
        webhook_add_time(&arrays[4], outcome->first_failure_us);
        webhook_add_time(&arrays[5], outcome->last_failure_us);
        webhook_add_status(&arrays[6], outcome->status);
        webhook_add_text(&arrays[7], outcome->error);
    }
    webhook_parameters_send(sender->writes, "states", NULL, &parameters, 0);
    buf_done(&recent);
}

static void send_failing(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_UUID};
    struct webhook_parameters parameters;
    webhook_parameters_start(&parameters, types, 1);
    for (const struct outcome *outcome = sender->outcomes; outcome != NULL; outcome = outcome->next) {
        if (outcome->failures > 0) webhook_add_uuid(&parameters.arrays[0], &outcome->endpoint->id);
    }
    webhook_parameters_send(sender->writes, "failing", NULL, &parameters, clock_wall_us() - FAILING_HOURS * hour_us);
}

/* ---- endpoints that are to be disabled ---- */

static struct endpoint *next_disabling(struct webhook_sender *sender)
{
    struct endpoint *endpoint = sender->has_disabling ? endpoints_next(sender->endpoints, NULL) : NULL;
    while (endpoint != NULL && (!endpoint->is_disabling || !endpoint->is_active))
        endpoint = endpoints_next(sender->endpoints, endpoint);
    sender->has_disabling = endpoint != NULL;
    return endpoint;
}

static void send_disable(struct webhook_sender *sender, struct endpoint *endpoint)
{
    struct buf record;
    char id[UUID_TEXT_LEN];
    const char *reason = endpoint->is_failing ? "failing" : "gone";
    uuid_format(&endpoint->id, id);
    const struct webhook_disabled disabled = {.webhook_id = {id, sizeof(id)},
                                              .user_id = endpoint->is_of_user ? endpoint->owner_id : 0,
                                              .org_id = endpoint->is_of_user ? 0 : endpoint->owner_id,
                                              .reason = slice_of(reason),
                                              .occurred_us = clock_wall_us()};
    buf_init(&record, EVENT_BYTES_MAX);
    event_webhook_disabled(&record, &sender->config->events, &disabled);
    const struct pg_param params[] = {{(const char *)endpoint->id.bytes, sizeof(endpoint->id.bytes), true},
                                      {reason, (int)strlen(reason), false},
                                      {record.data, (int)record.len, true}};
    if (!record.failed) webhook_db_send(sender->writes, "disable", params, 3);
    buf_done(&record);
}

static void release_disabling(struct webhook_sender *sender)
{
    if (sender->disabling != NULL) endpoint_release(sender->disabling);
    sender->disabling = NULL;
}

static void on_disabled(struct webhook_sender *sender)
{
    struct endpoint *endpoint = sender->disabling;
    if (endpoint == NULL || endpoint->is_gone) return;
    char id[UUID_TEXT_LEN];
    uuid_format(&endpoint->id, id);
    LOG_WARN("webhook disabled", LOG_SLICE("webhook_id", ((struct slice){id, sizeof(id)})),
             LOG_STR("reason", endpoint->is_failing ? "failing" : "gone"));
    sender_count_disabled(endpoint->is_failing);
    endpoint->is_active = false;
    endpoint->is_disabling = endpoint->is_failing = false;
    sender_reset_endpoint(sender, endpoint);
}

/* ---- the transaction they are part of ---- */

void outcomes_take(struct webhook_sender *sender)
{
    if (sender->outcomes == NULL) take_outcomes(sender);
    sender->disabling = next_disabling(sender);
    if (sender->disabling != NULL) sender->disabling->references++;
}

void outcomes_send(struct webhook_sender *sender)
{
    if (sender->outcomes != NULL) {
        send_outcomes(sender);
        send_failing(sender);
    }
    if (sender->disabling != NULL) send_disable(sender, sender->disabling);
}

/* The rows of "failing": endpoints that have failed for long enough. */
void outcomes_on_rows(void *ctx, const PGresult *rows, int statement)
{
    struct webhook_sender *sender = ctx;
    (void)statement;
    for (int row = 0; row < PQntuples(rows) && PQnfields(rows) == 1; row++) {
        struct uuid id;
        if (!uuid_parse(slice_of(PQgetvalue(rows, row, 0)), &id)) continue; /* a function's void */
        struct endpoint *endpoint = endpoints_find(sender->endpoints, &id);
        if (endpoint != NULL && endpoint->is_active)
            endpoint->is_disabling = endpoint->is_failing = sender->has_disabling = true;
    }
}

void outcomes_on_end(struct webhook_sender *sender, bool is_stored)
{
    if (is_stored) {
        free_outcomes(&sender->outcomes);
        on_disabled(sender);
    }
    release_disabling(sender);
}
