/* The connections of an http_server: their number, their deadlines, and evhttp's own error pages replaced by the
 * handler's. Only http_server.c uses this. */
#ifndef DRIVER_HTTP_HTTP_CONN_H
#define DRIVER_HTTP_HTTP_CONN_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/listener.h>

#include "driver/http/http_server.h"
#include "driver/http/tls.h"

enum { HTTP_PEER_BUCKETS = 1024 };

/* In this order, and from WRITING back to IDLE or READING. */
enum conn_phase {
    CONN_HANDSHAKE,
    CONN_IDLE, /* nothing was asked, or all was answered */
    CONN_READING,
    CONN_HANDLING,
    CONN_WRITING
};

enum http_part {
    PART_HEAD,
    PART_CHUNK_SIZE,
    PART_CHUNK,
    PART_TRAILERS,
    PART_BEHIND /* chunks have ended, or there are none */
};

/* How far the request is known, see http_framing.c. All 0: nothing of it. */
struct http_framing {
    enum http_part part;
    bool has_begun;
    bool has_nul; /* in a line of the head or of trailers */
    bool is_chunked;
    bool is_size_whole; /* of the chunk, in the line at hand */
    bool is_unfit;      /* too many lines, or no size of a chunk: evhttp does not get to see it */
    int lines;          /* of head and trailers */
    size_t line_len;    /* of the line at hand */
    size_t coding_len;  /* so much of it begins like Transfer-Encoding */
    size_t chunk_len;   /* what is left of the chunk */
};

struct http_conn {
    struct http_server *server;
    struct bufferevent *bev;         /* a reference of our own: evhttp frees its one */
    struct evhttp_connection *evcon; /* NULL until evhttp has made it */
    struct evbuffer_cb_entry *input_watch;
    struct evbuffer_cb_entry *output_watch;
    struct event *deferred;       /* what must not be done inside evhttp's callbacks */
    struct http_request *request; /* while HANDLING */
    enum conn_phase phase;
    int refusal;       /* status code of a page of evhttp's that is replaced; 0: none */
    bool is_lingering; /* the page waits until the client has stopped sending */
    bool is_last;      /* closed once what is being said is sent */
    bool has_asked;    /* something, at any time */
    bool is_astray;    /* speaks TLS where none is spoken */
    int64_t since_us;  /* steady clock: when the phase began */
    struct http_framing framing;
    char *request_line;   /* of the request at hand, which a refusal tells; NULL until it is whole, or without memory */
    size_t request_bytes; /* what it holds of requests, see http_budget.c */
    size_t taken_bytes;   /* of them: what evhttp has taken from the input, of the request at hand */
    size_t reply_len;
    int fd;
    struct http_peer *peer; /* NULL until the address is known */
    struct http_conn *peer_next;
    struct http_conn *peer_previous;
    struct http_conn *next;
    struct http_conn *previous;
};

/* One client's address; see http_peer.c. */
struct http_peer {
    struct http_server *server;
    uint64_t address;
    size_t conns_len;
    size_t request_bytes;
    size_t handled_bytes; /* of them: of requests that the handler has */
    struct http_conn *conns;
    struct http_peer *next;
};

struct http_request {
    struct http_conn *conn; /* NULL: the connection is gone, and with it ev */
    struct evhttp_request *ev;
};

struct http_server {
    struct event_base *base;
    struct http_server_config config;
    struct http_handler handler;
    void *ctx;
    struct evhttp *http;
    SSL_CTX *tls;                      /* NULL: none */
    struct evhttp_bound_socket *bound; /* NULL when draining */
    struct event *sweep;
    struct event *relief; /* see http_budget.c */
    struct http_conn *conns;
    size_t conns_len;
    size_t known_len;         /* of them: whose address is known */
    struct http_conn **by_fd; /* evhttp has no place for a pointer of ours */
    size_t by_fd_len;
    struct http_peer *peers[HTTP_PEER_BUCKETS]; /* by address */
    size_t request_bytes;
    size_t handled_bytes; /* of them: of requests that the handler has */
    size_t unsent_bytes;
    int64_t refused;
    uint16_t port;
    bool is_ending; /* each reply is the last of its connection */
    bool is_draining;
};

/* For evhttp_set_bevcb: makes the bufferevent of a new connection and the connection with it. ctx is the server. */
struct bufferevent *http_conn_accept(struct event_base *base, void *ctx);

/* The connection a request of evhttp came on. */
struct http_conn *http_conn_of(struct http_server *server, struct evhttp_request *ev);

/* The target of the request at hand, as far as there is one. */
struct slice http_conn_target(const struct http_conn *conn);

/* The phases in their order; an answered connection reads again once the reply is sent. */
void http_conn_enter(struct http_conn *conn, enum conn_phase phase);
void http_conn_enter_handling(struct http_conn *conn, struct http_request *request);
void http_conn_enter_writing(struct http_conn *conn, struct evhttp_request *ev, size_t reply_len);

/* Whether nothing more will be read. A bufferevent of TLS that has stopped at its watermark does not come back to what OpenSSL
 * holds decrypted until the socket brings more. */
bool http_conn_has_stalled(const struct http_conn *conn);

/* Closes what is over its deadline and, while draining, what is idle. */
void http_conn_sweep(struct http_server *server);

/* Frees connections that evhttp never took over. */
void http_conn_free_all(struct http_server *server);

/* ---- http_request.c ---- */

/* A request line's URI without scheme and host. */
struct slice http_target_of(struct slice uri);

/* Of a status that is answered here; static. */
const char *http_phrase(int status_code);

/* ---- http_refusal.c ---- */

/* Call when something was written: while reading that is evhttp's own, "100 Continue", which may pass, or an error page. */
void http_refusal_watch(struct http_conn *conn);

/* The refusal's next step, from the loop: after http_refusal_watch saw a page, after input, and when there was none. */
void http_refusal_step(struct http_conn *conn, bool is_quiet);

/* That status, if nothing else is being said, and the connection is gone. */
void http_refusal_at_once(struct http_conn *conn, int status_code);

/* ---- http_framing.c ---- */

/* Follows what comes of a request until its head, or the last line behind its chunks, is whole. evhttp takes a line for text that ends at a
 * NUL. */
void http_framing_follow(struct http_framing *framing, struct evbuffer *input, size_t from);

/* Whether everybody who reads the request finds its end, and its host, where evhttp does. */
bool http_framing_is_certain(const struct http_framing *framing, struct evhttp_request *ev);

/* ---- http_peer.c ---- */

/* The connection, whose fd is known, counts among those of its address. False when there is no memory. */
bool http_peer_join(struct http_conn *conn);
void http_peer_leave(struct http_conn *conn);

/* One that is held stays when its last connection leaves. */
void http_peer_hold(struct http_peer *peer);
void http_peer_release(struct http_peer *peer);

/* The one of which there is most; NULL: there is none of any. */
struct http_peer *http_peer_most(const struct http_server *server, size_t (*amount)(const struct http_peer *peer));

/* ---- http_budget.c ---- */

/* False when there is no memory. */
bool http_budget_init(struct http_server *server);

/* Call for all that enters and leaves the input. */
void http_budget_count(struct http_conn *conn, const struct evbuffer_cb_info *change);

/* Whether the handler may have the request beside those that it has. */
bool http_budget_admits(const struct http_conn *conn);

/* Call before the phase becomes another one. */
void http_budget_enter(struct http_conn *conn, enum conn_phase phase);

/* Counts a copy of something of the request at hand. */
void http_budget_add_copy(struct http_conn *conn, size_t bytes);

/* The request is gone; what was sent behind it stays. */
void http_budget_drop_taken(struct http_conn *conn);

/* The connection goes. */
void http_budget_drop(struct http_conn *conn);

/* Call when a reply begins and when it has ended. */
void http_budget_add_reply(struct http_conn *conn, size_t reply_len);
void http_budget_drop_reply(struct http_conn *conn);

#endif
