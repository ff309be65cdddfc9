/* The endpoints in memory: changes are read in the order of their revisions, twice a second, a page at a time, with the cursors and the chains of
 * those that begin or have begun again. */
#include <inttypes.h>
#include <stdlib.h>

#include "webhook/webhook_parameters.h"
#include "webhook/webhook_sender_state.h"

enum { ARRAY_BYTES_MAX = 1 << 20, NUMBER_SIZE = 24 };

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

static struct commit_position position_at(const PGresult *rows, int row, int column)
{
    struct commit_position position = {0};
    if (!PQgetisnull(rows, row, column)) (void)commit_position_parse(slice_of(PQgetvalue(rows, row, column)), &position);
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
    replace_bytes(&endpoint->secret, webhook_db_bytes(rows, row, CHANGE_SECRET));
    replace_bytes(&endpoint->previous_secret, webhook_db_bytes(rows, row, CHANGE_PREVIOUS));
    endpoint->previous_until_us = PQgetisnull(rows, row, CHANGE_UNTIL) ? 0 : webhook_db_number(rows, row, CHANGE_UNTIL);
    endpoint->triggers = webhook_triggers_of(PQgetvalue(rows, row, CHANGE_TRIGGERS));
    endpoint->format =
        strcmp(PQgetvalue(rows, row, CHANGE_FORMAT), "standard") == 0 ? WEBHOOK_FORMAT_STANDARD : WEBHOOK_FORMAT_CAL;
    endpoint->start = position_at(rows, row, CHANGE_START);
    endpoint->end = position_at(rows, row, CHANGE_END);
    return (endpoint->secret.data != NULL) == !PQgetisnull(rows, row, CHANGE_SECRET) &&
           (endpoint->previous_secret.data != NULL) == !PQgetisnull(rows, row, CHANGE_PREVIOUS);
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
void sender_place_all(struct webhook_sender *sender)
{
    while (sender->unplaced != NULL) {
        struct endpoint *endpoint = sender->unplaced;
        sender->unplaced = endpoint->next_unplaced;
        endpoint->is_unplaced = false;
        endpoint->is_placed = true;
        endpoint_release(endpoint);
    }
}

/* ---- changes ---- */

static struct endpoint *add_endpoint(struct webhook_sender *sender, const struct uuid *id, const PGresult *rows, int row)
{
    bool is_of_user = strcmp(PQgetvalue(rows, row, CHANGE_SCOPE), "user") == 0;
    return endpoints_add(sender->endpoints, id, is_of_user,
                         webhook_db_number(rows, row, is_of_user ? CHANGE_USER : CHANGE_ORG));
}

static bool apply_change(struct webhook_sender *sender, const PGresult *rows, int row)
{
    struct uuid id;
    if (!webhook_db_uuid(rows, row, CHANGE_ID, &id)) return true;
    struct endpoint *endpoint = endpoints_find(sender->endpoints, &id);
    if (PQgetvalue(rows, row, CHANGE_IS_DELETED)[0] == 't') {
        if (endpoint == NULL) return true;
        sender_reset_endpoint(sender, endpoint);
        endpoints_remove(sender->endpoints, endpoint);
        return true;
    }
    bool is_active = PQgetvalue(rows, row, CHANGE_ACTIVE)[0] == 't';
    int32_t starts = (int32_t)webhook_db_number(rows, row, CHANGE_STARTS);
    if (endpoint == NULL) endpoint = add_endpoint(sender, &id, rows, row);
    if (endpoint == NULL || !fill_endpoint(endpoint, rows, row)) return false;
    if (endpoint->is_active != is_active || endpoint->starts != starts) {
        sender_reset_endpoint(sender, endpoint);
        unplace(sender, endpoint); /* until its cursors are read, with this change */
    }
    endpoint->is_active = is_active;
    endpoint->starts = starts;
    endpoint->revision = webhook_db_number(rows, row, CHANGE_REVISION);
    return true;
}

void sender_apply_changes(struct webhook_sender *sender, const PGresult *rows)
{
    sender->changes_len = (size_t)PQntuples(rows);
    for (int row = 0; row < PQntuples(rows); row++) {
        if (!apply_change(sender, rows, row)) return; /* out of memory: this and the rest come again */
        sender->revision = webhook_db_number(rows, row, CHANGE_REVISION);
    }
}

/* Behind it are more. */
bool sender_is_page_full(const struct webhook_sender *sender)
{
    return sender->changes_len >= SENDER_CHANGES_MAX;
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
    if (sender_is_page_full(sender)) sender_poll_changes(sender);
    sender_run(sender);
}

static void on_cursor_rows(void *ctx, const PGresult *rows, int statement)
{
    struct webhook_sender *sender = ctx;
    if (sender->is_load_wanted) return; /* it reads all of them */
    if (statement == POLL_CURSORS) sender_apply_cursors(sender, rows);
    else sender_apply_chains(sender, rows);
}

static void on_cursors_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)sqlstate;
    if (!is_stored) {
        sender->is_polling = false;
        return;
    }
    if (!sender->is_load_wanted) sender_place_all(sender);
    go_on_polling(sender);
}

/* False: they are asked for behind the next page. */
static bool ask_cursors(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_cursor_rows, on_cursors_asked};
    struct pg_array arrays[2];
    if (!webhook_db_is_ready(sender->writes)) return false;
    for (int i = 0; i < 2; i++) buf_init(&arrays[i].bytes, ARRAY_BYTES_MAX);
    sender_assigned_numbers(sender, &arrays[0]);
    pg_array_start(&arrays[1], PG_OID_UUID);
    for (const struct endpoint *endpoint = sender->unplaced; endpoint != NULL; endpoint = endpoint->next_unplaced)
        webhook_add_uuid(&arrays[1], &endpoint->id);
    bool ok = !arrays[0].bytes.failed && !arrays[1].bytes.failed;
    if (ok) {
        const struct pg_param params[] = {webhook_db_text_param(sender->config->topic), pg_array_param(&arrays[0]),
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
    sender_apply_changes(ctx, rows);
}

static void on_changes_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)sqlstate;
    if (!is_stored) {
        sender->is_polling = false;
        return;
    }
    if (!sender_is_page_full(sender)) sender->are_endpoints_known = true;
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
    webhook_db_send(sender->writes, "changes", (struct pg_param[]){webhook_db_text_param(revision)}, 1);
    webhook_db_end(sender->writes);
}
