/* What senders read: where partitions stand and what is kept of them, when they are assigned; changes of endpoints, twice a second; rows that are
 * due; and who is a member of which organization, before personal schedules are matched. */
#include <inttypes.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/pg_array.h"
#include "webhook/webhook_sender_state.h"

enum { ARRAY_BYTES_MAX = 1 << 20, DUE_MAX = 64, NUMBER_SIZE = 24 };

static const int64_t postgres_epoch_us = 946684800000000; /* 2000-01-01 */

static struct pg_param text_param(const char *text)
{
    return (struct pg_param){text, (int)strlen(text), false};
}

static bool is_null(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) != 0;
}

static int64_t number(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

static bool uuid_at(const PGresult *rows, int row, int column, struct uuid *ret_uuid)
{
    return uuid_parse(slice_of(PQgetvalue(rows, row, column)), ret_uuid);
}

/* ---- endpoints ---- */

enum {
    CHANGE_REVISION,
    CHANGE_ID,
    CHANGE_IS_DELETED,
    CHANGE_SCOPE,
    CHANGE_USER,
    CHANGE_ORG,
    CHANGE_URL,
    CHANGE_TRIGGERS,
    CHANGE_ACTIVE,
    CHANGE_SECRET,
    CHANGE_PREVIOUS,
    CHANGE_UNTIL,
    CHANGE_FORMAT,
    CHANGE_START,
    CHANGE_STARTS,
    CHANGE_END
};

/* bytea in its text form, "\x" and hex; the copy is the caller's. Data is NULL for null, and when memory is out. */
static struct slice bytes_at(const PGresult *rows, int row, int column)
{
    size_t len = 0;
    if (is_null(rows, row, column)) return (struct slice){NULL, 0};
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(rows, row, column), &len);
    char *copy = bytes == NULL ? NULL : malloc(len + 1);
    if (copy != NULL) memcpy(copy, bytes, len);
    PQfreemem(bytes);
    return (struct slice){copy, copy == NULL ? 0 : len};
}

static struct commit_position position_at(const PGresult *rows, int row, int column)
{
    struct commit_position position = {0};
    if (!is_null(rows, row, column)) (void)commit_position_parse(slice_of(PQgetvalue(rows, row, column)), &position);
    return position;
}

/* An array in its text form: names with commas between, in braces. */
unsigned webhook_triggers_of(const char *array)
{
    unsigned bits = 0;
    for (int type = SCHEDULE_CREATED; type <= SCHEDULE_DELETED; type++) {
        if (strstr(array, webhook_trigger_name(type).data) != NULL) bits |= 1U << type;
    }
    return bits;
}

static uint16_t host_number(const char *url)
{
    struct webhook_url parts = {0};
    const struct address_rule any = {.allowed_len = 1}; /* so that http is taken */
    uint32_t hash = 2166136261U;
    (void)address_rule_url_refusal(&any, slice_of(url), &parts);
    for (size_t i = 0; i < parts.host.len; i++) hash = (hash ^ (uint8_t)parts.host.data[i]) * 16777619U;
    return (uint16_t)(hash % ENDPOINT_HOSTS);
}

static void replace_bytes(struct slice *bytes, struct slice with)
{
    free((char *)(uintptr_t)bytes->data);
    *bytes = with;
}

/* False: out of memory; the same change is read again. */
static bool fill_endpoint(struct endpoint *endpoint, const PGresult *rows, int row)
{
    char *url = strdup(PQgetvalue(rows, row, CHANGE_URL));
    if (url == NULL) return false;
    free(endpoint->url);
    endpoint->url = url;
    if (endpoint->in_flight == 0) endpoint->host = host_number(url); /* else it would be counted in one and out of another */
    replace_bytes(&endpoint->secret, bytes_at(rows, row, CHANGE_SECRET));
    replace_bytes(&endpoint->previous_secret, bytes_at(rows, row, CHANGE_PREVIOUS));
    endpoint->previous_until_us = is_null(rows, row, CHANGE_UNTIL) ? 0 : number(rows, row, CHANGE_UNTIL);
    endpoint->triggers = webhook_triggers_of(PQgetvalue(rows, row, CHANGE_TRIGGERS));
    endpoint->format =
        strcmp(PQgetvalue(rows, row, CHANGE_FORMAT), "standard") == 0 ? WEBHOOK_FORMAT_STANDARD : WEBHOOK_FORMAT_CAL;
    endpoint->start = position_at(rows, row, CHANGE_START);
    endpoint->end = position_at(rows, row, CHANGE_END);
    return (endpoint->secret.data != NULL) == !is_null(rows, row, CHANGE_SECRET) &&
           (endpoint->previous_secret.data != NULL) == !is_null(rows, row, CHANGE_PREVIOUS);
}

/* ---- endpoints whose cursors are to be read ---- */

static void unplace(struct webhook_sender *sender, struct endpoint *endpoint)
{
    endpoint->is_placed = false;
    if (endpoint->is_unplaced) return;
    endpoint->is_unplaced = true;
    endpoint->next_unplaced = sender->unplaced;
    endpoint->references++;
    sender->unplaced = endpoint;
}

/* With what was read an endpoint can be matched. */
static void place_all(struct webhook_sender *sender)
{
    while (sender->unplaced != NULL) {
        struct endpoint *endpoint = sender->unplaced;
        sender->unplaced = endpoint->next_unplaced;
        endpoint->is_unplaced = false;
        endpoint->is_placed = true;
        endpoint_release(endpoint);
    }
}

void sender_drop_unplaced(struct webhook_sender *sender)
{
    place_all(sender);
}

/* ---- changes ---- */

static struct endpoint *add_endpoint(struct webhook_sender *sender, const struct uuid *id, const PGresult *rows, int row)
{
    bool is_of_user = strcmp(PQgetvalue(rows, row, CHANGE_SCOPE), "user") == 0;
    return endpoints_add(sender->endpoints, id, is_of_user, number(rows, row, is_of_user ? CHANGE_USER : CHANGE_ORG));
}

static bool apply_change(struct webhook_sender *sender, const PGresult *rows, int row)
{
    struct uuid id;
    if (!uuid_at(rows, row, CHANGE_ID, &id)) return true;
    struct endpoint *endpoint = endpoints_find(sender->endpoints, &id);
    if (PQgetvalue(rows, row, CHANGE_IS_DELETED)[0] == 't') {
        if (endpoint == NULL) return true;
        sender_reset_endpoint(sender, endpoint);
        endpoints_remove(sender->endpoints, endpoint);
        return true;
    }
    bool is_active = PQgetvalue(rows, row, CHANGE_ACTIVE)[0] == 't';
    int32_t starts = (int32_t)number(rows, row, CHANGE_STARTS);
    if (endpoint == NULL) endpoint = add_endpoint(sender, &id, rows, row);
    if (endpoint == NULL || !fill_endpoint(endpoint, rows, row)) return false;
    if (endpoint->is_active != is_active || endpoint->starts != starts) {
        sender_reset_endpoint(sender, endpoint);
        unplace(sender, endpoint); /* until its cursors are read, with this change */
    }
    endpoint->is_active = is_active;
    endpoint->starts = starts;
    endpoint->revision = number(rows, row, CHANGE_REVISION);
    return true;
}

static void apply_changes(struct webhook_sender *sender, const PGresult *rows)
{
    sender->changes_len = (size_t)PQntuples(rows);
    for (int row = 0; row < PQntuples(rows); row++) {
        if (!apply_change(sender, rows, row)) return; /* out of memory: this and the rest come again */
        sender->revision = number(rows, row, CHANGE_REVISION);
    }
}

/* Behind it are more. */
static bool is_page_full(const struct webhook_sender *sender)
{
    return sender->changes_len >= SENDER_CHANGES_MAX;
}

/* ---- cursors and chains, of all endpoints or of those that have changed ---- */

static void apply_cursors(struct webhook_sender *sender, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        struct uuid id;
        struct endpoint *endpoint = uuid_at(rows, row, 0, &id) ? endpoints_find(sender->endpoints, &id) : NULL;
        struct sender_partition *partition = sender_partition_at(sender, (int32_t)number(rows, row, 1));
        if (endpoint == NULL || partition == NULL || endpoint->starts != number(rows, row, 2) || !endpoint->is_active)
            continue;
        if (endpoint->is_placed && partition->is_loaded) continue; /* it is known better */
        if (lag_of(endpoint, partition) != NULL || !lag_add(endpoint, partition, number(rows, row, 3))) continue;
        endpoint->lags->stored = endpoint->lags->next_offset;
    }
}

static void apply_chains(struct webhook_sender *sender, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        struct uuid id;
        struct endpoint *endpoint = uuid_at(rows, row, 0, &id) ? endpoints_find(sender->endpoints, &id) : NULL;
        struct sender_partition *partition = sender_partition_at(sender, (int32_t)number(rows, row, 1));
        if (endpoint == NULL || partition == NULL || !endpoint->is_active) continue;
        if (endpoint->is_placed && partition->is_loaded) continue;
        (void)sender_set_rows(sender, endpoint, partition, number(rows, row, 2), (size_t)number(rows, row, 3));
    }
}

/* ---- an assignment ---- */

static size_t assigned_numbers(const struct webhook_sender *sender, struct pg_array *numbers)
{
    pg_array_start(numbers, PG_OID_INT4);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        if (sender->partitions[i].is_assigned) pg_array_add_int4(numbers, i);
    }
    return numbers->len;
}

/* The ends, for partitions that have no row yet. */
static void ends_of(const struct webhook_sender *sender, struct pg_array *ends)
{
    pg_array_start(ends, PG_OID_INT8);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        const struct sender_partition *partition = &sender->partitions[i];
        if (partition->is_assigned) pg_array_add_int8(ends, partition->has_row ? 0 : partition->log_end);
    }
}

static void apply_offsets(struct webhook_sender *sender, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        struct sender_partition *partition = sender_partition_at(sender, (int32_t)number(rows, row, 0));
        if (partition == NULL || !partition->is_assigned) continue;
        partition->has_row = true;
        partition->stored = partition->storing = partition->head.position = number(rows, row, 1);
        partition->until_us = partition->stored_until_us = number(rows, row, 2);
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
    case LOAD_CHANGES: apply_changes(sender, rows); break;
    case LOAD_CURSORS: apply_cursors(sender, rows); break;
    case LOAD_CHAINS: apply_chains(sender, rows); break;
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
    if (is_stored && is_page_full(sender)) sender->are_endpoints_known = false;
    if (!is_stored || sender->is_load_wanted ||
        !sender->are_endpoints_known) { /* another assignment came, or the database went */
        sender->is_load_wanted = true;
        sender_forget_everything(sender);
        return;
    }
    place_all(sender);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        partition->is_loaded = partition->is_assigned && partition->is_read;
    }
    sender_on_loaded(sender);
}

void sender_load(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_load_rows, on_loaded};
    struct pg_array arrays[2];
    char revision[NUMBER_SIZE];
    sender->is_load_wanted = true;
    if (sender->is_loading || sender->is_storing || sender->is_polling || !webhook_db_is_ready(sender->writes)) return;
    if (!sender->are_endpoints_known) {
        sender_poll_changes(sender); /* it comes back here, and so does the other */
        return;
    }
    if (sender_mind_ranges(sender)) return;
    buf_init(&arrays[0].bytes, ARRAY_BYTES_MAX);
    buf_init(&arrays[1].bytes, ARRAY_BYTES_MAX);
    if (assigned_numbers(sender, &arrays[0]) > 0) {
        ends_of(sender, &arrays[1]);
        snprintf(revision, sizeof(revision), "%" PRId64, sender->revision);
        sender->is_load_wanted = false;
        sender->is_loading = true;
        const struct pg_param topic = text_param(sender->config->topic);
        const struct pg_param numbers = pg_array_param(&arrays[0]);
        webhook_db_begin(sender->writes, &ops, sender);
        webhook_db_send(sender->writes, "begin", (struct pg_param[]){topic, numbers, pg_array_param(&arrays[1])}, 3);
        webhook_db_send(sender->writes, "positions", (struct pg_param[]){topic, numbers}, 2);
        /* Endpoints of before the positions have no cursors there: none may be missing when taking begins. */
        webhook_db_send(sender->writes, "changes", (struct pg_param[]){text_param(revision)}, 1);
        webhook_db_send(sender->writes, "all_cursors", (struct pg_param[]){topic, numbers}, 2);
        webhook_db_send(sender->writes, "all_chains", (struct pg_param[]){topic, numbers}, 2);
        webhook_db_end(sender->writes);
    }
    buf_done(&arrays[0].bytes);
    buf_done(&arrays[1].bytes);
}

/* ---- a page of changes, and the cursors of those that have begun or begin again ---- */

enum { POLL_CURSORS, POLL_CHAINS };

static void go_on_polling(struct webhook_sender *sender)
{
    sender->is_polling = false;
    if (sender->is_load_wanted) {
        if (!sender->is_revoking) sender_load(sender);
        return;
    }
    if (is_page_full(sender)) sender_poll_changes(sender);
    sender_run(sender);
}

static void on_cursor_rows(void *ctx, const PGresult *rows, int statement)
{
    struct webhook_sender *sender = ctx;
    if (sender->is_load_wanted) return; /* it reads all of them */
    if (statement == POLL_CURSORS) apply_cursors(sender, rows);
    else apply_chains(sender, rows);
}

static void on_cursors_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)sqlstate;
    if (!is_stored) {
        sender->is_polling = false;
        return;
    }
    if (!sender->is_load_wanted) place_all(sender);
    go_on_polling(sender);
}

/* False: they are asked for behind the next page. */
static bool ask_cursors(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_cursor_rows, on_cursors_asked};
    struct pg_array arrays[2];
    if (!webhook_db_is_ready(sender->writes)) return false;
    for (int i = 0; i < 2; i++) buf_init(&arrays[i].bytes, ARRAY_BYTES_MAX);
    assigned_numbers(sender, &arrays[0]);
    pg_array_start(&arrays[1], PG_OID_UUID);
    for (const struct endpoint *endpoint = sender->unplaced; endpoint != NULL; endpoint = endpoint->next_unplaced)
        pg_array_add(&arrays[1], (struct slice){(const char *)endpoint->id.bytes, sizeof(endpoint->id.bytes)});
    bool ok = !arrays[0].bytes.failed && !arrays[1].bytes.failed;
    if (ok) {
        const struct pg_param params[] = {text_param(sender->config->topic), pg_array_param(&arrays[0]),
                                          pg_array_param(&arrays[1])};
        webhook_db_begin(sender->writes, &ops, sender);
        webhook_db_send(sender->writes, "cursors_of", params, 3);
        webhook_db_send(sender->writes, "chains_of", params, 3);
        webhook_db_end(sender->writes);
    }
    for (int i = 0; i < 2; i++) buf_done(&arrays[i].bytes);
    return ok;
}

static void on_change_rows(void *ctx, const PGresult *rows, int statement)
{
    (void)statement;
    apply_changes(ctx, rows);
}

static void on_changes_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)sqlstate;
    if (!is_stored) {
        sender->is_polling = false;
        return;
    }
    if (!is_page_full(sender)) sender->are_endpoints_known = true;
    if (sender->is_load_wanted || sender->unplaced == NULL || !ask_cursors(sender)) go_on_polling(sender);
}

void sender_poll_changes(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_change_rows, on_changes_asked};
    char revision[NUMBER_SIZE];
    if (sender->is_polling || sender->is_loading || !webhook_db_is_ready(sender->writes)) return;
    snprintf(revision, sizeof(revision), "%" PRId64, sender->revision);
    sender->is_polling = true;
    webhook_db_begin(sender->writes, &ops, sender);
    webhook_db_send(sender->writes, "changes", (struct pg_param[]){text_param(revision)}, 1);
    webhook_db_end(sender->writes);
}

/* ---- rows that are due ---- */

static void retry_row(struct webhook_sender *sender, const PGresult *rows, int row)
{
    struct uuid id;
    struct record record;
    struct webhook_event *event = NULL;
    struct endpoint *endpoint = uuid_at(rows, row, 0, &id) ? endpoints_find(sender->endpoints, &id) : NULL;
    struct sender_partition *partition = sender_partition_at(sender, (int32_t)number(rows, row, 1));
    if (endpoint == NULL || partition == NULL || !partition->is_loaded || !endpoint->is_active || !endpoint->is_placed)
        return;
    struct slice bytes = bytes_at(rows, row, 4);
    struct slice rest = bytes;
    if (bytes.data != NULL && record_take(&rest, &record) && webhook_event_new(&record, &event) == STATUS_OK) {
        (void)sender_retry(sender, endpoint, event, partition, number(rows, row, 2), (int)number(rows, row, 3));
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

void sender_ask_due(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_due_rows, on_due_asked};
    struct pg_array numbers;
    char now[8];
    char limit[NUMBER_SIZE];
    if (sender->is_asking_due || sender->is_revoking || !sender->are_endpoints_known || !webhook_db_is_ready(sender->reads))
        return;
    buf_init(&numbers.bytes, ARRAY_BYTES_MAX);
    pg_array_start(&numbers, PG_OID_INT4);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        if (sender->partitions[i].is_loaded) pg_array_add_int4(&numbers, i);
    }
    if (numbers.len > 0) {
        pg_put_int8(now, clock_wall_us() - postgres_epoch_us);
        snprintf(limit, sizeof(limit), "%zu", DUE_MAX + sender->in_flight); /* those that are being tried are due, too */
        const struct pg_param params[] = {text_param(sender->config->topic),
                                          pg_array_param(&numbers),
                                          {now, sizeof(now), true},
                                          text_param(limit)};
        sender->is_asking_due = true;
        sender->finishes_when_asked = sender->finishes;
        webhook_db_begin(sender->reads, &ops, sender);
        webhook_db_send(sender->reads, "due", params, 4);
        webhook_db_end(sender->reads);
    }
    buf_done(&numbers.bytes);
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
        sender->memberships[i] = (struct membership){number(rows, (int)i, 0), number(rows, (int)i, 1)};
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
    struct pg_array users;
    if (sender->is_looking_up || !webhook_db_is_ready(sender->reads)) return;
    buf_init(&users.bytes, ARRAY_BYTES_MAX);
    pg_array_start(&users, PG_OID_INT8);
    for (size_t i = 0; i < sender->staged_len; i++) {
        const struct webhook_event *event = sender->staged[i].event;
        if (event != NULL && event->org_id == 0) pg_array_add_int8(&users, event->owner_id);
    }
    sender->is_looking_up = true;
    sender->is_lookup_failed = false;
    sender->memberships_len = 0;
    const struct pg_param params[] = {pg_array_param(&users)};
    webhook_db_begin(sender->reads, &ops, sender);
    webhook_db_send(sender->reads, "members", params, 1);
    webhook_db_end(sender->reads);
    buf_done(&users.bytes);
}
