/* Replies: bodies, envelopes, and the headers that all of them carry. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/http_exchange.h"
#include "api/http_query.h"
#include "codec/error_json.h"
#include "driver/clock.h"
#include "driver/log.h"

enum { CURSOR_SIZE = 64, REFUSAL_ARENA_BYTES = 128 << 10 };

/* What a page of another origin may read; those of rate limits see http_throttle.c. */
#define EXPOSED "ETag,Link,Retry-After,X-Request-Id"

/* Status codes by the names the contract's envelope gives them; without a reason the details are the message. */
static const struct exception {
    int status_code;
    const char *code;
    const char *reason;
} exceptions[] = {
    {400, "BadRequestException", "Bad Request"},
    {401, "UnauthorizedException", "Unauthorized"},
    {403, "ForbiddenException", "Forbidden"},
    {404, "NotFoundException", "Not Found"},
    {409, "ConflictException", "Conflict"},
    {412, "PreconditionFailedException", "Precondition Failed"},
    {413, "PayloadTooLargeException", "Payload Too Large"},
    {415, "UnsupportedMediaTypeException", "Unsupported Media Type"},
    {422, "UnprocessableEntityException", "Unprocessable Entity"},
    {417, "ExpectationFailedException", "Expectation Failed"},
    {429, "ThrottlerException", ""},
    {501, "NotImplementedException", "Not Implemented"},
    {503, "ServiceUnavailableException", "Service Unavailable"},
    {500, "InternalServerErrorException", "Internal Server Error"},
};

static const struct exception *exception_of(int status_code)
{
    const struct exception *exception = exceptions;
    while (exception->status_code != status_code && exception->status_code != 500) exception++;
    return exception;
}

static void write_envelope(struct buf *out, int status_code, struct slice message, struct slice target)
{
    const struct exception *exception = exception_of(status_code);
    error_write_json(out, status_code, slice_of(exception->code), slice_of(exception->reason), message, target,
                     clock_wall_us());
}

static void finish(struct exchange *exchange, int status_code, const char *content_type, struct slice body)
{
    struct http_request *request = exchange->request;
    if (content_type != NULL) http_reply_header(request, "Content-Type", content_type);
    http_reply_header(request, "X-Request-Id", exchange->request_id);
    http_reply_header(request, "Access-Control-Allow-Origin", "*");
    http_reply_header(request, "Access-Control-Expose-Headers", EXPOSED);
    if (status_code == 503) http_reply_header(request, "Retry-After", "1");
    exchange_account(exchange, status_code);
    http_reply(request, status_code, body);
    exchange_free(exchange);
}

void reply_bytes(struct exchange *exchange, int status_code, const char *content_type, struct slice body)
{
    if (http_server_has_room(exchange->api->server, body.len)) finish(exchange, status_code, content_type, body);
    else reply_failure(exchange, STATUS_OVERLOADED);
}

void reply_text(struct exchange *exchange, int status_code, const char *content_type, const struct buf *body)
{
    if (body->failed) reply_failure(exchange, STATUS_NO_MEMORY);
    else reply_bytes(exchange, status_code, content_type, buf_slice(body));
}

void reply_json(struct exchange *exchange, int status_code, const struct buf *body)
{
    reply_text(exchange, status_code, JSON_TYPE, body);
}

void reply_error(struct exchange *exchange, int status_code, struct slice message)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    write_envelope(&body, status_code, message, exchange->target);
    finish(exchange, status_code, JSON_TYPE, body.failed ? SLICE("") : buf_slice(&body));
    buf_done(&body);
}

void reply_errorf(struct exchange *exchange, int status_code, const char *format, ...)
{
    struct buf message;
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < (int)sizeof(text)) {
        reply_error(exchange, status_code, slice_of(text));
        return;
    }
    buf_init(&message, REPLY_BYTES_MAX);
    char *long_text = buf_extend(&message, (size_t)len + 1);
    va_start(args, format);
    if (long_text != NULL) vsnprintf(long_text, (size_t)len + 1, format, args);
    va_end(args);
    reply_error(exchange, status_code, slice_of(long_text == NULL ? text : long_text));
    buf_done(&message);
}

void reply_next_link(struct exchange *exchange, struct slice target, const char *format, ...)
{
    char cursor[CURSOR_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(cursor, sizeof(cursor), format, args);
    va_end(args);
    if (target.data != NULL) target = query_without(target, SLICE("cursor"), exchange->arena);
    if (target.data == NULL) return;
    char separator = target_path(target).len == target.len ? '?' : '&';
    struct slice link = arena_printf(exchange->arena, "<%s%ccursor=%s>; rel=\"next\"", target.data, separator, cursor);
    if (link.data != NULL) http_reply_header(exchange->request, "Link", link.data);
}

void reply_no_route(struct exchange *exchange)
{
    reply_errorf(exchange, 404, "Cannot %s %s", http_method_name(http_request_method(exchange->request)),
                 exchange->target.data);
}

void reply_violations(struct exchange *exchange, const struct violations *violations)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    validation_error_write_json(&body, exchange->body, violations, exchange->target, clock_wall_us());
    reply_json(exchange, 400, &body);
    buf_done(&body);
}

/* Needs no more memory and room than any other answer. */
static void reply_id(struct exchange *exchange)
{
    char body[96];
    if (exchange->stored_webhook_id != NULL) {
        snprintf(body, sizeof(body), "{\"status\":\"success\",\"data\":{\"id\":\"%s\"}}", exchange->stored_webhook_id);
    } else {
        snprintf(body, sizeof(body), "{\"status\":\"success\",\"data\":{\"id\":%" PRId64 "}}",
                 exchange->pending_write.schedule_id);
    }
    finish(exchange, exchange->stored_code, JSON_TYPE, slice_of(body));
}

void reply_failure(struct exchange *exchange, enum status status)
{
    if (exchange->stored_code != 0) {
        LOG_WARN("stored; the event has no state", LOG_STR("request_id", exchange->request_id),
                 LOG_STR("reason", status_text(status)));
        reply_id(exchange);
        return;
    }
    if (status_class(status) == STATUS_CLASS_RETRY) {
        reply_error(exchange, 503, SLICE("The service is not available right now, please try again later."));
        return;
    }
    if (status == STATUS_TOO_LARGE) {
        reply_error(exchange, 413, SLICE("request entity too large"));
        return;
    }
    LOG_ERROR("http request failed", LOG_STR("request_id", exchange->request_id), LOG_STR("reason", status_text(status)));
    reply_error(exchange, 500, SLICE("There was an error, please try again later."));
}

void reply_preflight(struct exchange *exchange)
{
    struct http_request *request = exchange->request;
    http_reply_header(request, "Access-Control-Allow-Methods", "GET,PATCH,DELETE,HEAD,POST,PUT,OPTIONS");
    http_reply_header(request, "Access-Control-Allow-Headers",
                      "x-cal-client-id,x-cal-secret-key,x-cal-platform-embed,cal-api-version,Accept,Authorization,"
                      "Content-Type,Origin,If-Match,Idempotency-Key");
    http_reply_header(request, "Access-Control-Max-Age", "86400");
    finish(exchange, 204, NULL, SLICE(""));
}

void write_refusal(struct buf *headers, struct buf *body, int status_code, struct slice target)
{
    struct arena *arena = arena_new(REFUSAL_ARENA_BYTES);
    struct slice path = arena == NULL ? SLICE("") : target_rewrite(target, arena);
    char request_id[REQUEST_ID_SIZE];
    struct slice message = slice_of(exception_of(status_code)->reason);
    if (status_code == 413) message = SLICE("request entity too large");
    request_id_new(request_id);
    buf_printf(headers,
               "Content-Type: " JSON_TYPE "\r\nX-Request-Id: %s\r\nAccess-Control-Allow-Origin: *\r\n"
               "Access-Control-Expose-Headers: " EXPOSED "\r\n%s",
               request_id, status_code == 503 ? "Retry-After: 1\r\n" : "");
    write_envelope(body, status_code, message, path.data == NULL ? SLICE("") : path);
    arena_free(arena);
}
