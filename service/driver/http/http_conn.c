/* Happy path: evhttp asks for a bufferevent (accept), a moment later the connection it made around it is known (complete),
 * then reading, handling and writing follow each other until one side closes.
 *
 * Failure modes: too many connections: 503 and closed; too slow: closed by the sweep; not HTTP, or too large: see
 * http_refusal.c. Follows libevent 2.1.12's http.c: a connection reports its end (closecb) exactly once, and evhttp neither
 * reads nor frees it while a request is being handled. */
#include "driver/http/http_conn.h"

#include <netinet/tcp.h>
#include <stdlib.h>

#include "driver/clock.h"

/* What evhttp may hold unread beside a whole request: the framing of chunks and a pipelined next request. */
enum { READ_SLACK_BYTES = 16384 };

/* The same while the handler has the request: nothing of it can be closed then. */
enum { AHEAD_BYTES_MAX = 8192 };

/* Over the maximum of connections, for as long as it takes to refuse them. */
enum { REFUSED_AT_ONCE = 32 };

/* Whoever the loop accepts in one go has a descriptor each: not more than that. */
static void mind_listener(struct http_server *server)
{
    const size_t most = server->config.connections_max;
    if (server->bound == NULL) return;
    struct evconnlistener *listener = evhttp_bound_socket_get_listener(server->bound);
    if (server->conns_len >= most + REFUSED_AT_ONCE) evconnlistener_disable(listener);
    else if (server->conns_len == most) evconnlistener_enable(listener);
}

static void unlink_conn(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->previous == NULL) server->conns = conn->next;
    else conn->previous->next = conn->next;
    if (conn->next != NULL) conn->next->previous = conn->previous;
    server->conns_len--;
    mind_listener(server);
    if (conn->fd >= 0 && server->by_fd[conn->fd] == conn) server->by_fd[conn->fd] = NULL;
}

static void conn_free(struct http_conn *conn)
{
    unlink_conn(conn);
    http_budget_drop(conn);
    http_peer_leave(conn);
    if (conn->request != NULL) *conn->request = (struct http_request){0};
    evbuffer_remove_cb_entry(bufferevent_get_input(conn->bev), conn->input_watch);
    evbuffer_remove_cb_entry(bufferevent_get_output(conn->bev), conn->output_watch);
    bufferevent_decref(conn->bev);
    event_free(conn->deferred);
    free(conn->request_line);
    free(conn);
}

static void on_closed(struct evhttp_connection *evcon, void *ctx)
{
    struct http_conn *conn = ctx;
    (void)evcon;
    tls_say_goodbye(conn->bev);
    conn_free(conn);
}

void http_conn_enter(struct http_conn *conn, enum conn_phase phase)
{
    http_budget_enter(conn, phase);
    conn->phase = phase;
    conn->since_us = clock_steady_us();
}

static bool is_idle(const struct http_conn *conn)
{
    return conn->phase <= CONN_IDLE;
}

/* RFC 8446, section 5.1: how every handshake begins, and no request. */
static bool is_tls_hello(struct evbuffer *input)
{
    unsigned char first = 0;
    return evbuffer_copyout(input, &first, 1) == 1 && first == 22;
}

static void pass_over(struct http_conn *conn, struct evbuffer *input)
{
    evbuffer_drain(input, evbuffer_get_length(input));
    event_active(conn->deferred, 0, 0);
}

/* evhttp forgets it before it refuses a request. */
static void keep_request_line(struct http_conn *conn, struct evbuffer *input)
{
    struct evbuffer_ptr line_end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
    size_t len = line_end.pos < 0 ? 0 : (size_t)line_end.pos;
    free(conn->request_line);
    conn->request_line = malloc(len + 1);
    if (conn->request_line == NULL) return;
    evbuffer_copyout(input, conn->request_line, len);
    conn->request_line[len] = '\0';
    http_budget_add_copy(conn, len);
}

struct slice http_conn_target(const struct http_conn *conn)
{
    const char *start = conn->request_line == NULL ? NULL : strchr(conn->request_line, ' ');
    const char *version = start == NULL ? NULL : strrchr(start + 1, ' ');
    if (version == NULL) return SLICE("");
    return http_target_of((struct slice){start + 1, (size_t)(version - start - 1)});
}

/* Comes before evhttp takes anything of it. */
static void follow_request(struct http_conn *conn, struct evbuffer *input, size_t from)
{
    bool had_line = conn->framing.lines > 0;
    http_framing_follow(&conn->framing, input, from);
    if (!had_line && conn->framing.lines > 0) keep_request_line(conn, input);
    if (conn->framing.is_unfit) pass_over(conn, input);
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *ctx)
{
    struct http_conn *conn = ctx;
    if (info->n_added > 0 && is_idle(conn)) {
        http_conn_enter(conn, CONN_READING);
        conn->has_asked = true;
        conn->is_astray = conn->server->tls == NULL && is_tls_hello(input);
    }
    http_budget_count(conn, info);
    if (info->n_added > 0 && conn->phase == CONN_READING) follow_request(conn, input, info->orig_size);
    if (info->n_added > 0 && (conn->is_lingering || conn->is_astray)) event_active(conn->deferred, 0, 0);
}

static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *ctx)
{
    struct http_conn *conn = ctx;
    if (info->n_added > 0) http_refusal_watch(conn);
    else if (conn->is_last && evbuffer_get_length(output) == 0) event_active(conn->deferred, 0, 0);
}

static bool remember_fd(struct http_server *server, struct http_conn *conn, int fd)
{
    if ((size_t)fd >= server->by_fd_len) {
        size_t len = (size_t)fd + 64;
        struct http_conn **by_fd = realloc(server->by_fd, len * sizeof(struct http_conn *));
        if (by_fd == NULL) return false;
        memset(by_fd + server->by_fd_len, 0, (len - server->by_fd_len) * sizeof(struct http_conn *));
        server->by_fd = by_fd;
        server->by_fd_len = len;
    }
    server->by_fd[fd] = conn;
    conn->fd = fd;
    return true;
}

/* ---- too many of them ---- */

static size_t conns_of(const struct http_peer *peer)
{
    return peer->conns_len;
}

/* Of those that were opened and nothing was asked, or of all that wait. */
static struct http_conn *longest_waiting(const struct http_peer *peer, const struct http_conn *but, bool is_any)
{
    struct http_conn *longest = NULL;
    for (struct http_conn *conn = peer->conns; conn != NULL; conn = conn->peer_next) {
        if (conn == but || conn->evcon == NULL || conn->phase > CONN_READING || (conn->has_asked && !is_any)) continue;
        if (longest == NULL || conn->since_us < longest->since_us) longest = conn;
    }
    return longest;
}

/* Closes a connection of the address that has most of them: one that nothing was asked on, or, for another address, any that waits. False:
 * there is none. */
static bool make_room(const struct http_conn *conn)
{
    const struct http_peer *most = http_peer_most(conn->server, conns_of);
    struct http_conn *longest = longest_waiting(most, conn, false);
    if (longest == NULL && most->conns_len > conn->peer->conns_len) longest = longest_waiting(most, conn, true);
    if (longest == NULL) return false;
    if (longest->phase == CONN_READING) http_refusal_at_once(longest, 503);
    else evhttp_connection_free(longest->evcon); /* nothing was asked that could be answered */
    return true;
}

static void mind_maximum(struct http_conn *conn)
{
    if (conn->server->known_len <= conn->server->config.connections_max) return;
    conn->server->refused++;
    if (!make_room(conn)) http_refusal_at_once(conn, 503);
}

/* ---- life cycle ---- */

/* An answer is written in pieces: the last would wait for the word that the ones before have come, which the other side holds back for 40 ms. */
static void write_at_once(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* evhttp has set its connection as the bufferevent's argument, or failed and cleared it. */
static void complete(struct http_conn *conn)
{
    void *evcon = NULL;
    bufferevent_getcb(conn->bev, NULL, NULL, NULL, &evcon);
    int fd = bufferevent_getfd(conn->bev);
    if (evcon == NULL || fd < 0) {
        conn_free(conn);
        return;
    }
    write_at_once(fd);
    conn->evcon = evcon;
    evhttp_connection_set_closecb(conn->evcon, on_closed, conn);
    if (!remember_fd(conn->server, conn, fd) || !http_peer_join(conn)) evhttp_connection_free(conn->evcon);
    else mind_maximum(conn);
}

static bool is_said(const struct http_conn *conn)
{
    return conn->is_last && evbuffer_get_length(bufferevent_get_output(conn->bev)) == 0;
}

static bool is_over(const struct http_conn *conn)
{
    return conn->is_astray || is_said(conn) || (conn->server->is_draining && is_idle(conn));
}

static void on_deferred(evutil_socket_t fd, short what, void *ctx)
{
    struct http_conn *conn = ctx;
    (void)fd;
    if (conn->evcon == NULL) {
        complete(conn);
    } else if (is_over(conn)) {
        evhttp_connection_free(conn->evcon);
    } else if (conn->framing.is_unfit) {
        http_refusal_at_once(conn, 400);
    } else if (conn->refusal != 0) {
        http_refusal_step(conn, what & EV_TIMEOUT);
    }
}

static struct http_conn *conn_new(struct http_server *server)
{
    struct http_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) return NULL;
    conn->bev = server->tls == NULL ? bufferevent_socket_new(server->base, -1, 0) : tls_accept(server->base, server->tls);
    conn->deferred = event_new(server->base, -1, 0, on_deferred, conn);
    if (conn->bev == NULL || conn->deferred == NULL) {
        if (conn->bev != NULL) bufferevent_free(conn->bev);
        if (conn->deferred != NULL) event_free(conn->deferred);
        free(conn);
        return NULL;
    }
    conn->server = server;
    conn->fd = -1;
    http_conn_enter(conn, server->tls == NULL ? CONN_IDLE : CONN_HANDSHAKE);
    conn->input_watch = evbuffer_add_cb(bufferevent_get_input(conn->bev), on_input, conn);
    conn->output_watch = evbuffer_add_cb(bufferevent_get_output(conn->bev), on_output, conn);
    return conn;
}

static size_t input_max(const struct http_server *server)
{
    return server->config.header_bytes_max + server->config.body_bytes_max + READ_SLACK_BYTES;
}

struct bufferevent *http_conn_accept(struct event_base *base, void *ctx)
{
    struct http_server *server = ctx;
    struct http_conn *conn = conn_new(server);
    (void)base;
    if (conn == NULL) return NULL;
    bufferevent_setwatermark(conn->bev, EV_READ, 0, input_max(server));
    bufferevent_incref(conn->bev);
    conn->next = server->conns;
    if (conn->next != NULL) conn->next->previous = conn;
    server->conns = conn;
    server->conns_len++;
    mind_listener(server);
    event_active(conn->deferred, 0, 0);
    return conn->bev;
}

struct http_conn *http_conn_of(struct http_server *server, struct evhttp_request *ev)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev));
    int fd = bufferevent_getfd(bev);
    return fd < 0 || (size_t)fd >= server->by_fd_len ? NULL : server->by_fd[fd];
}

bool http_conn_has_stalled(const struct http_conn *conn)
{
    return conn->server->tls != NULL && evbuffer_get_length(bufferevent_get_input(conn->bev)) >= AHEAD_BYTES_MAX;
}

void http_conn_enter_handling(struct http_conn *conn, struct http_request *request)
{
    http_conn_enter(conn, CONN_HANDLING);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, AHEAD_BYTES_MAX);
    conn->request = request;
}

static void on_reply_sent(struct evhttp_request *ev, void *ctx)
{
    struct http_conn *conn = ctx;
    (void)ev;
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    http_conn_enter(conn, evbuffer_get_length(input) > 0 ? CONN_READING : CONN_IDLE);
    http_budget_drop_taken(conn);
    http_budget_drop_reply(conn);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, input_max(conn->server));
    conn->framing = (struct http_framing){0};
    follow_request(conn, input, 0);
    if (conn->server->is_draining) event_active(conn->deferred, 0, 0);
}

void http_conn_enter_writing(struct http_conn *conn, struct evhttp_request *ev, size_t reply_len)
{
    http_conn_enter(conn, CONN_WRITING);
    conn->request = NULL;
    http_budget_add_reply(conn, reply_len);
    evhttp_request_set_on_complete_cb(ev, on_reply_sent, conn);
}

static int64_t limit_ms(const struct http_conn *conn)
{
    const struct http_server_config *config = &conn->server->config;
    switch (conn->phase) {
    case CONN_HANDSHAKE: return config->request_timeout_ms;
    case CONN_IDLE: return config->idle_timeout_ms;
    case CONN_READING: return config->request_timeout_ms;
    case CONN_HANDLING: return INT64_MAX / 1000; /* the handler has deadlines of its own */
    default: return config->reply_timeout_ms;
    }
}

static bool is_overdue(const struct http_conn *conn, int64_t now_us)
{
    return now_us - conn->since_us > limit_ms(conn) * 1000;
}

void http_conn_sweep(struct http_server *server)
{
    int64_t now_us = clock_steady_us();
    struct http_conn *next;
    for (struct http_conn *conn = server->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->evcon == NULL) continue;
        if (conn->phase == CONN_HANDSHAKE && tls_is_established(conn->bev)) http_conn_enter(conn, CONN_IDLE);
        if (is_over(conn) || is_overdue(conn, now_us)) evhttp_connection_free(conn->evcon);
    }
}

void http_conn_free_all(struct http_server *server)
{
    struct http_conn *next;
    for (struct http_conn *conn = server->conns; conn != NULL; conn = next) {
        next = conn->next;
        conn_free(conn);
    }
}
