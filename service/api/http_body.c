/* The body of a request as JSON. */
#include "api/http_coding.h"
#include "api/http_exchange.h"
#include "codec/json_text.h"
#include "codec/schedule_json.h"

static bool set_empty(struct exchange *exchange)
{
    json_decref(exchange->body);
    exchange->body = json_object();
    if (exchange->body == NULL) reply_failure(exchange, STATUS_NO_MEMORY);
    return exchange->body != NULL;
}

/* False when it was answered. */
static bool parse(struct exchange *exchange, struct slice text)
{
    struct json_fault fault;
    enum status status = json_text_parse(text, &exchange->body, &fault);
    if (status == STATUS_UNDECODABLE) reply_error(exchange, 400, printable(fault.detail, exchange->arena));
    else if (status != STATUS_OK) reply_failure(exchange, status);
    return status == STATUS_OK;
}

/* What it becomes is there for as long as it is parsed, and as handlers take turns of one body that is large, once at a time. */
static bool decode_and_parse(struct exchange *exchange, struct slice body, enum http_coding coding)
{
    struct buf text;
    bool is_parsed = false;
    buf_init(&text, BODY_BYTES_MAX);
    enum status status = http_decode(body, coding, &text);
    if (status == STATUS_OK) is_parsed = parse(exchange, buf_slice(&text));
    else if (status == STATUS_TOO_LARGE) reply_error(exchange, 413, SLICE("request entity too large"));
    else if (status == STATUS_UNDECODABLE) reply_error(exchange, 400, SLICE("the body is not of its Content-Encoding"));
    else reply_failure(exchange, status);
    buf_done(&text);
    return is_parsed;
}

/* A body that is not JSON, an empty one and an array count as an empty object. */
bool exchange_read_body(struct exchange *exchange)
{
    const char *type = http_request_header(exchange->request, "Content-Type");
    enum http_coding coding = http_coding_of(http_request_header(exchange->request, "Content-Encoding"));
    struct slice body = http_request_body(exchange->request);
    if (body.len == 0 || !json_text_is_type(slice_of(type))) return set_empty(exchange);
    if (!is_utf8_type(type)) {
        reply_error(exchange, 415, SLICE("unsupported charset, the body must be of UTF-8"));
        return false;
    }
    if (coding == HTTP_CODING_OTHER) {
        reply_error(exchange, 415, SLICE("unsupported content encoding, it may be gzip or deflate"));
        return false;
    }
    if (coding == HTTP_CODING_IDENTITY ? !parse(exchange, body) : !decode_and_parse(exchange, body, coding)) return false;
    if (json_is_object(exchange->body)) return true;
    if (json_is_array(exchange->body)) return set_empty(exchange);
    reply_error(exchange, 400, SLICE("The body must be a JSON object"));
    return false;
}
