/* Posts over HTTP, on the event loop: libcurl's multi interface driven by libevent.
 *
 * Certificates are verified, HTTP/1.1 connections are kept and HTTP/2 is taken where it is offered. Redirects are never followed and
 * proxies of the environment are ignored. Each address is shown to the owner before it is connected to, whatever it was resolved from.
 * Of an answer the status counts; its body is read up to 16 KiB and thrown away. */
#ifndef DRIVER_HTTP_CLIENT_H
#define DRIVER_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <event2/event.h>
#include <sys/socket.h>

#include "core/slice.h"

enum { HTTP_CLIENT_HEADERS_MAX = 12, HTTP_CLIENT_CONNECT_MS = 5000, HTTP_CLIENT_TOTAL_MS = 15000 };

struct http_client;
struct http_client_request;

struct http_client_config {
    size_t connections_kept; /* idle ones, at most */
    const char *ca_file;     /* PEM; empty: the system's */
    const char *user_agent;
    /* Why the address is not connected to, as a static text; NULL: it is. */
    const char *(*refuse)(void *ctx, const struct sockaddr *address, bool is_https);
    void *ctx;
};

struct http_client_post {
    const char *url;                              /* copied */
    const char *headers[HTTP_CLIENT_HEADERS_MAX]; /* "name: value"; copied */
    size_t headers_len;
    struct slice body; /* borrowed until it is done */
};

/* What came of one. error: static, the class of what went wrong: "refused", "dns", "connect", "tls", "timeout", "broken"; NULL: it was answered,
 * and status is the answer's. */
struct http_client_answer {
    int status; /* 0: there was none */
    const char *error;
    int64_t retry_after_s; /* 0: not said */
    int64_t took_us;
};

/* The config's parts are borrowed and outlive it. NULL: out of memory, or libcurl cannot be started. Requests that are under way at free
 * are cancelled. */
struct http_client *http_client_new(struct event_base *base, const struct http_client_config *config);
void http_client_free(struct http_client *client);

/* Starts one; done comes once, from the loop, and the request is gone with it. NULL: out of memory. */
struct http_client_request *http_client_post(struct http_client *client, const struct http_client_post *post,
                                             void (*done)(void *ctx, const struct http_client_answer *answer), void *ctx);

/* Closes the connection of one that is under way; done does not come. */
void http_client_cancel(struct http_client_request *request);

#endif
