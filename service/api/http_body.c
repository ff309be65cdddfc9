/* The body of a request as JSON. */
#include <strings.h>

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

/* A body that is not JSON, an empty one and an array count as an empty object. */
bool exchange_read_body(struct exchange *exchange)
{
    const char *encoding = http_request_header(exchange->request, "Content-Encoding");
    struct slice text = http_request_body(exchange->request);
    struct json_fault fault;
    if (text.len == 0 || !json_text_is_type(slice_of(http_request_header(exchange->request, "Content-Type")))) {
        return set_empty(exchange);
    }
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        reply_error(exchange, 415, SLICE("unsupported content encoding"));
        return false;
    }
    enum status status = json_text_parse(text, &exchange->body, &fault);
    if (status == STATUS_UNDECODABLE) reply_error(exchange, 400, printable(fault.detail, exchange->arena));
    else if (status != STATUS_OK) reply_failure(exchange, status);
    if (status != STATUS_OK) return false;
    if (json_is_object(exchange->body)) return true;
    if (json_is_array(exchange->body)) return set_empty(exchange);
    reply_error(exchange, 400, SLICE("The body must be a JSON object"));
    return false;
}
