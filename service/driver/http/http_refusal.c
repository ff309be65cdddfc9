/* Answers of the server itself. Too many connections, or too much in them: 503 at once. Not HTTP, or too large: evhttp writes a page of its own
 * and closes behind it; the page is taken back before it leaves, what the client still sends is passed over, and
 * the handler's page goes in its place. */
#include <stdlib.h>
#include <sys/socket.h>

#include "driver/http/http_conn.h"

enum { REFUSAL_BYTES_MAX = 65536, LINGER_QUIET_MS = 200 };

/* A bufferevent of a socket freezes its output, so that nobody else drains it or, once it has written, reads it. One of TLS
 * does not, and could not drain a frozen one itself. */
static void thaw_output(struct http_conn *conn)
{
    if (conn->server->tls == NULL) evbuffer_unfreeze(bufferevent_get_output(conn->bev), 1);
}

static void freeze_output(struct http_conn *conn)
{
    if (conn->server->tls == NULL) evbuffer_freeze(bufferevent_get_output(conn->bev), 1);
}

static void write_refusal(const struct http_conn *conn, int status_code, struct buf *out)
{
    const struct http_server *server = conn->server;
    struct buf body;
    buf_init(&body, REFUSAL_BYTES_MAX);
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status_code, http_phrase(status_code));
    server->handler.write_refusal(server->ctx, status_code, http_conn_target(conn), out, &body);
    buf_printf(out, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body.len);
    buf_append_slice(out, buf_slice(&body));
    buf_done(&body);
}

/* evhttp said "Connection: close" in its page, and closes once ours is sent, but not behind every method. */
static void send_page(struct http_conn *conn)
{
    struct buf page;
    buf_init(&page, 2 * REFUSAL_BYTES_MAX);
    write_refusal(conn, conn->refusal, &page);
    evbuffer_add(bufferevent_get_output(conn->bev), page.data, page.len);
    bufferevent_enable(conn->bev, EV_WRITE);
    conn->is_lingering = false;
    conn->is_last = true;
    buf_done(&page);
}

/* Passes over what still comes. A page sent while the client sends would be lost with the reset that follows closing on
 * unread bytes. Ends with the last chunk of a chunked body or when nothing came for a while. */
static void linger(struct http_conn *conn)
{
    static const struct timeval quiet = {.tv_usec = LINGER_QUIET_MS * 1000};
    static const char last_chunk[] = "0\r\n\r\n";
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    char tail[sizeof(last_chunk)] = {0};
    size_t len = evbuffer_get_length(input);
    if (len >= sizeof(tail) - 1) {
        evbuffer_drain(input, len - (sizeof(tail) - 1));
        evbuffer_remove(input, tail, sizeof(tail) - 1);
    }
    if (strcmp(tail, last_chunk) == 0) send_page(conn);
    else event_add(conn->deferred, &quiet);
}

/* evhttp's page is whole by now and not a byte of it has left: this runs before the loop waits again. */
static void take_page_back(struct http_conn *conn)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    bufferevent_disable(conn->bev, EV_WRITE);
    thaw_output(conn);
    evbuffer_drain(output, evbuffer_get_length(output));
    freeze_output(conn);
    conn->is_lingering = conn->refusal == 413 || evbuffer_get_length(bufferevent_get_input(conn->bev)) > 0;
    if (conn->is_lingering) linger(conn);
    else send_page(conn);
}

void http_refusal_watch(struct http_conn *conn)
{
    static const char version[] = "HTTP/1.1 ";
    char head[sizeof(version) + 3] = {0};
    if (conn->phase != CONN_READING || conn->refusal != 0) return;
    thaw_output(conn);
    evbuffer_copyout(bufferevent_get_output(conn->bev), head, sizeof(head) - 1);
    freeze_output(conn);
    int status_code = (int)strtol(head + sizeof(version) - 1, NULL, 10);
    if (status_code < 200) return;
    conn->refusal = status_code;
    http_conn_enter(conn, CONN_WRITING);
    event_active(conn->deferred, 0, 0);
}

void http_refusal_step(struct http_conn *conn, bool is_quiet)
{
    if (!conn->is_lingering) take_page_back(conn);
    else if (is_quiet) send_page(conn);
    else linger(conn);
}

/* A courtesy: it fits into an empty socket buffer or is lost. */
static void send_page_at_once(const struct http_conn *conn, int status_code)
{
    struct buf page;
    buf_init(&page, 2 * REFUSAL_BYTES_MAX);
    write_refusal(conn, status_code, &page);
    ssize_t sent = send(conn->fd, page.data, page.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
    buf_done(&page);
}

void http_refusal_at_once(struct http_conn *conn, int status_code)
{
    if (conn->server->tls == NULL && conn->phase <= CONN_READING) send_page_at_once(conn, status_code);
    evhttp_connection_free(conn->evcon);
}
