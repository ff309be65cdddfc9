/* The handlers that read schedules. Caller, organization, team and user have passed the guards. */
#include <inttypes.h>

#include "api/http_exchange.h"
#include "api/http_query.h"

/* ---- lists ---- */

static void reply_list(struct exchange *exchange, const struct schedule_list *list)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < list->len; i++) {
        if (i > 0) buf_append_char(&body, ',');
        schedule_write_json(&body, &list->rows[i]);
    }
    buf_printf(&body, "]}");
    reply_json(exchange, 200, &body);
    buf_done(&body);
}

static void on_user_list(void *ctx, enum status status, const struct schedule_list *list)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) reply_failure(exchange, status);
    else if (list->is_cut) reply_errorf(exchange, 400, "The schedules of this user exceed %d bytes", READER_LIST_BYTES_MAX);
    else reply_list(exchange, list);
}

static void on_page(void *ctx, enum status status, const struct schedule_list *list)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) {
        reply_failure(exchange, status);
    } else if (list->is_cut) {
        reply_errorf(exchange, 400, "The schedules of this page exceed %d bytes, please take at most %zu",
                     READER_LIST_BYTES_MAX, list->len);
    } else {
        struct slice target = query_without(exchange->target, SLICE("skip"), exchange->arena);
        if (list->has_more) reply_next_link(exchange, target, "%" PRId64, list->rows[list->len - 1].id);
        reply_list(exchange, list);
    }
}

/* False when it was answered. */
static bool read_page(struct exchange *exchange, struct page *ret_page)
{
    struct violations violations = {0};
    enum status status = query_page(exchange->target, exchange->arena, ret_page, &exchange->body, &violations);
    if (status == STATUS_INVALID) reply_violations(exchange, &violations);
    else if (status != STATUS_OK) reply_failure(exchange, status);
    return status == STATUS_OK;
}

/* A list that is not narrowed would be taken for one that is. False when it was answered. */
static bool refuse_event_type(struct exchange *exchange)
{
    bool is_named;
    bool is_of_team = exchange->team_id != 0;
    if (!is_of_team) return true;
    if (!query_names(exchange->target, SLICE("eventTypeId"), exchange->arena, &is_named)) {
        reply_failure(exchange, arena_failure(exchange->arena));
        return false;
    }
    if (is_named) reply_error(exchange, 400, SLICE("eventTypeId is not served: there are no event types here"));
    return !is_named;
}

void handle_list_user_schedules(struct exchange *exchange)
{
    if (!refuse_event_type(exchange)) return;
    enum status status = reader_list_user_schedules(exchange->api->config.reader, exchange_share(exchange),
                                                    exchange->scope_org_id, exchange->user_id, on_user_list, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

/* Of the team that the path names, or where it names none of all. */
void handle_list_schedules(struct exchange *exchange)
{
    struct page page;
    if (!refuse_event_type(exchange) || !read_page(exchange, &page)) return;
    enum status status = reader_list_schedules(exchange->api->config.reader, exchange_share(exchange), exchange->org_id,
                                               exchange->team_id, &page, on_page, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

/* ---- one ---- */

static void on_schedule(void *ctx, enum status status, enum schedule_access access, const struct schedule_row *row)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) reply_failure(exchange, status);
    else if (access != SCHEDULE_OWN) refuse_schedule(exchange, access);
    else reply_schedule(exchange, 200, row);
}

static void on_default(void *ctx, enum status status, enum schedule_access access, const struct schedule_row *row)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) reply_failure(exchange, status);
    else if (access != SCHEDULE_OWN) reply_bytes(exchange, 200, JSON_TYPE, SLICE("{\"status\":\"success\",\"data\":null}"));
    else reply_schedule(exchange, 200, row);
}

void handle_get_schedule(struct exchange *exchange)
{
    enum status status = reader_get_schedule(exchange->api->config.reader, exchange_share(exchange), exchange->scope_org_id,
                                             exchange->user_id, exchange->schedule_id, on_schedule, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

void handle_get_default_schedule(struct exchange *exchange)
{
    enum status status = reader_get_default_schedule(exchange->api->config.reader, exchange_share(exchange),
                                                     exchange->scope_org_id, exchange->user_id, on_default, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}
