/* A quick receiver of webhooks, which says 200 at once: one thread for all endpoints, told apart by their paths. Listens on the addresses
 * from 127.0.0.1 on. A GET is answered with how many different deliveries there were; at SIGTERM it prints that, the microseconds from the
 * first request to the last new one, how many came again, and the latencies from the createdAt of the body, which is when the transaction
 * began.
 *
 *   webhook_sink PORT ADDRESSES DELIVERIES_MAX */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver/clock.h"
#include "latencies.h"

enum { BEGIN_LEN = 128, TIME_LEN = 24 };

struct sink {
    struct event_base *base;
    uint64_t *seen; /* a hash table of deliveries; 0: free */
    size_t seen_len;
    size_t deliveries;
    size_t again;
    int64_t first_us;
    int64_t last_us;
    struct latencies latencies;
};

/* FNV-1a */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++) hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
    return hash;
}

/* Whether it is the first with this number. */
static bool add(struct sink *sink, uint64_t number)
{
    size_t at = number % sink->seen_len;
    while (sink->seen[at] != 0 && sink->seen[at] != number) at = (at + 1) % sink->seen_len;
    if (sink->seen[at] == number || sink->deliveries * 2 >= sink->seen_len) return false;
    sink->seen[at] = number;
    return true;
}

/* Of "createdAt":"2026-11-28T10:00:00.000Z". 0: there is none. */
static int64_t created_us(struct evbuffer *body)
{
    static const char name[] = "\"createdAt\":\"";
    char begin[BEGIN_LEN + 1] = {0};
    struct tm time = {0};
    evbuffer_copyout(body, begin, BEGIN_LEN);
    const char *text = strstr(begin, name);
    if (text == NULL || strlen(text) < sizeof(name) - 1 + TIME_LEN) return 0;
    const char *rest = strptime(text + sizeof(name) - 1, "%Y-%m-%dT%H:%M:%S.", &time);
    return rest == NULL ? 0 : (int64_t)timegm(&time) * 1000000 + strtoll(rest, NULL, 10) * 1000;
}

static void on_delivery(struct sink *sink, struct evhttp_request *request)
{
    const char *id = evhttp_find_header(evhttp_request_get_input_headers(request), "webhook-id");
    uint64_t number = hash_text(0xcbf29ce484222325ULL, evhttp_request_get_uri(request));
    number = hash_text(hash_text(number, " "), id == NULL ? "" : id);
    int64_t now_us = clock_wall_us();
    if (sink->first_us == 0) sink->first_us = now_us;
    if (!add(sink, number | 1)) {
        sink->again++;
        return;
    }
    sink->deliveries++;
    sink->last_us = now_us;
    latencies_add(&sink->latencies, now_us - created_us(evhttp_request_get_input_buffer(request)));
}

static void on_request(struct evhttp_request *request, void *ctx)
{
    struct sink *sink = ctx;
    if (evhttp_request_get_command(request) == EVHTTP_REQ_POST) on_delivery(sink, request);
    else evbuffer_add_printf(evhttp_request_get_output_buffer(request), "%zu", sink->deliveries);
    evhttp_send_reply(request, 200, "OK", NULL);
}

static void on_term(evutil_socket_t number, short what, void *ctx)
{
    struct sink *sink = ctx;
    (void)number;
    (void)what;
    event_base_loopbreak(sink->base);
}

static bool listen_on(struct evhttp *http, unsigned short port, unsigned addresses)
{
    char address[16];
    for (unsigned i = 1; i <= addresses; i++) {
        snprintf(address, sizeof(address), "127.0.0.%u", i);
        if (evhttp_bind_socket(http, address, port) != 0) return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned addresses = argc == 4 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    size_t most = argc == 4 ? (size_t)strtoull(argv[3], NULL, 10) : 0;
    if (addresses == 0 || addresses > 250 || most == 0) {
        fprintf(stderr, "usage: webhook_sink PORT ADDRESSES DELIVERIES_MAX\n");
        return 2;
    }
    struct sink sink = {.base = event_base_new(), .seen = calloc(most * 4, sizeof(uint64_t)), .seen_len = most * 4};
    struct evhttp *http = sink.base == NULL ? NULL : evhttp_new(sink.base);
    struct event *term = sink.base == NULL ? NULL : evsignal_new(sink.base, SIGTERM, on_term, &sink);
    if (http == NULL || sink.seen == NULL || term == NULL || event_add(term, NULL) != 0) return 1;
    latencies_init(&sink.latencies, most);
    evhttp_set_gencb(http, on_request, &sink);
    if (!listen_on(http, (unsigned short)strtoul(argv[1], NULL, 10), addresses)) return 1;
    event_base_dispatch(sink.base);
    printf("deliveries=%zu us=%" PRId64 " again=%zu ", sink.deliveries, sink.last_us - sink.first_us, sink.again);
    latencies_print(&sink.latencies);
    evhttp_free(http);
    event_free(term);
    event_base_free(sink.base);
    latencies_done(&sink.latencies);
    free(sink.seen);
    return 0;
}
