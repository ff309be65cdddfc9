/* What is answered about one schedule, read or written. */
#include <inttypes.h>
#include <stdio.h>

#include "api/http_exchange.h"

/* A strong validator (RFC 9110, 8.8.3): every change of a schedule makes a new version. */
static void write_etag(struct exchange *exchange, int64_t version)
{
    char etag[24];
    snprintf(etag, sizeof(etag), "\"%" PRId64 "\"", version);
    http_reply_header(exchange->request, "ETag", etag);
}

void reply_schedule(struct exchange *exchange, int status_code, const struct schedule_row *row)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":");
    schedule_write_json(&body, row);
    buf_append_char(&body, '}');
    write_etag(exchange, row->version);
    reply_json(exchange, status_code, &body);
    buf_done(&body);
}

void refuse_schedule(struct exchange *exchange, enum schedule_access access)
{
    if (access == SCHEDULE_OTHERS) {
        reply_errorf(exchange, 403, "User with ID=%" PRId64 " does not own schedule with ID=%" PRId64, exchange->user_id,
                     exchange->schedule_id);
    } else {
        reply_errorf(exchange, 404, "Schedule with ID=%" PRId64 " does not exist.", exchange->schedule_id);
    }
}
