/* An HTTP/1.1 server on evhttp, over TLS or not, with the bounds that evhttp lacks: connections, the time of a whole request and of a
 * whole reply, the bytes of all requests and of all unsent replies. It knows nothing of what is served.
 *
 * A request is handed over once it is read whole and belongs to the handler until http_reply. A client that leaves
 * meanwhile changes nothing for the handler: its reply goes nowhere. */
#ifndef DRIVER_HTTP_HTTP_SERVER_H
#define DRIVER_HTTP_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/slice.h"
#include "core/status.h"

struct event_base;
struct http_server;
struct http_request;

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_OTHER /* evhttp does not expose its name */
};

/* "GET"; static. */
const char *http_method_name(enum http_method method);

struct http_handler {
    /* A whole request; never from within http_server_new. Answer it with http_reply, now or later. */
    void (*on_request)(void *ctx, struct http_request *request);
    /* The server itself refuses something before it is a request: 400 (malformed, or headers too large), 413 (body too
     * large), 417, 501 or 503 (too many connections, or bytes); target is empty where none was read. Appends the header lines of the
     * answer, each with its CRLF, and its body. */
    void (*write_refusal)(void *ctx, int status_code, struct slice target, struct buf *headers, struct buf *body);
};

struct http_server_config {
    const char *listen;          /* "127.0.0.1:8080", "[::1]:8080", "localhost:0"; port 0: any free one; no host: all */
    const char *tls_certificate; /* PEM files, see driver/http/tls.h; both empty: no TLS */
    const char *tls_key;
    /* Beyond, the address with the most connections loses the one that has waited longest, for another address; one of the same address is
     * answered 503, which TLS has no time for, and closed. */
    size_t connections_max;
    size_t header_bytes_max; /* request line and headers */
    size_t body_bytes_max;
    size_t
        request_bytes_max; /* of all requests together; beyond it the largest of who holds most is answered 503 and closed */
    size_t address_bytes_max; /* of the requests of one address, IPv6 by its /64 */
    /* Of all replies together, see http_server_has_room; beyond it the one that waits longest is closed. */
    size_t unsent_bytes_max;
    int64_t request_timeout_ms; /* first byte to last of a request; the same for the handshake of TLS */
    int64_t reply_timeout_ms;   /* for the client to take a whole reply */
    int64_t idle_timeout_ms;    /* between requests of one connection */
};

/* Binds and listens. NULL when that fails; the reason was logged. Texts of the config are borrowed and outlive it. */
struct http_server *http_server_new(struct event_base *base, const struct http_server_config *config,
                                    const struct http_handler *handler, void *ctx);

/* Closes every connection. Requests that were handed over stay the handler's, which replies to nobody or drops them. */
void http_server_free(struct http_server *server);

/* The port it listens on. */
uint16_t http_server_port(const struct http_server *server);

/* Reads certificate and key again, for connections that come from now on. False when they cannot be used: the reason was logged, and
 * those from before stay. */
bool http_server_load_tls(struct http_server *server);

/* From here on each reply is the last of its connection, and says so. */
void http_server_announce_end(struct http_server *server);

/* The same, and stops listening and closes idle connections. */
void http_server_drain(struct http_server *server);

/* Connections on which a request is being read, handled or answered. */
size_t http_server_pending(const struct http_server *server);

size_t http_server_connections(const struct http_server *server);

/* Connections that were refused, or closed for another one, because there were too many; only grows. */
int64_t http_server_refused(const struct http_server *server);

/* When the certificate in use ends, in seconds since 1970; 0: no TLS. */
int64_t http_server_certificate_end(const struct http_server *server);

/* Whether len more bytes of reply may be buffered. Small replies always may. */
bool http_server_has_room(const struct http_server *server, size_t len);

/* ---- a request; what is returned is lent until http_reply, http_request_drop or http_server_free ---- */

enum http_method http_request_method(const struct http_request *request);

/* Path and query as sent, without scheme and host. */
struct slice http_request_target(const struct http_request *request);

/* The first header of that name in any case; NULL when there is none. */
const char *http_request_header(const struct http_request *request, const char *name);

/* The last one of that name: what the nearest proxy has added. */
const char *http_request_last_header(const struct http_request *request, const char *name);

/* The client's address in numbers, without its port. */
const char *http_request_peer(const struct http_request *request);

/* At most body_bytes_max. */
struct slice http_request_body(const struct http_request *request);

/* Adds a header to the reply; both are copied. One with a line break is left out. */
void http_reply_header(struct http_request *request, const char *name, const char *value);

/* Answers and frees the request. The body is copied; for HEAD it is counted but not sent. */
void http_reply(struct http_request *request, int status_code, struct slice body);

/* Frees a request that will get no answer; only after http_server_free. */
void http_request_drop(struct http_request *request);

#endif
