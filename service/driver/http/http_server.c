/* Happy path: bind, let evhttp accept and parse, hand whole requests over, send replies.
 *
 * Failure modes: see http_conn.c for what clients do; without file descriptors the listener pauses until the next sweep. */
#include "driver/http/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/http/http_conn.h"
#include "driver/log.h"

enum { SWEEP_MS = 500, BACKLOG = 512, SMALL_REPLY_BYTES = 16384, REASON_BYTES_MAX = 8192 };

/* All bits but CONNECT and TRACE: a method that evhttp does not know has the highest one. */
static const uint16_t accepted_methods = (uint16_t) ~(EVHTTP_REQ_CONNECT | EVHTTP_REQ_TRACE);

static const struct {
    enum evhttp_cmd_type type;
    const char *name;
} methods[] = {
    [HTTP_METHOD_GET] = {EVHTTP_REQ_GET, "GET"},
    [HTTP_METHOD_HEAD] = {EVHTTP_REQ_HEAD, "HEAD"},
    [HTTP_METHOD_POST] = {EVHTTP_REQ_POST, "POST"},
    [HTTP_METHOD_PUT] = {EVHTTP_REQ_PUT, "PUT"},
    [HTTP_METHOD_PATCH] = {EVHTTP_REQ_PATCH, "PATCH"},
    [HTTP_METHOD_DELETE] = {EVHTTP_REQ_DELETE, "DELETE"},
    [HTTP_METHOD_OPTIONS] = {EVHTTP_REQ_OPTIONS, "OPTIONS"},
    [HTTP_METHOD_OTHER] = {0, "UNKNOWN"},
};

const char *http_method_name(enum http_method method)
{
    return methods[method].name;
}

static void on_request(struct evhttp_request *ev, void *ctx)
{
    struct http_server *server = ctx;
    struct http_conn *conn = http_conn_of(server, ev);
    struct http_request *request = conn != NULL && http_budget_admits(conn) ? calloc(1, sizeof(*request)) : NULL;
    if (request == NULL || !http_framing_is_certain(&conn->framing, ev)) {
        evhttp_send_error(ev, request == NULL ? HTTP_SERVUNAVAIL : HTTP_BADREQUEST, NULL);
        free(request);
        return;
    }
    *request = (struct http_request){.conn = conn, .ev = ev};
    http_conn_enter_handling(conn, request);
    server->handler.on_request(server->ctx, request);
}

static void on_sweep(evutil_socket_t fd, short what, void *ctx)
{
    struct http_server *server = ctx;
    (void)fd;
    (void)what;
    if (server->bound != NULL) evconnlistener_enable(evhttp_bound_socket_get_listener(server->bound));
    http_conn_sweep(server);
}

static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    (void)ctx;
    LOG_WARN("http connection not accepted", LOG_STR("reason", strerror(errno)));
    evconnlistener_disable(listener);
}

/* "host:port" into the two parts; brackets around an IPv6 address go. */
static bool split_listen(const char *text, char host[static 256], const char **ret_port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon - text >= 256) return false;
    size_t len = (size_t)(colon - text);
    bool has_brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    snprintf(host, 256, "%.*s", (int)(has_brackets ? len - 2 : len), text + has_brackets);
    *ret_port = colon + 1;
    return **ret_port != '\0';
}

static int listen_on(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int open_listener(const char *text)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    char host[256];
    const char *port;
    const char *reason = "is not host:port";
    int fd = -1;
    if (split_listen(text, host, &port)) {
        int failed = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &addresses);
        for (const struct addrinfo *a = addresses; a != NULL && fd < 0; a = a->ai_next) fd = listen_on(a);
        reason = failed != 0 ? gai_strerror(failed) : strerror(errno);
        if (failed == 0) freeaddrinfo(addresses);
    }
    if (fd < 0) LOG_ERROR("http cannot listen", LOG_STR("listen", text), LOG_STR("reason", reason));
    return fd;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    char port[NI_MAXSERV] = "0";
    getsockname(fd, (struct sockaddr *)&address, &len);
    getnameinfo((struct sockaddr *)&address, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV);
    return (uint16_t)strtoul(port, NULL, 10);
}

static bool start_listening(struct http_server *server)
{
    int fd = open_listener(server->config.listen);
    if (fd < 0) return false;
    server->port = bound_port(fd);
    server->bound = evhttp_accept_socket_with_handle(server->http, fd);
    if (server->bound == NULL) {
        close(fd);
        return false;
    }
    evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(server->bound), on_accept_error);
    return true;
}

static void set_limits(struct http_server *server)
{
    const struct http_server_config *config = &server->config;
    const struct timeval idle = {.tv_sec = config->idle_timeout_ms / 1000, .tv_usec = config->idle_timeout_ms % 1000 * 1000};
    evhttp_set_max_headers_size(server->http, (ev_ssize_t)config->header_bytes_max);
    evhttp_set_max_body_size(server->http, (ev_ssize_t)config->body_bytes_max);
    evhttp_set_timeout_tv(server->http, &idle);
    evhttp_set_allowed_methods(server->http, accepted_methods);
    evhttp_set_bevcb(server->http, http_conn_accept, server);
    evhttp_set_gencb(server->http, on_request, server);
}

bool http_server_load_tls(struct http_server *server)
{
    const struct http_server_config *config = &server->config;
    struct buf reason;
    buf_init(&reason, REASON_BYTES_MAX);
    SSL_CTX *context = tls_context_new(config->tls_certificate, config->tls_key, &reason);
    if (context == NULL) {
        LOG_ERROR("http cannot use TLS", LOG_SLICE("reason", buf_slice(&reason)));
    } else {
        tls_context_free(server->tls); /* each connection holds its own */
        server->tls = context;
    }
    buf_done(&reason);
    return context != NULL;
}

struct http_server *http_server_new(struct event_base *base, const struct http_server_config *config,
                                    const struct http_handler *handler, void *ctx)
{
    const struct timeval period = {.tv_usec = SWEEP_MS * 1000};
    struct http_server *server = calloc(1, sizeof(*server));
    if (server == NULL) return NULL;
    *server = (struct http_server){.base = base, .config = *config, .handler = *handler, .ctx = ctx};
    server->http = evhttp_new(base);
    server->sweep = event_new(base, -1, EV_PERSIST, on_sweep, server);
    if (server->http != NULL && server->sweep != NULL && http_budget_init(server)) {
        set_limits(server);
        event_add(server->sweep, &period);
        bool is_plain = config->tls_certificate[0] == '\0';
        if ((is_plain || http_server_load_tls(server)) && start_listening(server)) return server;
    }
    http_server_free(server);
    return NULL;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL) return;
    server->bound = NULL; /* goes with evhttp */
    if (server->http != NULL) evhttp_free(server->http);
    http_conn_free_all(server);
    if (server->sweep != NULL) event_free(server->sweep);
    if (server->relief != NULL) event_free(server->relief);
    tls_context_free(server->tls);
    free(server->by_fd);
    free(server);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_announce_end(struct http_server *server)
{
    server->is_ending = true;
}

void http_server_drain(struct http_server *server)
{
    http_server_announce_end(server);
    server->is_draining = true;
    if (server->bound != NULL) evhttp_del_accept_socket(server->http, server->bound);
    server->bound = NULL;
    http_conn_sweep(server);
}

size_t http_server_pending(const struct http_server *server)
{
    size_t pending = 0;
    for (const struct http_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        pending += conn->phase >= CONN_READING;
    }
    return pending;
}

size_t http_server_connections(const struct http_server *server)
{
    return server->conns_len;
}

int64_t http_server_refused(const struct http_server *server)
{
    return server->refused;
}

int64_t http_server_certificate_end(const struct http_server *server)
{
    return server->tls == NULL ? 0 : tls_certificate_end(server->tls);
}

bool http_server_has_room(const struct http_server *server, size_t len)
{
    return len <= SMALL_REPLY_BYTES || server->unsent_bytes + len <= server->config.unsent_bytes_max;
}
