/* Happy path: a whole request becomes an exchange, finds its route, passes the guards, is handled and answered.
 *
 * Failure modes: no route: 404; too many exchanges, or a server this needs is away: 503 with Retry-After; what the HTTP
 * server itself refuses gets the same envelope. */
#include "api/http_api.h"

#include <stdlib.h>

#include "api/http_exchange.h"

enum {
    EXCHANGES_MAX = 1024,
    HEADER_BYTES_MAX = 16 << 10,
    REQUEST_BYTES_MAX = 8 << 20,
    ADDRESS_BYTES_MAX = 4 << 20,
    UNSENT_BYTES_MAX = 16 << 20,
    TRACKERS_MAX = 8192, /* in each of the two tables of the rate limits */
    REQUEST_TIMEOUT_MS = 10000,
    REPLY_TIMEOUT_MS = 20000,
    IDLE_TIMEOUT_MS = 75000
};

/* The contract hides a route from those who may not see it: no route and no method have one answer. */
static void answer(struct exchange *exchange)
{
    struct http_api *api = exchange->api;
    enum http_method method = http_request_method(exchange->request);
    exchange->route = route_find(method, target_path(exchange->target), &exchange->params);
    if (method == HTTP_METHOD_OPTIONS) {
        reply_preflight(exchange);
    } else if (exchange->route == NULL || (!api->config.serves_api && exchange->route->access != ACCESS_OPEN)) {
        reply_no_route(exchange);
    } else if (exchange->route->access == ACCESS_OPEN) {
        exchange->route->handle(exchange);
    } else if (api->exchanges_len > EXCHANGES_MAX) {
        reply_failure(exchange, STATUS_OVERLOADED);
    } else {
        auth_start(exchange);
    }
}

static void on_request(void *ctx, struct http_request *request)
{
    struct exchange *exchange = exchange_new(ctx, request);
    if (exchange != NULL) answer(exchange);
}

static void on_refusal(void *ctx, int status_code, struct slice target, struct buf *headers, struct buf *body)
{
    (void)ctx;
    write_refusal(headers, body, status_code, target);
    refusal_account(status_code);
}

struct http_api *http_api_new(struct event_base *base, const struct http_api_config *config)
{
    static const struct http_handler handler = {on_request, on_refusal};
    const struct http_server_config server_config = {
        .listen = config->listen,
        .tls_certificate = config->tls_certificate,
        .tls_key = config->tls_key,
        .connections_max = config->connections_max,
        .header_bytes_max = HEADER_BYTES_MAX,
        .body_bytes_max = BODY_BYTES_MAX,
        .request_bytes_max = REQUEST_BYTES_MAX,
        .address_bytes_max = ADDRESS_BYTES_MAX,
        .unsent_bytes_max = UNSENT_BYTES_MAX,
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
        .reply_timeout_ms = REPLY_TIMEOUT_MS,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
    };
    struct http_api *api = calloc(1, sizeof(*api));
    if (api == NULL) return NULL;
    api->config = *config;
    api->callers = rate_limiter_new(TRACKERS_MAX);
    api->addresses = rate_limiter_new(TRACKERS_MAX);
    if (api->callers != NULL && api->addresses != NULL && turn_init(api, base)) {
        api->server = http_server_new(base, &server_config, &handler, api);
    }
    if (api->server == NULL) {
        http_api_free(api);
        return NULL;
    }
    http_metrics_attach(api);
    return api;
}

void http_api_announce_end(struct http_api *api)
{
    http_server_announce_end(api->server);
}

void http_api_drain(struct http_api *api)
{
    http_server_drain(api->server);
}

bool http_api_load_tls(struct http_api *api)
{
    return http_server_load_tls(api->server);
}

size_t http_api_pending(const struct http_api *api)
{
    return http_server_pending(api->server);
}

uint16_t http_api_port(const struct http_api *api)
{
    return http_server_port(api->server);
}

void http_api_free(struct http_api *api)
{
    if (api == NULL) return;
    http_metrics_attach(NULL);
    http_server_free(api->server);
    turn_done(api);
    while (api->exchanges != NULL) {
        http_request_drop(api->exchanges->request);
        exchange_free(api->exchanges);
    }
    rate_limiter_free(api->callers);
    rate_limiter_free(api->addresses);
    free(api);
}
