/* The bytes that all connections of an http_server hold together, and those of each address. Beyond a maximum somebody has to go at once,
 * and it is whoever costs most: the largest requests of the address that holds most, so that neither a crowd of large ones nor one of many
 * keeps somebody else's small one out, and the reply that has waited longest for its reader. Requests that the handler has, or
 * answers, are counted and left alone. */
#include "driver/http/http_conn.h"

/* evhttp takes a line from the input in two steps, and makes three allocations of each header, however short. */
enum { STEP_BYTES = 64 };

/* An eighth of each maximum is kept for small requests, whatever the handler has of large ones. What has to go makes as much room, if it is of
 * the same size, so that the search for the largest is paid for by what comes until the next. */
enum { SPARE_PART = 8, SMALL_BYTES = 16384 };

static size_t without_spare(size_t most)
{
    return most - most / SPARE_PART;
}

/* ---- who goes ---- */

/* Handled, or being answered by the handler: what was done must be answered. */
static bool must_stay(const struct http_conn *conn, enum conn_phase phase)
{
    return phase == CONN_HANDLING || (phase == CONN_WRITING && conn->refusal == 0);
}

static bool may_go(const struct http_conn *conn)
{
    return conn->evcon != NULL && !must_stay(conn, conn->phase) && conn->request_bytes > 0;
}

/* By powers of two: connections of about one size are alike. */
static int size_class(size_t bytes)
{
    int class = 0;
    while (bytes >>= 1) class ++;
    return class;
}

static int largest_class(const struct http_peer *peer)
{
    int largest = -1;
    for (const struct http_conn *conn = peer->conns; conn != NULL; conn = conn->peer_next) {
        int class = may_go(conn) ? size_class(conn->request_bytes) : -1;
        if (class > largest) largest = class;
    }
    return largest;
}

/* Refuses requests of an address, large ones first, until it holds `most` at most or nothing of it may go; of the last size until it holds
 * `wanted`. */
static void shed(struct http_peer *peer, size_t most, size_t wanted)
{
    int class;
    http_peer_hold(peer);
    while (peer->request_bytes > most && (class = largest_class(peer)) >= 0) {
        struct http_conn *next;
        for (struct http_conn *conn = peer->conns; conn != NULL && peer->request_bytes > wanted; conn = next) {
            next = conn->peer_next;
            if (may_go(conn) && size_class(conn->request_bytes) == class) http_refusal_at_once(conn, 503);
        }
    }
    http_peer_release(peer);
}

static size_t movable_bytes(const struct http_peer *peer)
{
    return peer->request_bytes - peer->handled_bytes;
}

static size_t movable_bytes_over_share(const struct http_peer *peer)
{
    return peer->request_bytes > peer->server->config.address_bytes_max ? movable_bytes(peer) : 0;
}

static size_t difference(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static void relieve_requests(struct http_server *server)
{
    const size_t share = server->config.address_bytes_max;
    const size_t most = server->config.request_bytes_max;
    struct http_peer *peer;
    while ((peer = http_peer_most(server, movable_bytes_over_share)) != NULL) {
        shed(peer, share, without_spare(share));
    }
    while (server->request_bytes > most && (peer = http_peer_most(server, movable_bytes)) != NULL) {
        size_t others = server->request_bytes - peer->request_bytes;
        shed(peer, difference(most, others), difference(without_spare(most), others));
    }
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
    relieve_requests(server);
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
static void relieve(const struct http_server *server, const struct http_peer *peer)
{
    const struct http_server_config *config = &server->config;
    bool is_over = server->request_bytes > config->request_bytes_max || server->unsent_bytes > config->unsent_bytes_max;
    if (is_over || (peer != NULL && movable_bytes_over_share(peer) > 0)) event_active(server->relief, 0, 0);
}

bool http_budget_admits(const struct http_conn *conn)
{
    const struct http_server_config *config = &conn->server->config;
    if (conn->request_bytes <= SMALL_BYTES) return true;
    return conn->peer->handled_bytes + conn->request_bytes <= without_spare(config->address_bytes_max) &&
           conn->server->handled_bytes + conn->request_bytes <= without_spare(config->request_bytes_max);
}

/* ---- counting ---- */

static void add_handled(struct http_conn *conn, size_t change)
{
    conn->server->handled_bytes += change;
    conn->peer->handled_bytes += change;
}

static void set(struct http_conn *conn, size_t request_bytes)
{
    size_t change = request_bytes - conn->request_bytes;
    conn->request_bytes = request_bytes;
    conn->server->request_bytes += change;
    if (conn->peer == NULL) return;
    conn->peer->request_bytes += change;
    if (must_stay(conn, conn->phase)) add_handled(conn, change);
}

void http_budget_count(struct http_conn *conn, const struct evbuffer_cb_info *change)
{
    size_t unread = change->orig_size + change->n_added - change->n_deleted;
    if (conn->phase == CONN_READING && change->n_deleted > 0) conn->taken_bytes += change->n_deleted + STEP_BYTES;
    set(conn, conn->taken_bytes + unread);
    relieve(conn->server, conn->peer);
}

void http_budget_add_copy(struct http_conn *conn, size_t bytes)
{
    conn->taken_bytes += bytes;
    set(conn, conn->request_bytes + bytes);
}

void http_budget_drop_taken(struct http_conn *conn)
{
    set(conn, conn->request_bytes - conn->taken_bytes);
    conn->taken_bytes = 0;
}

void http_budget_drop(struct http_conn *conn)
{
    set(conn, 0);
    http_budget_drop_reply(conn);
}

void http_budget_enter(struct http_conn *conn, enum conn_phase phase)
{
    bool was_handled = must_stay(conn, conn->phase);
    bool is_handled = must_stay(conn, phase);
    if (conn->peer == NULL || was_handled == is_handled) return;
    add_handled(conn, is_handled ? conn->request_bytes : -conn->request_bytes);
    relieve(conn->server, conn->peer);
}

void http_budget_add_reply(struct http_conn *conn, size_t reply_len)
{
    conn->reply_len = reply_len;
    conn->server->unsent_bytes += reply_len;
    relieve(conn->server, conn->peer);
}

void http_budget_drop_reply(struct http_conn *conn)
{
    conn->server->unsent_bytes -= conn->reply_len;
    conn->reply_len = 0;
}
