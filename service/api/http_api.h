/* The HTTP API: routes, credentials, guards and handlers of the contract, over driver/http_server. */
#ifndef API_HTTP_API_H
#define API_HTTP_API_H

#include <event2/event.h>

#include "core/degraded.h"
#include "core/rate_limit.h"
#include "driver/zone_files.h"
#include "store/reader.h"
#include "store/webhook_store.h"
#include "store/writer.h"
#include "webhook/address_rule.h"
#include "webhook/webhook_secret.h"

struct http_api;

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

/* Borrowed parts outlive the API. */
struct http_api_config {
    struct writer *writer;
    struct reader *reader;
    struct webhook_store *webhooks;
    const struct webhook_keys *webhook_keys;
    const struct address_rule *webhook_rule;
    struct zone_files *zones;
    const char *listen;          /* "host:port" */
    const char *tls_certificate; /* PEM files; both empty: no TLS */
    const char *tls_key;
    size_t connections_max;
    struct http_limits limits;
    bool serves_api;                                    /* false: health, metrics and documentation alone */
    void (*evaluate)(void *ctx, struct readiness *ret); /* *ret comes zeroed */
    void *ctx;
};

/* Call once, before other threads start. */
void http_api_metrics_register(void);

/* Listens at once. NULL when that fails; the reason was logged. */
struct http_api *http_api_new(struct event_base *base, const struct http_api_config *config);

/* From here on each answer is the last of its connection, and says so. */
void http_api_announce_end(struct http_api *api);

/* Stops accepting; what is in flight is still answered, each answer the last of its connection. */
void http_api_drain(struct http_api *api);

/* As http_server_load_tls. */
bool http_api_load_tls(struct http_api *api);

/* Requests being read, handled or answered. */
size_t http_api_pending(const struct http_api *api);

uint16_t http_api_port(const struct http_api *api);

/* Free the writer, the reader and the store first: what they still had for this API is freed here. */
void http_api_free(struct http_api *api);

#endif
