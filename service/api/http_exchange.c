#include "api/http_exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <openssl/rand.h>

#include "api/http_header.h"
#include "driver/clock.h"

/* A body of the largest size with a thousand items and a thousand violations takes about a third of it. */
enum { ARENA_BYTES_MAX = 2 << 20 };

void request_id_new(char ret_id[static REQUEST_ID_SIZE])
{
    uint8_t random_bytes[10] = {0};
    RAND_bytes(random_bytes, sizeof(random_bytes)); /* uniqueness is a courtesy here */
    struct uuid id = uuid_v7((uint64_t)clock_wall_us() / 1000, random_bytes);
    uuid_format(&id, ret_id);
    ret_id[UUID_TEXT_LEN] = '\0';
}

/* The sender's own when it is fit, else a new one. */
static void set_request_id(struct exchange *exchange)
{
    const char *given = http_request_header(exchange->request, "X-Request-Id");
    if (is_request_id(given)) snprintf(exchange->request_id, sizeof(exchange->request_id), "%s", given);
    else request_id_new(exchange->request_id);
}

static void link_exchange(struct http_api *api, struct exchange *exchange)
{
    exchange->next = api->exchanges;
    if (exchange->next != NULL) exchange->next->previous = exchange;
    api->exchanges = exchange;
    api->exchanges_len++;
}

static void unlink_exchange(struct exchange *exchange)
{
    if (exchange->previous == NULL) exchange->api->exchanges = exchange->next;
    else exchange->previous->next = exchange->next;
    if (exchange->next != NULL) exchange->next->previous = exchange->previous;
    exchange->api->exchanges_len--;
}

struct exchange *exchange_new(struct http_api *api, struct http_request *request)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct slice target = {NULL, 0};
    if (arena != NULL) target = target_rewrite(http_request_target(request), arena);
    if (exchange == NULL || target.data == NULL) {
        free(exchange);
        arena_free(arena);
        http_reply(request, 503, SLICE(""));
        return NULL;
    }
    *exchange = (struct exchange){.api = api, .request = request, .arena = arena, .target = target};
    exchange->started_us = clock_steady_us();
    set_request_id(exchange);
    link_exchange(api, exchange);
    return exchange;
}

uint64_t exchange_share(const struct exchange *exchange)
{
    uint64_t share;
    memcpy(&share, exchange->caller_tracker, sizeof(share));
    return share;
}

void exchange_free(struct exchange *exchange)
{
    unlink_exchange(exchange);
    people_free(exchange->people);
    json_decref(exchange->body);
    arena_free(exchange->arena);
    free(exchange);
}
