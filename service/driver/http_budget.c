/* The bytes that all connections of an http_server hold together. Beyond the maximum somebody has to go at once, and it is whoever
 * costs most: the largest request, so that no crowd of large ones keeps a small one out, and the reply that has waited longest for
 * its reader. Requests that the handler has are counted and left alone. */
#include "driver/http_conn.h"

/* evhttp takes a line from the input in two steps, and makes three allocations of each header, however short. */
enum { STEP_BYTES = 64 };

static struct http_conn *largest_request(const struct http_server *server)
{
    struct http_conn *largest = NULL;
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        if (conn->evcon == NULL || conn->phase == CONN_HANDLING) continue;
        if (conn->request_bytes > (largest == NULL ? 0 : largest->request_bytes)) largest = conn;
    }
    return largest;
}

static struct http_conn *oldest_reply(const struct http_server *server)
{
    struct http_conn *oldest = NULL;
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        if (conn->reply_len > 0 && (oldest == NULL || conn->since_us < oldest->since_us)) oldest = conn;
    }
    return oldest;
}

static void on_relief(evutil_socket_t fd, short what, void *ctx)
{
    struct http_server *server = ctx;
    struct http_conn *conn;
    (void)fd;
    (void)what;
    while (server->request_bytes > server->config.request_bytes_max && (conn = largest_request(server)) != NULL) {
        http_refusal_at_once(conn);
    }
    while (server->unsent_bytes > server->config.unsent_bytes_max && (conn = oldest_reply(server)) != NULL) {
        evhttp_connection_free(conn->evcon);
    }
}

bool http_budget_init(struct http_server *server)
{
    server->relief = event_new(server->base, -1, 0, on_relief, server);
    return server->relief != NULL && event_priority_set(server->relief, 0) == 0;
}

/* Later, as a connection cannot go while evhttp is at work on it; but before the next of those that have something to read, of which
 * there may be thousands: relief comes first in the loop. */
static void relieve(struct http_server *server)
{
    if (server->request_bytes > server->config.request_bytes_max || server->unsent_bytes > server->config.unsent_bytes_max) {
        event_active(server->relief, 0, 0);
    }
}

void http_budget_set(struct http_conn *conn, size_t request_bytes)
{
    conn->server->request_bytes += request_bytes - conn->request_bytes;
    conn->request_bytes = request_bytes;
}

void http_budget_count(struct http_conn *conn, const struct evbuffer_cb_info *change)
{
    http_budget_set(conn, conn->request_bytes + change->n_added + (change->n_deleted > 0 ? STEP_BYTES : 0));
    relieve(conn->server);
}

void http_budget_add_reply(struct http_conn *conn, size_t reply_len)
{
    conn->reply_len = reply_len;
    conn->server->unsent_bytes += reply_len;
    relieve(conn->server);
}

void http_budget_drop_reply(struct http_conn *conn)
{
    conn->server->unsent_bytes -= conn->reply_len;
    conn->reply_len = 0;
}
