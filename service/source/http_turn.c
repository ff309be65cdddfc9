/* Whose turn it is. Reading a body costs what its sender makes it cost, and hundreds may have passed the guards at once: the loop gives
 * bodies a few milliseconds, goes on to everybody else, and comes back. A large body waits behind other large ones, of which each turn reads
 * one, and never before a small one. */
#include <event2/event.h>

#include "driver/clock.h"
#include "source/http_exchange.h"

enum { TURN_US = 5000, HEAVY_BYTES = 8 << 10 };

static void append(struct turn_queue *queue, struct exchange *exchange)
{
    if (queue->first == NULL) queue->first = exchange;
    else queue->last->next_turn = exchange;
    queue->last = exchange;
}

static void handle_first(struct turn_queue *queue)
{
    struct exchange *exchange = queue->first;
    queue->first = exchange->next_turn;
    exchange->route->handle(exchange);
}

/* A timer, as what is made active is run before the loop looks at anything else again. */
static void ask_for_turn(struct http_door *door)
{
    static const struct timeval next_turn = {0, 0};
    if (!evtimer_pending(door->turn, NULL)) event_add(door->turn, &next_turn);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
    struct http_door *door = ctx;
    int64_t end_us = clock_steady_us() + TURN_US;
    (void)fd;
    (void)what;
    if (door->heavy.first != NULL) handle_first(&door->heavy);
    while (door->light.first != NULL && clock_steady_us() < end_us) handle_first(&door->light);
    if (door->light.first != NULL || door->heavy.first != NULL) ask_for_turn(door);
}

bool turn_init(struct http_door *door, struct event_base *base)
{
    door->turn = event_new(base, -1, 0, on_turn, door);
    return door->turn != NULL;
}

void turn_done(struct http_door *door)
{
    if (door->turn != NULL) event_free(door->turn);
}

void turn_take(struct exchange *exchange)
{
    size_t body_len = http_request_body(exchange->request).len;
    if (body_len == 0) {
        exchange->route->handle(exchange);
        return;
    }
    append(body_len > HEAVY_BYTES ? &exchange->door->heavy : &exchange->door->light, exchange);
    ask_for_turn(exchange->door);
}
