/* The body of a request as JSON. */
#include <strings.h>

#include "codec/json_text.h"
#include "codec/schedule_json.h"
#include "source/http_exchange.h"

/* A body that is not JSON, an empty one and an array count as an empty object. */
bool exchange_read_body(struct exchange *exchange)
{
    const char *encoding = http_request_header(exchange->request, "Content-Encoding");
    struct slice text = http_request_body(exchange->request);
    char reason[256];
    if (text.len == 0 || !json_text_is_type(slice_of(http_request_header(exchange->request, "Content-Type")))) {
        exchange->body = json_object();
        return true;
    }
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        reply_error(exchange, 415, SLICE("unsupported content encoding"));
        return false;
    }
    exchange->body = json_text_parse(text, reason, sizeof(reason));
    if (exchange->body == NULL) {
        reply_error(exchange, 400, printable(reason, exchange->arena));
        return false;
    }
    if (json_is_object(exchange->body)) return true;
    if (json_is_array(exchange->body)) {
        json_decref(exchange->body);
        exchange->body = json_object();
        return true;
    }
    reply_error(exchange, 400, SLICE("The body must be a JSON object"));
    return false;
}
