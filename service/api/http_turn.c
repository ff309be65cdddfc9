/* Whose turn it is. Reading a body costs what its sender makes it cost, and hundreds may have passed the guards at once: the loop gives
 * bodies a few milliseconds, goes on to everybody else, and comes back. A large body waits behind other large ones, of which each turn reads
 * one, and never before a small one. What takes longer than a turn is done in pieces, for one exchange after the other, so that only one at a time
 * has an answer half made; bodies leave it half of each turn. */
#include <event2/event.h>

#include "api/http_exchange.h"
#include "driver/clock.h"
#include "driver/metrics.h"

enum { TURN_US = 5000, WORK_US = TURN_US / 2, HEAVY_BYTES = 8 << 10 };

static const int64_t turn_buckets[] = {500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 0};
static struct metric turn_seconds = {
    .type = METRIC_HISTOGRAM,
    .name = "schedule_http_turn_seconds",
    .labels = "",
    .scale = 1e-6,
    .buckets = turn_buckets,
    .help = "Time of one turn of the event loop for bodies and for queries about several people.",
};

static void append(struct turn_queue *queue, struct exchange *exchange)
{
    if (queue->first == NULL) queue->first = exchange;
    else queue->last->next_turn = exchange;
    exchange->next_turn = NULL;
    queue->last = exchange;
}

static void handle_first(struct turn_queue *queue)
{
    struct exchange *exchange = queue->first;
    queue->first = exchange->next_turn;
    exchange->route->handle(exchange);
}

/* A timer, as what is made active is run before the loop looks at anything else again. */
static void ask_for_turn(struct http_api *api)
{
    static const struct timeval next_turn = {0, 0};
    if (!evtimer_pending(api->turn, NULL)) event_add(api->turn, &next_turn);
}

/* A piece at least, so that it ends whatever else there is to do. */
static void work_until(struct turn_queue *queue, int64_t end_us)
{
    while (queue->first != NULL) {
        struct exchange *next = queue->first->next_turn;
        if (!queue->first->work(queue->first)) queue->first = next;
        if (clock_steady_us() >= end_us) return;
    }
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
    struct http_api *api = ctx;
    int64_t start_us = clock_steady_us();
    (void)fd;
    (void)what;
    if (api->heavy.first != NULL) handle_first(&api->heavy);
    work_until(&api->working, start_us + WORK_US);
    while (api->light.first != NULL && clock_steady_us() < start_us + TURN_US) handle_first(&api->light);
    if (api->light.first != NULL || api->heavy.first != NULL || api->working.first != NULL) ask_for_turn(api);
    metric_observe(&turn_seconds, clock_steady_us() - start_us);
}

void turn_metrics_register(void)
{
    metrics_register(&turn_seconds);
}

bool turn_init(struct http_api *api, struct event_base *base)
{
    api->turn = event_new(base, -1, 0, on_turn, api);
    return api->turn != NULL;
}

void turn_done(struct http_api *api)
{
    if (api->turn != NULL) event_free(api->turn);
}

void turn_take(struct exchange *exchange)
{
    size_t body_len = http_request_body(exchange->request).len;
    if (body_len == 0) {
        exchange->route->handle(exchange);
        return;
    }
    /* A coded body becomes as large as any. */
    bool is_heavy = body_len > HEAVY_BYTES || http_request_header(exchange->request, "Content-Encoding") != NULL;
    append(is_heavy ? &exchange->api->heavy : &exchange->api->light, exchange);
    ask_for_turn(exchange->api);
}

void turn_work(struct exchange *exchange, bool (*work)(struct exchange *exchange))
{
    exchange->work = work;
    append(&exchange->api->working, exchange);
    ask_for_turn(exchange->api);
}
