/* HTTP at a steady pace over keep-alive connections. Open loop: a request is due at its time whether or not earlier ones were
 * answered, waits where no connection is free, and its latency counts from when it was due. Standard input holds the requests, whole
 * and each ended by a NUL; they are sent by turns.
 *
 *   http_pace PORT CONNECTIONS RATE SECONDS    prints the latencies; fails when an answer is not 2xx */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/slice.h"
#include "driver/clock.h"
#include "latencies.h"

enum { CONNECTIONS_MAX = 1024, REQUESTS_MAX = 100000, INPUT_MAX = 64 << 20, TICK_US = 500, QUIET_US = 30 * 1000000 };

struct connection {
    struct pace *pace;
    struct bufferevent *socket;
    int64_t due_us; /* of the request under way; 0: none */
};

struct pace {
    struct event_base *base;
    struct slice *requests;
    size_t requests_len;
    struct connection *connections;
    struct connection **idle;
    size_t idle_len;
    int64_t start_us;
    int64_t rate;
    int64_t count;
    int64_t sent;
    struct latencies latencies;
};

static void fail(const char *reason)
{
    fprintf(stderr, "http_pace: %s\n", reason);
    exit(1);
}

static int64_t due_us(const struct pace *pace, int64_t i)
{
    return pace->start_us + i * 1000000 / pace->rate;
}

static void send_due(struct pace *pace)
{
    int64_t now_us = clock_steady_us();
    while (pace->idle_len > 0 && pace->sent < pace->count && due_us(pace, pace->sent) <= now_us) {
        struct connection *connection = pace->idle[--pace->idle_len];
        struct slice request = pace->requests[(size_t)pace->sent % pace->requests_len];
        connection->due_us = due_us(pace, pace->sent++);
        bufferevent_write(connection->socket, request.data, request.len);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct pace *pace = ctx;
    (void)fd;
    (void)what;
    if (clock_steady_us() - due_us(pace, pace->count) > QUIET_US) fail("some requests were not answered");
    send_due(pace);
}

/* The length of the whole answer at the front of the buffer; 0 while its headers are not there. */
static size_t answer_len(struct evbuffer *input)
{
    struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
    if (end.pos < 0) return 0;
    size_t head_len = (size_t)end.pos + 4;
    char head[4096];
    if (head_len >= sizeof(head)) fail("an answer with too many headers");
    evbuffer_copyout(input, head, head_len);
    head[head_len] = '\0';
    if (strncmp(head, "HTTP/1.1 2", 10) != 0) fail(head);
    const char *length = strcasestr(head, "\r\nContent-Length:");
    if (length == NULL) fail("an answer without Content-Length");
    return head_len + strtoull(strchr(length, ':') + 1, NULL, 10);
}

static void on_read(struct bufferevent *socket, void *ctx)
{
    struct connection *connection = ctx;
    struct pace *pace = connection->pace;
    struct evbuffer *input = bufferevent_get_input(socket);
    size_t len = answer_len(input);
    if (len == 0 || evbuffer_get_length(input) < len) return;
    evbuffer_drain(input, len);
    latencies_add(&pace->latencies, clock_steady_us() - connection->due_us);
    pace->idle[pace->idle_len++] = connection;
    if (pace->latencies.len == (size_t)pace->count) event_base_loopbreak(pace->base);
    else send_due(pace);
}

static void on_event(struct bufferevent *socket, short what, void *ctx)
{
    (void)socket;
    (void)ctx;
    if (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF)) fail("a connection was closed");
}

static void open_connections(struct pace *pace, unsigned short port, size_t len)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    pace->connections = calloc(len, sizeof(*pace->connections));
    pace->idle = calloc(len, sizeof(struct connection *));
    if (pace->connections == NULL || pace->idle == NULL) fail("no memory");
    for (size_t i = 0; i < len; i++) {
        struct connection *connection = &pace->connections[i];
        connection->pace = pace;
        connection->socket = bufferevent_socket_new(pace->base, -1, BEV_OPT_CLOSE_ON_FREE);
        bufferevent_setcb(connection->socket, on_read, NULL, on_event, connection);
        bufferevent_enable(connection->socket, EV_READ | EV_WRITE);
        if (bufferevent_socket_connect(connection->socket, (struct sockaddr *)&address, sizeof(address)) != 0)
            fail("no connection");
        pace->idle[pace->idle_len++] = connection;
    }
}

static void read_requests(struct pace *pace)
{
    char *input = malloc(INPUT_MAX);
    pace->requests = calloc(REQUESTS_MAX, sizeof(*pace->requests));
    if (input == NULL || pace->requests == NULL) fail("no memory");
    size_t len = fread(input, 1, INPUT_MAX, stdin);
    for (char *at = input, *end; pace->requests_len < REQUESTS_MAX; at = end + 1) {
        end = memchr(at, '\0', len - (size_t)(at - input));
        if (end == NULL) break;
        pace->requests[pace->requests_len++] = (struct slice){at, (size_t)(end - at)};
    }
    if (pace->requests_len == 0) fail("no requests on standard input");
}

int main(int argc, char **argv)
{
    if (argc != 5) fail("usage: http_pace PORT CONNECTIONS RATE SECONDS < REQUESTS");
    size_t connections = (size_t)strtoull(argv[2], NULL, 10);
    struct pace pace = {.base = event_base_new(), .rate = strtoll(argv[3], NULL, 10)};
    struct timeval tick = {0, TICK_US};
    if (pace.base == NULL || pace.rate < 1 || connections < 1 || connections > CONNECTIONS_MAX)
        fail("what was asked for makes no sense");
    pace.count = pace.rate * strtoll(argv[4], NULL, 10);
    latencies_init(&pace.latencies, (size_t)pace.count);
    read_requests(&pace);
    open_connections(&pace, (unsigned short)strtoul(argv[1], NULL, 10), connections);
    struct event *ticks = event_new(pace.base, -1, EV_PERSIST, on_tick, &pace);
    event_add(ticks, &tick);
    pace.start_us = clock_steady_us();
    event_base_dispatch(pace.base);
    latencies_print(&pace.latencies);
    return 0;
}
