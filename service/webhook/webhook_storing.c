/* What senders store, in one transaction at a time: the head's offsets as a compare-and-set, deliveries that become rows, what became of rows,
 * cursors, and how endpoints fare. A success alone costs no row. When the outcome of a transaction is not known the same is stored again, which
 * changes nothing where it was stored already. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/record.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "driver/pg_array.h"
#include "webhook/webhook_sender_state.h"

enum {
    ARRAY_BYTES_MAX = 512 << 20,
    ARRAYS_MAX = 14,
    REPORT_EVERY_US = 5000000,
    ROWS_EACH_MAX = 500,
    OUTCOMES_EACH_MAX = 500,
    CURSORS_EACH_MAX = 5000,
    NUMBER_SIZE = 24
};

enum { FAILING_HOURS = 72 }; /* and as many attempts as the statement "failing" says */

static const int64_t postgres_epoch_us = 946684800000000; /* 2000-01-01 */
static const int64_t hour_us = 3600000000;

/* ---- how endpoints fare ---- */

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

/* ---- parameters ---- */

struct parameters {
    struct pg_array arrays[ARRAYS_MAX];
    int len;
};

static void start(struct parameters *parameters, const enum pg_oid *types, int len)
{
    parameters->len = len;
    for (int i = 0; i < len; i++) {
        buf_init(&parameters->arrays[i].bytes, ARRAY_BYTES_MAX);
        pg_array_start(&parameters->arrays[i], types[i]);
    }
}

static void add_time(struct pg_array *array, int64_t us)
{
    if (us == 0) pg_array_add_null(array);
    else pg_array_add_int8(array, us - postgres_epoch_us);
}

static void add_uuid(struct pg_array *array, const struct uuid *id)
{
    pg_array_add(array, (struct slice){(const char *)id->bytes, sizeof(id->bytes)});
}

/* NULL at status 0, and for no text. */
static void add_status(struct pg_array *array, int status)
{
    if (status == 0) pg_array_add_null(array);
    else pg_array_add_int4(array, status);
}

static void add_text(struct pg_array *array, const char *text)
{
    pg_array_add_if(array, text != NULL, slice_of(text == NULL ? "" : text));
}

static void free_arrays(struct parameters *parameters)
{
    for (int i = 0; i < parameters->len; i++) buf_done(&parameters->arrays[i].bytes);
}

/* The statement's first parameters, the arrays, and a time behind them when at_us is not 0. */
static void send_arrays(struct webhook_sender *sender, const char *statement, const char *topic,
                        struct parameters *parameters, int64_t at_us)
{
    struct pg_param params[ARRAYS_MAX + 2];
    char at[8];
    int len = 0;
    if (topic != NULL) params[len++] = (struct pg_param){topic, (int)strlen(topic), false};
    (void)pg_array_params(parameters->arrays, parameters->len,
                          params + len); /* one without memory is null, which is refused */
    len += parameters->len;
    pg_put_int8(at, at_us - postgres_epoch_us);
    if (at_us != 0) params[len++] = (struct pg_param){at, sizeof(at), true};
    webhook_db_send(sender->writes, statement, params, len);
    free_arrays(parameters);
}

/* ---- the parts ---- */

/* Until when events have been taken: now, where the head has reached the end. */
static int64_t taken_until_us(const struct sender_partition *partition)
{
    if (partition->head.first != NULL) return partition->head.first->at_us;
    return partition->end == partition->head.position ? clock_wall_us() : 0;
}

static bool is_head_to_store(const struct sender_partition *partition)
{
    return partition->is_loaded && window_prefix(&partition->head) != partition->stored;
}

/* Whoever stores anything shows that the partition is his: all that he has are compared. */
static void send_offsets(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_INT4, PG_OID_INT8, PG_OID_INT8, PG_OID_TIMESTAMPTZ};
    struct parameters parameters;
    start(&parameters, types, 4);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        if (!partition->is_loaded) continue;
        if (!sender->has_failed) partition->storing = window_prefix(&partition->head); /* else the same once more */
        partition->reported_us = clock_steady_us();
        int64_t until_us = taken_until_us(partition);
        if (until_us != 0) partition->until_us = until_us;
        pg_array_add_int4(&parameters.arrays[0], partition->number);
        pg_array_add_int8(&parameters.arrays[1], partition->stored);
        pg_array_add_int8(&parameters.arrays[2], partition->storing);
        pg_array_add_int8(&parameters.arrays[3], partition->until_us - postgres_epoch_us);
    }
    send_arrays(sender, "offsets", sender->config->topic, &parameters, 0);
}

static void take_list(struct delivery_list *from, struct delivery_list *to)
{
    if (to->first != NULL) return; /* what was not stored is stored again first */
    size_t len = 0;
    struct delivery *last = from->first;
    while (last != NULL && last->next != NULL && ++len < ROWS_EACH_MAX) last = last->next;
    to->first = from->first;
    to->last = last;
    if (last == NULL) return;
    from->first = last->next;
    if (from->first == NULL) from->last = NULL;
    last->next = NULL;
}

static void send_kept(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_UUID,        PG_OID_INT4,        PG_OID_INT8, PG_OID_TEXT,
                                        PG_OID_TEXT,        PG_OID_INT8,        PG_OID_INT8, PG_OID_BYTEA,
                                        PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ, PG_OID_INT4, PG_OID_TEXT};
    struct parameters parameters;
    start(&parameters, types, 12);
    struct pg_array *arrays = parameters.arrays;
    for (const struct delivery *delivery = sender->keeping.first; delivery != NULL; delivery = delivery->next) {
        const struct webhook_event *event = delivery->event;
        add_uuid(&arrays[0], &delivery->endpoint->id);
        pg_array_add_int4(&arrays[1], delivery->partition->number);
        pg_array_add_int8(&arrays[2], delivery->offset);
        pg_array_add(&arrays[3], event->id);
        pg_array_add(&arrays[4], webhook_trigger_name(event->type));
        pg_array_add_int8(&arrays[5], event->schedule_id);
        pg_array_add_int8(&arrays[6], event->version);
        pg_array_add(&arrays[7], buf_slice(&event->packed));
        add_time(&arrays[8], delivery->next_us);
        add_time(&arrays[9], delivery->failed_us);
        add_status(&arrays[10], delivery->status);
        add_text(&arrays[11], delivery->error);
    }
    send_arrays(sender, "keep", sender->config->topic, &parameters, clock_wall_us());
}

static void send_finished(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_UUID,        PG_OID_INT4,        PG_OID_INT8, PG_OID_INT8, PG_OID_INT4,
                                        PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ, PG_OID_INT4, PG_OID_TEXT};
    struct parameters parameters;
    start(&parameters, types, 9);
    struct pg_array *arrays = parameters.arrays;
    for (const struct delivery *delivery = sender->finishing.first; delivery != NULL; delivery = delivery->next) {
        add_uuid(&arrays[0], &delivery->endpoint->id);
        pg_array_add_int4(&arrays[1], delivery->partition->number);
        pg_array_add_int8(&arrays[2], delivery->offset);
        pg_array_add_int8(&arrays[3], delivery->event->schedule_id);
        pg_array_add_int4(&arrays[4], delivery->attempts);
        add_time(&arrays[5], delivery->next_us);
        add_time(&arrays[6], delivery->failed_us);
        add_status(&arrays[7], delivery->status);
        add_text(&arrays[8], delivery->error);
    }
    send_arrays(sender, "retried", sender->config->topic, &parameters, clock_wall_us());
}

/* A lag that has joined and has nothing of the scan left is none any more. */
static bool is_lag_over(const struct lag *lag)
{
    return lag->state == LAG_JOINED && lag->next_offset >= lag->joined;
}

static bool is_lag_to_store(const struct lag *lag)
{
    return lag->stored != lag->next_offset || is_lag_over(lag);
}

/* A cursor that is new goes with the head's offset, which passes over what it is for. Others may wait: what is behind them comes again. */
static void send_cursors(struct webhook_sender *sender)
{
    size_t moved = 0;
    static const enum pg_oid types[] = {PG_OID_UUID, PG_OID_INT4, PG_OID_INT4, PG_OID_INT8, PG_OID_BOOL};
    struct parameters parameters;
    start(&parameters, types, 5);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        for (struct lag *lag = sender->partitions[i].lags; lag != NULL; lag = lag->next_of_partition) {
            if (!is_lag_to_store(lag) || (lag->stored >= 0 && moved++ >= CURSORS_EACH_MAX)) continue;
            lag->is_ending = is_lag_over(lag);
            lag->storing = lag->next_offset;
            lag->is_storing = true;
            add_uuid(&parameters.arrays[0], &lag->endpoint->id);
            pg_array_add_int4(&parameters.arrays[1], i);
            pg_array_add_int4(&parameters.arrays[2], lag->endpoint->starts);
            if (lag->is_ending) pg_array_add_null(&parameters.arrays[3]);
            else pg_array_add_int8(&parameters.arrays[3], lag->next_offset);
            pg_array_add_bool(&parameters.arrays[4], lag->is_lost);
        }
    }
    send_arrays(sender, "cursors", sender->config->topic, &parameters, 0);
}

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
    struct parameters parameters;
    struct buf recent;
    start(&parameters, types, 8);
    buf_init(&recent, 1 << 16);
    struct pg_array *arrays = parameters.arrays;
    for (const struct outcome *outcome = sender->outcomes; outcome != NULL; outcome = outcome->next) {
        write_recent(&recent, outcome);
        add_uuid(&arrays[0], &outcome->endpoint->id);
        pg_array_add(&arrays[1], buf_slice(&recent));
        add_time(&arrays[2], outcome->success_us);
        pg_array_add_int8(&arrays[3], outcome->failures);
        add_time(&arrays[4], outcome->first_failure_us);
        add_time(&arrays[5], outcome->last_failure_us);
        add_status(&arrays[6], outcome->status);
        add_text(&arrays[7], outcome->error);
    }
    send_arrays(sender, "states", NULL, &parameters, 0);
    buf_done(&recent);
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
    buf_init(&record, 1 << 16);
    event_webhook_disabled(&record, &sender->config->events, &disabled);
    const struct pg_param params[] = {{(const char *)endpoint->id.bytes, sizeof(endpoint->id.bytes), true},
                                      {reason, (int)strlen(reason), false},
                                      {record.data, (int)record.len, true}};
    if (!record.failed) webhook_db_send(sender->writes, "disable", params, 3);
    buf_done(&record);
}

/* ---- the transaction ---- */

enum { TICKS_OUTCOMES = 10 };

static bool has_cursors_to_store(const struct webhook_sender *sender)
{
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        for (const struct lag *lag = sender->partitions[i].lags; lag != NULL; lag = lag->next_of_partition) {
            if (is_lag_to_store(lag)) return true;
        }
    }
    return false;
}

static bool has_deliveries_or_offsets_to_store(const struct webhook_sender *sender)
{
    if (sender->to_keep.first != NULL || sender->to_finish.first != NULL || sender->keeping.first != NULL ||
        sender->finishing.first != NULL) {
        return true;
    }
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        if (is_head_to_store(&sender->partitions[i])) return true;
    }
    return false;
}

bool sender_has_to_store(const struct webhook_sender *sender)
{
    return sender->is_storing || has_deliveries_or_offsets_to_store(sender) || has_cursors_to_store(sender);
}

static bool is_time_to_tell(const struct webhook_sender *sender)
{
    int64_t now_us = clock_steady_us();
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        const struct sender_partition *partition = &sender->partitions[i];
        if (partition->is_loaded && now_us - partition->reported_us >= REPORT_EVERY_US) return true;
    }
    return false;
}

static void complete_lists(struct webhook_sender *sender)
{
    for (struct delivery *delivery = sender->keeping.first, *next; delivery != NULL; delivery = next) {
        next = delivery->next;
        sender_on_kept(sender, delivery);
    }
    sender->keeping = (struct delivery_list){0};
    for (struct delivery *delivery = sender->finishing.first, *next; delivery != NULL; delivery = next) {
        next = delivery->next;
        sender_on_finished(sender, delivery);
    }
    sender->finishing = (struct delivery_list){0};
}

static void on_cursors_stored(struct webhook_sender *sender)
{
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        for (struct lag *lag = sender->partitions[i].lags, *next; lag != NULL; lag = next) {
            next = lag->next_of_partition;
            if (!lag->is_storing) continue;
            lag->is_storing = false;
            lag->is_lost = false;
            lag->stored = lag->storing;
            /* It may have left again meanwhile: then its row is gone, and made again. */
            if (lag->is_ending && is_lag_over(lag)) lag_remove(lag);
            else if (lag->is_ending) lag->stored = -1;
        }
    }
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

static void on_disabled(struct webhook_sender *sender)
{
    struct endpoint *endpoint = sender->disabling;
    if (endpoint == NULL) return;
    sender->disabling = NULL;
    if (!endpoint->is_gone) {
        char id[UUID_TEXT_LEN];
        uuid_format(&endpoint->id, id);
        LOG_WARN("webhook disabled", LOG_SLICE("webhook_id", ((struct slice){id, sizeof(id)})),
                 LOG_STR("reason", endpoint->is_failing ? "failing" : "gone"));
        sender_count_disabled(endpoint->is_failing);
        endpoint->is_active = false;
        endpoint->is_disabling = endpoint->is_failing = false;
        sender_reset_endpoint(sender, endpoint);
    }
    endpoint_release(endpoint);
}

/* The rows of "failing": endpoints that have failed for long enough. */
static void on_rows(void *ctx, const PGresult *rows, int statement)
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

static void on_end(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    sender->is_storing = false;
    sender->has_failed = !is_stored;
    if (!is_stored) {
        if (sender->disabling != NULL) endpoint_release(sender->disabling);
        sender->disabling = NULL;
        if (strcmp(sqlstate, "SS001") == 0) sender_start_over(sender);
        return;
    }
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        if (!partition->is_loaded) continue;
        partition->stored = partition->storing;
        partition->stored_until_us = partition->until_us;
    }
    complete_lists(sender);
    on_cursors_stored(sender);
    free_outcomes(&sender->outcomes);
    on_disabled(sender);
    sender_run(sender);
}

static void send_failing(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_UUID};
    struct parameters parameters;
    start(&parameters, types, 1);
    for (const struct outcome *outcome = sender->outcomes; outcome != NULL; outcome = outcome->next) {
        if (outcome->failures > 0) add_uuid(&parameters.arrays[0], &outcome->endpoint->id);
    }
    send_arrays(sender, "failing", NULL, &parameters, clock_wall_us() - FAILING_HOURS * hour_us);
}

void sender_store(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_rows, on_end};
    bool is_round = sender->ticks % TICKS_OUTCOMES == 0;
    if (sender->is_storing || sender->is_loading || !webhook_db_is_ready(sender->writes)) return;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) window_complete(&sender->partitions[i].head);
    if (is_round && sender->outcomes == NULL) take_outcomes(sender);
    struct endpoint *disabling = is_round ? next_disabling(sender) : NULL;
    bool are_cursors = has_cursors_to_store(sender);
    if (!are_cursors && !has_deliveries_or_offsets_to_store(sender) && sender->outcomes == NULL && disabling == NULL &&
        !is_time_to_tell(sender))
        return;
    take_list(&sender->to_keep, &sender->keeping);
    take_list(&sender->to_finish, &sender->finishing);
    if (sender->to_keep.first != NULL) are_cursors = false; /* none before the rows of what it passes over */
    sender->is_storing = true;
    webhook_db_begin(sender->writes, &ops, sender);
    /* Rows refer to endpoints, which are locked with them: whoever deletes an endpoint has this lock first. */
    if (are_cursors || disabling != NULL) webhook_db_send(sender->writes, "lock", NULL, 0);
    send_offsets(sender);
    if (sender->keeping.first != NULL) send_kept(sender);
    if (sender->finishing.first != NULL) send_finished(sender);
    if (are_cursors) send_cursors(sender);
    if (sender->outcomes != NULL) {
        send_outcomes(sender);
        send_failing(sender);
    }
    if (disabling != NULL) {
        disabling->references++;
        sender->disabling = disabling;
        send_disable(sender, disabling);
    }
    webhook_db_end(sender->writes);
}
