/* Which connection answers what. The look-ups of callers gather until the loop has dealt with what had come and none is under way, for they
 * are many and alike; as many as go together wait for nothing. */
#include "store/reader.h"

#include <stdlib.h>

#include "core/buf.h"
#include "store/caller_lookup.h"
#include "store/read_connection.h"

enum { LIST_TIMEOUT_MS = 3000, SENT_SINGLES_MAX = 32, SENT_LISTS_MAX = 2, PEOPLE_TEXT_MAX = 16 << 10 };

/* Apart, so that none waits for what another takes. */
enum purpose { CALLERS, SINGLES, LISTS, PAGES, PURPOSES };

static const struct read_connection_config configs[PURPOSES] = {
    [CALLERS] = {.name = "schedule-service callers", .keeps_plans = true, .sent_max = READER_PENDING_MAX},
    [SINGLES] = {.name = "schedule-service reader", .keeps_plans = true, .sent_max = SENT_SINGLES_MAX},
    /* Lists are planned for each: an owner of few and one of many, a small organization and a large one are found by different ways. */
    [LISTS] = {.name = "schedule-service lists", .statement_timeout_ms = LIST_TIMEOUT_MS, .sent_max = SENT_LISTS_MAX},
    [PAGES] = {.name = "schedule-service pages", .statement_timeout_ms = LIST_TIMEOUT_MS, .sent_max = SENT_LISTS_MAX},
};

struct reader {
    struct read_connection_config configs[PURPOSES];
    struct read_connection *connections[PURPOSES];
    struct caller_lookup *gathered; /* to be sent; NULL: none */
    size_t unanswered;              /* look-ups that were sent */
    struct event *send_event;       /* active: gathered may be sent */
};

/* ---- answers ---- */

static void take_access(struct pending_read *pending_read, const PGresult *result)
{
    struct reader *reader = pending_read->ctx;
    caller_lookup_complete(pending_read->lookup, result);
    reader->unanswered--;
    event_active(reader->send_event, EV_TIMEOUT, 0);
}

static void take_schedules(struct pending_read *pending_read, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    struct schedule_list list = {0};
    if (status == STATUS_OK) list = schedule_list_read(result);
    struct schedule_row *rows = calloc(list.len + 1, sizeof(*rows));
    if (rows == NULL) status = STATUS_NO_MEMORY;
    for (size_t i = 0; rows != NULL && !list.is_cut && i < list.len; i++) rows[i] = schedule_row_read(result, (int)i);
    list.rows = rows;
    pending_read->schedules_done(pending_read->ctx, status, &list);
    free(rows);
}

static void take_people(struct pending_read *pending_read, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    struct people_list list = {0};
    if (status == STATUS_OK) list = people_list_read(result);
    struct person_row *rows = calloc(list.len + 1, sizeof(*rows));
    if (rows == NULL) status = STATUS_NO_MEMORY;
    for (size_t i = 0; rows != NULL && i < list.len; i++) rows[i] = person_row_read(result, (int)i);
    list.rows = rows;
    pending_read->people_done(pending_read->ctx, status, &list);
    free(rows);
}

static void take_schedule(struct pending_read *pending_read, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    enum schedule_access access = status == STATUS_OK ? schedule_access_read(result) : SCHEDULE_NONE;
    struct schedule_row row = {0};
    if (access != SCHEDULE_NONE) row = schedule_row_read(result, 0);
    pending_read->schedule_done(pending_read->ctx, status, access, &row);
}

/* ---- callers ---- */

static void give_up_gathered(void *ctx)
{
    struct reader *reader = ctx;
    struct caller_lookup *lookup = reader->gathered;
    if (lookup == NULL) return;
    reader->gathered = NULL;
    caller_lookup_complete(lookup, NULL);
    caller_lookup_free(lookup);
}

static void send_gathered(struct reader *reader)
{
    const struct pending_read pending_read = {.take_result = take_access,
                                              .statement = "access",
                                              .lookup = reader->gathered,
                                              .ctx = reader};
    if (read_connection_admit(reader->connections[CALLERS], 0) != STATUS_OK) {
        give_up_gathered(reader);
        return;
    }
    reader->gathered = NULL;
    reader->unanswered++;
    read_connection_submit(reader->connections[CALLERS], &pending_read);
}

static void on_send(evutil_socket_t fd, short what, void *ctx)
{
    struct reader *reader = ctx;
    (void)fd;
    (void)what;
    if (reader->gathered != NULL && reader->unanswered == 0) send_gathered(reader);
}

enum status reader_access(struct reader *reader, const struct caller_query *query, caller_done *done, void *ctx)
{
    enum status status = read_connection_admit(reader->connections[CALLERS], 0);
    if (status != STATUS_OK) return status;
    if (reader->gathered == NULL) {
        reader->gathered = caller_lookup_new();
        event_active(reader->send_event, EV_TIMEOUT, 0);
    }
    if (reader->gathered == NULL || !caller_lookup_add(reader->gathered, query, done, ctx)) return STATUS_NO_MEMORY;
    if (caller_lookup_len(reader->gathered) == CALLER_LOOKUP_MAX) send_gathered(reader);
    return STATUS_OK;
}

/* ---- schedules ---- */

static enum status submit(struct reader *reader, enum purpose purpose, const struct pending_read *pending_read)
{
    struct read_connection *connection = reader->connections[purpose];
    enum status status = read_connection_admit(connection, pending_read->caller);
    if (status == STATUS_OK) read_connection_submit(connection, pending_read);
    return status;
}

enum status reader_list_user_schedules(struct reader *reader, uint64_t caller, int64_t org_id, int64_t user_id,
                                       schedules_done *done, void *ctx)
{
    const struct pending_read pending_read = {
        .take_result = take_schedules,
        .statement = "list_user_schedules",
        .params = {READER_LIST_BYTES_MAX, org_id, READER_LIST_BYTES_MAX / SCHEDULE_BYTES_LEAST, 0, 0, user_id},
        .params_len = 6,
        .schedules_done = done,
        .ctx = ctx,
        .caller = caller,
    };
    return submit(reader, LISTS, &pending_read);
}

enum status reader_list_schedules(struct reader *reader, uint64_t caller, int64_t org_id, int64_t team_id,
                                  const struct page *page, schedules_done *done, void *ctx)
{
    const struct pending_read pending_read = {
        .take_result = take_schedules,
        .statement = team_id == 0 ? "list_org_schedules" : "list_team_schedules",
        .params = {READER_LIST_BYTES_MAX, org_id, page->take, page->skip, page->cursor, team_id},
        .params_len = team_id == 0 ? 5 : 6,
        .schedules_done = done,
        .ctx = ctx,
        .caller = caller,
    };
    return submit(reader, PAGES, &pending_read);
}

/* "{1,0,2,7}": users and their schedules. The caller frees it; NULL: no memory. */
static char *list_of_pairs(const struct people_key *key)
{
    struct buf text;
    buf_init(&text, PEOPLE_TEXT_MAX);
    buf_append_char(&text, '{');
    for (size_t i = 0; i < key->users_len; i++) {
        if (i > 0) buf_append_char(&text, ',');
        buf_append_int(&text, key->users[i]);
        buf_append_char(&text, ',');
        buf_append_int(&text, key->schedules[i]);
    }
    buf_append(&text, "}", 2); /* with its NUL */
    if (!text.failed) return text.data;
    buf_done(&text);
    return NULL;
}

enum status reader_list_people(struct reader *reader, uint64_t caller, int64_t org_id, const struct people_key *key,
                               people_done *done, void *ctx)
{
    const struct pending_read pending_read = {
        .take_result = take_people,
        .statement = "list_people",
        .params = {READER_LIST_BYTES_MAX, org_id, key->team_id, key->team_max},
        .params_len = 4,
        .list = list_of_pairs(key),
        .people_done = done,
        .ctx = ctx,
        .caller = caller,
    };
    enum status status = pending_read.list == NULL ? STATUS_NO_MEMORY : submit(reader, LISTS, &pending_read);
    if (status != STATUS_OK) free(pending_read.list);
    return status;
}

enum status reader_get_schedule(struct reader *reader, uint64_t caller, int64_t org_id, int64_t user_id, int64_t schedule_id,
                                schedule_done *done, void *ctx)
{
    const struct pending_read pending_read = {
        .take_result = take_schedule,
        .statement = "get_schedule",
        .params = {org_id, user_id, schedule_id},
        .params_len = 3,
        .schedule_done = done,
        .ctx = ctx,
        .caller = caller,
    };
    return submit(reader, SINGLES, &pending_read);
}

enum status reader_get_default_schedule(struct reader *reader, uint64_t caller, int64_t org_id, int64_t user_id,
                                        schedule_done *done, void *ctx)
{
    const struct pending_read pending_read = {
        .take_result = take_schedule,
        .statement = "get_default_schedule",
        .params = {org_id, user_id},
        .params_len = 2,
        .schedule_done = done,
        .ctx = ctx,
        .caller = caller,
    };
    return submit(reader, SINGLES, &pending_read);
}

/* ---- life cycle ---- */

struct reader *reader_new(struct event_base *base, const char *database_url)
{
    struct reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) return NULL;
    reader->send_event = evtimer_new(base, on_send, reader);
    bool ok = reader->send_event != NULL;
    for (int i = 0; ok && i < PURPOSES; i++) {
        reader->configs[i] = configs[i];
        reader->configs[i].database_url = database_url;
        reader->connections[i] =
            read_connection_new(base, &reader->configs[i], i == CALLERS ? give_up_gathered : NULL, reader);
        ok = reader->connections[i] != NULL;
    }
    if (ok) return reader;
    reader_free(reader);
    return NULL;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL) return;
    for (int i = 0; i < PURPOSES; i++) read_connection_free(reader->connections[i]);
    if (reader->send_event != NULL) event_free(reader->send_event);
    caller_lookup_free(reader->gathered);
    free(reader);
}

bool reader_is_ready(const struct reader *reader)
{
    for (int i = 0; i < PURPOSES; i++) {
        if (!read_connection_is_ready(reader->connections[i])) return false;
    }
    return true;
}
