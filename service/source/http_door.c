/* Happy path: a whole request becomes an exchange, finds its route, passes the guards, is handled and answered.
 *
 * Failure modes: no route: 404; too many exchanges, or a server this needs is away: 503 with Retry-After; what the HTTP
 * server itself refuses gets the same envelope. */
#include "source/http_door.h"

#include <stdlib.h>

#include "source/http_exchange.h"

enum {
    EXCHANGES_MAX = 1024,
    HEADER_BYTES_MAX = 16 << 10,
    BODY_BYTES_MAX = 100 << 10,
    REQUEST_BYTES_MAX = 8 << 20,
    ADDRESS_BYTES_MAX = 4 << 20,
    UNSENT_BYTES_MAX = 16 << 20,
    TRACKERS_MAX = 8192, /* in each of the two tables of the rate limits */
    REQUEST_TIMEOUT_MS = 10000,
    REPLY_TIMEOUT_MS = 20000,
    IDLE_TIMEOUT_MS = 75000
};

/* The contract tells nothing of a route to those who may not see it: no route and no method are one answer. */
static void answer(struct exchange *exchange)
{
    struct http_door *door = exchange->door;
    enum http_method method = http_request_method(exchange->request);
    exchange->route = route_find(method, target_path(exchange->target), &exchange->params);
    if (method == HTTP_METHOD_OPTIONS) {
        reply_preflight(exchange);
    } else if (exchange->route == NULL || (!door->config.serves_api && exchange->route->access != ACCESS_OPEN)) {
        reply_no_route(exchange);
    } else if (exchange->route->access == ACCESS_OPEN) {
        exchange->route->handle(exchange);
    } else if (door->exchanges_len > EXCHANGES_MAX) {
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

static void on_refusal(void *ctx, int status_code, struct buf *headers, struct buf *body)
{
    (void)ctx;
    write_refusal(headers, body, status_code);
    refusal_account(status_code);
}

struct http_door *http_door_new(struct event_base *base, const struct http_door_config *config)
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
    struct http_door *door = calloc(1, sizeof(*door));
    if (door == NULL) return NULL;
    door->config = *config;
    door->callers = rate_limiter_new(TRACKERS_MAX);
    door->addresses = rate_limiter_new(TRACKERS_MAX);
    if (door->callers != NULL && door->addresses != NULL && turn_init(door, base)) {
        door->server = http_server_new(base, &server_config, &handler, door);
    }
    if (door->server == NULL) {
        http_door_free(door);
        return NULL;
    }
    door_metrics_attach(door);
    return door;
}

void http_door_drain(struct http_door *door)
{
    http_server_drain(door->server);
}

bool http_door_load_tls(struct http_door *door)
{
    return http_server_load_tls(door->server);
}

size_t http_door_pending(const struct http_door *door)
{
    return http_server_pending(door->server);
}

uint16_t http_door_port(const struct http_door *door)
{
    return http_server_port(door->server);
}

void http_door_free(struct http_door *door)
{
    if (door == NULL) return;
    door_metrics_attach(NULL);
    http_server_free(door->server);
    turn_done(door);
    while (door->exchanges != NULL) {
        http_request_drop(door->exchanges->request);
        exchange_free(door->exchanges);
    }
    rate_limiter_free(door->callers);
    rate_limiter_free(door->addresses);
    free(door);
}
