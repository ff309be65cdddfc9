/* What senders store, in one transaction at a time: the head's offsets as a compare-and-set, deliveries that become rows, what became of rows,
 * cursors, and how endpoints fare (webhook_outcomes.c). A success alone costs no row. When the outcome of a transaction is not known the same is
 * stored again, which changes nothing where it was stored already. */
#include <string.h>

#include "driver/clock.h"
#include "webhook/webhook_parameters.h"
#include "webhook/webhook_sender_state.h"

enum { REPORT_EVERY_US = 5000000, ROWS_EACH_MAX = 500, CURSORS_EACH_MAX = 5000 };

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
    struct webhook_parameters parameters;
    webhook_parameters_start(&parameters, types, 4);
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
        pg_array_add_int8(&parameters.arrays[3], webhook_postgres_us(partition->until_us));
    }
    webhook_parameters_send(sender->writes, "offsets", sender->config->topic, &parameters, 0);
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
    struct webhook_parameters parameters;
    webhook_parameters_start(&parameters, types, 12);
    struct pg_array *arrays = parameters.arrays;
    for (const struct delivery *delivery = sender->keeping.first; delivery != NULL; delivery = delivery->next) {
        const struct webhook_event *event = delivery->event;
        webhook_add_uuid(&arrays[0], &delivery->endpoint->id);
        pg_array_add_int4(&arrays[1], delivery->partition->number);
        pg_array_add_int8(&arrays[2], delivery->offset);
        pg_array_add(&arrays[3], event->id);
        pg_array_add(&arrays[4], webhook_trigger_name(event->type));
        pg_array_add_int8(&arrays[5], event->schedule_id);
        pg_array_add_int8(&arrays[6], event->version);
        pg_array_add(&arrays[7], buf_slice(&event->packed));
        webhook_add_time(&arrays[8], delivery->next_us);
        webhook_add_time(&arrays[9], delivery->failed_us);
        webhook_add_status(&arrays[10], delivery->status);
        webhook_add_text(&arrays[11], delivery->error);
    }
    webhook_parameters_send(sender->writes, "keep", sender->config->topic, &parameters, clock_wall_us());
}

static void send_finished(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_UUID,        PG_OID_INT4,        PG_OID_INT8, PG_OID_INT8, PG_OID_INT4,
                                        PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ, PG_OID_INT4, PG_OID_TEXT};
    struct webhook_parameters parameters;
    webhook_parameters_start(&parameters, types, 9);
    struct pg_array *arrays = parameters.arrays;
    for (const struct delivery *delivery = sender->finishing.first; delivery != NULL; delivery = delivery->next) {
        webhook_add_uuid(&arrays[0], &delivery->endpoint->id);
        pg_array_add_int4(&arrays[1], delivery->partition->number);
        pg_array_add_int8(&arrays[2], delivery->offset);
        pg_array_add_int8(&arrays[3], delivery->event->schedule_id);
        pg_array_add_int4(&arrays[4], delivery->attempts);
        webhook_add_time(&arrays[5], delivery->next_us);
        webhook_add_time(&arrays[6], delivery->failed_us);
        webhook_add_status(&arrays[7], delivery->status);
        webhook_add_text(&arrays[8], delivery->error);
    }
    webhook_parameters_send(sender->writes, "retried", sender->config->topic, &parameters, clock_wall_us());
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
    struct webhook_parameters parameters;
    webhook_parameters_start(&parameters, types, 5);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        for (struct lag *lag = sender->partitions[i].lags; lag != NULL; lag = lag->next_of_partition) {
            if (!is_lag_to_store(lag) || (lag->stored >= 0 && moved++ >= CURSORS_EACH_MAX)) continue;
            lag->is_ending = is_lag_over(lag);
            lag->storing = lag->next_offset;
            lag->is_storing = true;
            webhook_add_uuid(&parameters.arrays[0], &lag->endpoint->id);
            pg_array_add_int4(&parameters.arrays[1], i);
            pg_array_add_int4(&parameters.arrays[2], lag->endpoint->starts);
            if (lag->is_ending) pg_array_add_null(&parameters.arrays[3]);
            else pg_array_add_int8(&parameters.arrays[3], lag->next_offset);
            pg_array_add_bool(&parameters.arrays[4], lag->is_lost);
        }
    }
    webhook_parameters_send(sender->writes, "cursors", sender->config->topic, &parameters, 0);
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

static void on_end(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    sender->is_storing = false;
    sender->has_failed = !is_stored;
    if (!is_stored) {
        outcomes_on_end(sender, false);
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
    outcomes_on_end(sender, true);
    sender_run(sender);
}

void sender_store(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {outcomes_on_rows, on_end};
    if (sender->is_storing || sender->is_loading || !webhook_db_is_ready(sender->writes)) return;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) window_complete(&sender->partitions[i].head);
    if (sender->ticks % TICKS_OUTCOMES == 0) outcomes_take(sender);
    bool are_outcomes = sender->outcomes != NULL || sender->disabling != NULL;
    bool are_cursors = has_cursors_to_store(sender);
    if (!are_cursors && !has_deliveries_or_offsets_to_store(sender) && !are_outcomes && !is_time_to_tell(sender)) return;
    take_list(&sender->to_keep, &sender->keeping);
    take_list(&sender->to_finish, &sender->finishing);
    if (sender->to_keep.first != NULL) are_cursors = false; /* none before the rows of what it passes over */
    sender->is_storing = true;
    webhook_db_begin(sender->writes, &ops, sender);
    /* Rows refer to endpoints, which are locked with them: whoever deletes an endpoint has this lock first. */
    if (are_cursors || sender->disabling != NULL) webhook_db_send(sender->writes, "lock", NULL, 0);
    send_offsets(sender);
    if (sender->keeping.first != NULL) send_kept(sender);
    if (sender->finishing.first != NULL) send_finished(sender);
    if (are_cursors) send_cursors(sender);
    if (are_outcomes) outcomes_send(sender);
    webhook_db_end(sender->writes);
}
