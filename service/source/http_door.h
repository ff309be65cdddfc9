/* The HTTP door: routes, credentials, guards and handlers of the contract, over driver/http_server. */
#ifndef SOURCE_HTTP_DOOR_H
#define SOURCE_HTTP_DOOR_H

#include <event2/event.h>

#include "core/degraded.h"
#include "core/rate_limit.h"
#include "driver/zone_files.h"
#include "store/reader.h"
#include "store/writer.h"

struct http_door;

/* How often somebody may ask; requests is 0 where that is not limited. */
struct http_limits {
    struct rate_limit api_key; /* of a key without limits of its own */
    struct rate_limit oauth_client;
    struct rate_limit address;  /* of those who are not known */
    const char *address_header; /* set by a trusted proxy; empty: the peer's address counts */
};

/* Whether the whole process should get traffic. */
struct readiness {
    const char *reason;       /* why it should get none; static. NULL: it should */
    struct degraded degraded; /* what is amiss and takes traffic from nobody */
};

/* Borrowed parts outlive the door. */
struct http_door_config {
    struct writer *writer;
    struct reader *reader;
    struct zone_files *zones;
    const char *listen;          /* "host:port" */
    const char *tls_certificate; /* PEM files; both empty: no TLS */
    const char *tls_key;
    size_t connections_max;
    struct http_limits limits;
    bool serves_api;                                 /* false: health, metrics and documentation alone */
    void (*judge)(void *ctx, struct readiness *ret); /* *ret comes zeroed */
    void *ctx;
};

/* Call once, before other threads start. */
void http_door_metrics_register(void);

/* Listens at once. NULL when that fails; the reason was logged. */
struct http_door *http_door_new(struct event_base *base, const struct http_door_config *config);

/* Stops accepting; what is in flight is still answered, each answer the last of its connection. */
void http_door_drain(struct http_door *door);

/* As http_server_load_tls. */
bool http_door_load_tls(struct http_door *door);

/* Requests being read, handled or answered. */
size_t http_door_pending(const struct http_door *door);

uint16_t http_door_port(const struct http_door *door);

/* Free the writer and the reader first: what they still held for this door is freed here. */
void http_door_free(struct http_door *door);

#endif
