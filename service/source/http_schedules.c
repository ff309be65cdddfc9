/* The handlers of an organization's user's schedules. Caller, organization and user have passed the guards. */
#include <inttypes.h>

#include "source/http_exchange.h"

/* ---- answers ---- */

void reply_schedule(struct exchange *exchange, int status_code, const struct schedule_row *row)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":");
    schedule_write_json(&body, row);
    buf_append_char(&body, '}');
    reply_json(exchange, status_code, &body);
    buf_done(&body);
}

void reply_missing_schedule(struct exchange *exchange)
{
    reply_errorf(exchange, 404, "Schedule with ID=%" PRId64 " does not exist.", exchange->schedule_id);
}

void reply_foreign_schedule(struct exchange *exchange)
{
    reply_errorf(exchange, 403, "User with ID=%" PRId64 " does not own schedule with ID=%" PRId64, exchange->user_id,
                 exchange->schedule_id);
}

static void on_list(void *ctx, enum status status, const struct schedule_row *rows, size_t len, bool is_cut)
{
    struct exchange *exchange = ctx;
    struct buf body;
    if (status != STATUS_OK || is_cut) {
        if (is_cut) reply_errorf(exchange, 400, "The schedules of this user exceed %d bytes", READER_LIST_BYTES_MAX);
        else reply_failure(exchange, status);
        return;
    }
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < len; i++) {
        if (i > 0) buf_append_char(&body, ',');
        schedule_write_json(&body, &rows[i]);
    }
    buf_printf(&body, "]}");
    reply_json(exchange, 200, &body);
    buf_done(&body);
}

static void on_one(void *ctx, enum status status, const struct schedule_row *rows, size_t len, bool is_cut)
{
    struct exchange *exchange = ctx;
    (void)is_cut;
    if (status != STATUS_OK) {
        reply_failure(exchange, status);
    } else if (len == 0) {
        reply_missing_schedule(exchange);
    } else if (rows[0].owner_id != exchange->user_id) {
        reply_foreign_schedule(exchange);
    } else {
        reply_schedule(exchange, 200, &rows[0]);
    }
}

void handle_list_schedules(struct exchange *exchange)
{
    enum status status =
        reader_list_schedules(exchange->door->config.reader, exchange->org_id, exchange->user_id, on_list, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

void handle_get_schedule(struct exchange *exchange)
{
    enum status status =
        reader_get_schedule(exchange->door->config.reader, exchange->org_id, exchange->schedule_id, on_one, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}
