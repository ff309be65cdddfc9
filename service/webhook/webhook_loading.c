/* What senders read: where partitions stand and what is kept of them, when they are assigned; rows that are due; and who is a member of which
 * organization, before personal schedules are matched. */
#include <inttypes.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "webhook/webhook_parameters.h"
#include "webhook/webhook_sender_state.h"

enum { ARRAY_BYTES_MAX = 4 << 20, DUE_MAX = 64, DUE_EACH = 8, NUMBER_SIZE = 24 };

/* ---- cursors and chains, of all endpoints or of those that have changed ---- */

void sender_apply_cursors(struct webhook_sender *sender, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        struct uuid id;
        struct endpoint *endpoint = webhook_db_uuid(rows, row, 0, &id) ? endpoints_find(sender->endpoints, &id) : NULL;
        struct sender_partition *partition = sender_partition_at(sender, (int32_t)webhook_db_number(rows, row, 1));
        if (endpoint == NULL || partition == NULL || endpoint->starts != webhook_db_number(rows, row, 2) ||
            !endpoint->is_active)
            continue;
        if (endpoint->is_placed && partition->is_loaded) continue; /* it is known better */
        if (lag_of(endpoint, partition) != NULL || !lag_add(endpoint, partition, webhook_db_number(rows, row, 3))) continue;
        endpoint->lags->stored = endpoint->lags->next_offset;
    }
}

void sender_apply_chains(struct webhook_sender *sender, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        struct uuid id;
        struct endpoint *endpoint = webhook_db_uuid(rows, row, 0, &id) ? endpoints_find(sender->endpoints, &id) : NULL;
        struct sender_partition *partition = sender_partition_at(sender, (int32_t)webhook_db_number(rows, row, 1));
        if (endpoint == NULL || partition == NULL || !endpoint->is_active) continue;
        if (endpoint->is_placed && partition->is_loaded) continue;
        (void)sender_set_rows(sender, endpoint, partition, webhook_db_number(rows, row, 2),
                              (size_t)webhook_db_number(rows, row, 3));
    }
}

/* ---- an assignment ---- */

size_t sender_assigned_numbers(const struct webhook_sender *sender, struct pg_array *numbers)
{
    pg_array_start(numbers, PG_OID_INT4);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        if (sender->partitions[i].is_assigned) pg_array_add_int4(numbers, i);
    }
    return numbers->len;
}

/* Where the logs end and begin, for partitions that have no row yet. */
static void ranges_of(const struct webhook_sender *sender, struct pg_array *ends, struct pg_array *begins)
{
    pg_array_start(ends, PG_OID_INT8);
    pg_array_start(begins, PG_OID_INT8);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        const struct sender_partition *partition = &sender->partitions[i];
        if (!partition->is_assigned) continue;
        pg_array_add_int8(ends, partition->has_row ? 0 : partition->log_end);
        pg_array_add_int8(begins, partition->has_row ? 0 : partition->log_begin);
    }
}

static void apply_offsets(struct webhook_sender *sender, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        struct sender_partition *partition = sender_partition_at(sender, (int32_t)webhook_db_number(rows, row, 0));
        if (partition == NULL || !partition->is_assigned) continue;
        partition->has_row = true;
        partition->stored = partition->storing = partition->head.position = webhook_db_number(rows, row, 1);
        partition->until_us = partition->stored_until_us = webhook_db_number(rows, row, 2);
        partition->end = -1;
        partition->is_read = true;
    }
}

enum { LOAD_BEGIN, LOAD_OFFSETS, LOAD_CHANGES, LOAD_CURSORS, LOAD_CHAINS };

static void on_load_rows(void *ctx, const PGresult *rows, int statement)
{
    struct webhook_sender *sender = ctx;
    switch (statement) {
    case LOAD_OFFSETS: apply_offsets(sender, rows); break;
    case LOAD_CHANGES: sender_apply_changes(sender, rows); break;
    case LOAD_CURSORS: sender_apply_cursors(sender, rows); break;
    case LOAD_CHAINS: sender_apply_chains(sender, rows); break;
    default: break;
    }
}

static void on_loaded(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)sqlstate;
    sender->is_loading = false;
    if (sender->is_revoking) {
        sender_forget_everything(sender);
        return;
    }
    if (is_stored && sender_is_page_full(sender)) sender->are_endpoints_known = false;
    if (!is_stored || sender->is_load_wanted ||
        !sender->are_endpoints_known) { /* another assignment came, or the database went */
        sender->is_load_wanted = true;
        sender_forget_everything(sender);
        return;
    }
    sender_place_all(sender);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        partition->is_loaded = partition->is_assigned && partition->is_read;
    }
    sender_on_loaded(sender);
}

void sender_load(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_load_rows, on_loaded};
    struct pg_array arrays[3];
    char revision[NUMBER_SIZE];
    sender->is_load_wanted = true;
    if (sender->is_loading || sender->is_storing || sender->is_polling || !webhook_db_is_ready(sender->writes)) return;
    if (!sender->are_endpoints_known) {
        sender_poll_changes(sender); /* it comes back here, and so does the other */
        return;
    }
    if (sender_mind_ranges(sender)) return;
    for (int i = 0; i < 3; i++) buf_init(&arrays[i].bytes, ARRAY_BYTES_MAX);
    if (sender_assigned_numbers(sender, &arrays[0]) > 0) {
        ranges_of(sender, &arrays[1], &arrays[2]);
        snprintf(revision, sizeof(revision), "%" PRId64, sender->revision);
        sender->is_load_wanted = false;
        sender->is_loading = true;
        const struct pg_param topic = webhook_db_text_param(sender->config->topic);
        const struct pg_param numbers = pg_array_param(&arrays[0]);
        webhook_db_begin(sender->writes, &ops, sender);
        webhook_db_send(sender->writes, "begin",
                        (struct pg_param[]){topic, numbers, pg_array_param(&arrays[1]), pg_array_param(&arrays[2])}, 4);
        webhook_db_send(sender->writes, "positions", (struct pg_param[]){topic, numbers}, 2);
        /* Endpoints of before the positions have no cursors there: none may be missing when taking begins. */
        webhook_db_send(sender->writes, "changes", (struct pg_param[]){webhook_db_text_param(revision)}, 1);
        webhook_db_send(sender->writes, "all_cursors", (struct pg_param[]){topic, numbers}, 2);
        webhook_db_send(sender->writes, "all_chains", (struct pg_param[]){topic, numbers}, 2);
        webhook_db_end(sender->writes);
    }
    for (int i = 0; i < 3; i++) buf_done(&arrays[i].bytes);
}

/* ---- rows that are due ---- */

static void retry_row(struct webhook_sender *sender, const PGresult *rows, int row)
{
    struct uuid id;
    struct record record;
    struct webhook_event *event = NULL;
    struct endpoint *endpoint = webhook_db_uuid(rows, row, 0, &id) ? endpoints_find(sender->endpoints, &id) : NULL;
    struct sender_partition *partition = sender_partition_at(sender, (int32_t)webhook_db_number(rows, row, 1));
    if (endpoint == NULL || partition == NULL || !partition->is_loaded || !endpoint->is_active || !endpoint->is_placed)
        return;
    struct slice bytes = webhook_db_bytes(rows, row, 4);
    struct slice rest = bytes;
    if (bytes.data != NULL && record_take(&rest, &record) && webhook_event_new(&record, &event) == STATUS_OK) {
        (void)sender_retry(sender, endpoint, event, partition, webhook_db_number(rows, row, 2),
                           (int)webhook_db_number(rows, row, 3));
        webhook_event_release(event);
    }
    free((char *)(uintptr_t)bytes.data);
}

static void on_due_rows(void *ctx, const PGresult *rows, int statement)
{
    (void)statement;
    for (int row = 0; row < PQntuples(rows); row++) retry_row(ctx, rows, row);
}

static void on_due_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)is_stored;
    (void)sqlstate;
    sender->is_asking_due = false;
    sender_run(sender);
}

/* Rows of the endpoint that are being tried, or wait for that in memory. */
static size_t retries_of(const struct endpoint *endpoint)
{
    size_t retries = 0;
    for (const struct chain *chain = endpoint->chains; chain != NULL; chain = chain->next_of_endpoint) {
        retries += chain->retry != NULL;
    }
    return retries;
}

/* Endpoints that have as many of those as they get on with: further rows of theirs would stand before those of others. */
static void add_busy_ones(const struct webhook_sender *sender, struct pg_array *ids)
{
    pg_array_start(ids, PG_OID_UUID);
    if (sender->retries == 0) return; /* all others need not be looked at */
    for (const struct endpoint *endpoint = endpoints_next(sender->endpoints, NULL); endpoint != NULL;
         endpoint = endpoints_next(sender->endpoints, endpoint)) {
        if (retries_of(endpoint) >= DUE_EACH * endpoint->allowed) webhook_add_uuid(ids, &endpoint->id);
    }
}

void sender_ask_due(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_due_rows, on_due_asked};
    struct pg_array numbers;
    struct pg_array busy;
    char now[8];
    char limit[NUMBER_SIZE];
    if (sender->is_asking_due || sender->is_revoking || !sender->are_endpoints_known || !webhook_db_is_ready(sender->reads))
        return;
    buf_init(&numbers.bytes, ARRAY_BYTES_MAX);
    buf_init(&busy.bytes, ARRAY_BYTES_MAX);
    pg_array_start(&numbers, PG_OID_INT4);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        if (sender->partitions[i].is_loaded) pg_array_add_int4(&numbers, i);
    }
    if (numbers.len > 0) {
        pg_put_int8(now, webhook_postgres_us(clock_wall_us()));
        add_busy_ones(sender, &busy);
        snprintf(limit, sizeof(limit), "%zu", DUE_MAX + sender->retries); /* those are due, too */
        const struct pg_param params[] = {webhook_db_text_param(sender->config->topic),
                                          pg_array_param(&numbers),
                                          {now, sizeof(now), true},
                                          webhook_db_text_param(limit),
                                          pg_array_param(&busy)};
        sender->is_asking_due = true;
        sender->finishes_when_asked = sender->finishes;
        webhook_db_begin(sender->reads, &ops, sender);
        webhook_db_send(sender->reads, "due", params, 5);
        webhook_db_end(sender->reads);
    }
    buf_done(&numbers.bytes);
    buf_done(&busy.bytes);
}

/* ---- members ---- */

static void on_membership_rows(void *ctx, const PGresult *rows, int statement)
{
    struct webhook_sender *sender = ctx;
    size_t len = (size_t)PQntuples(rows);
    (void)statement;
    if (len > sender->memberships_capacity) {
        struct membership *more = realloc(sender->memberships, len * sizeof(*more));
        if (more == NULL) {
            sender->is_lookup_failed = true;
            return;
        }
        sender->memberships = more;
        sender->memberships_capacity = len;
    }
    for (size_t i = 0; i < len; i++) {
        sender->memberships[i] = (struct membership){webhook_db_number(rows, (int)i, 0), webhook_db_number(rows, (int)i, 1)};
    }
    sender->memberships_len = len;
}

static void on_looked_up(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)sqlstate;
    sender->is_looking_up = false;
    if (is_stored && !sender->is_lookup_failed) sender_on_looked_up(sender); /* else at the next tick */
}

void sender_look_up(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_membership_rows, on_looked_up};
    static const enum pg_oid types[] = {PG_OID_INT8};
    struct webhook_parameters users;
    if (sender->is_looking_up || !webhook_db_is_ready(sender->reads)) return;
    webhook_parameters_start(&users, types, 1);
    for (size_t i = 0; i < sender->staged_len; i++) {
        const struct webhook_event *event = sender->staged[i].event;
        if (event != NULL && event->org_id == 0) pg_array_add_int8(&users.arrays[0], event->owner_id);
    }
    sender->is_looking_up = true;
    sender->is_lookup_failed = false;
    sender->memberships_len = 0;
    webhook_db_begin(sender->reads, &ops, sender);
    webhook_parameters_send(sender->reads, "members", NULL, &users, 0);
    webhook_db_end(sender->reads);
}
