/* One request on its way through the HTTP door: route, credential, guards, handler, reply. Internal to source/http_*.
 *
 * An exchange lives from the whole request to its reply. Every reply_ function answers and frees it. */
#ifndef SOURCE_HTTP_EXCHANGE_H
#define SOURCE_HTTP_EXCHANGE_H

#include <jansson.h>

#include "driver/http_server.h"
#include "source/http_door.h"
#include "source/http_path.h"

enum { REQUEST_ID_SIZE = 65 };

struct exchange;

/* What a caller must be before the handler runs; see http_auth.c. */
enum http_access {
    ACCESS_OPEN,      /* anybody */
    ACCESS_ORG,       /* an admin of {orgId} */
    ACCESS_ORG_USER,  /* an admin of {orgId}, about {userId}, who is in it */
    ACCESS_TEAM,      /* an admin of {teamId}, which is in {orgId}, or of {orgId} itself */
    ACCESS_TEAM_USER, /* the same, about {userId}, who is in both */
    ACCESS_OWN_READ,  /* anybody who is known, about themselves; an OAuth client needs SCHEDULE_READ */
    ACCESS_OWN_WRITE  /* the same with SCHEDULE_WRITE */
};

struct http_route {
    enum http_method method; /* GET serves HEAD too */
    enum http_access access;
    const char *pattern;
    const char *label; /* in metrics and logs */
    void (*handle)(struct exchange *exchange);
};

struct http_door {
    struct http_door_config config;
    struct http_server *server;
    struct exchange *exchanges;
    size_t exchanges_len;
    bool is_draining;
};

struct exchange {
    struct http_door *door;
    struct http_request *request;
    const struct http_route *route;
    struct path_params params;
    struct arena *arena; /* owns all text of the exchange */
    struct slice target; /* rewritten, with query */
    char request_id[REQUEST_ID_SIZE];
    int64_t started_us; /* steady clock */
    int64_t caller_id;  /* set by the guards, as the next four */
    int64_t org_id;     /* 0 on the routes about oneself */
    int64_t team_id;
    int64_t user_id; /* whose schedules: {userId}, or the caller on the routes about oneself */
    int64_t schedule_id;
    json_t *body;
    struct write write; /* lent to the writer while a schedule is stored */
    struct exchange *next;
    struct exchange *previous;
};

/* ---- http_exchange.c: life cycle ---- */

/* Takes the request. NULL when memory is out; the request was answered then. */
struct exchange *exchange_new(struct http_door *door, struct http_request *request);

/* A new one, with its terminator. */
void request_id_new(char ret_id[static REQUEST_ID_SIZE]);

/* Without a reply; see http_request_drop. */
void exchange_free(struct exchange *exchange);

/* ---- http_routes.c ---- */

/* The first route that fits, with its parameters; NULL when none does. */
const struct http_route *route_find(enum http_method method, struct slice path, struct path_params *ret_params);

/* Route number index; NULL behind the last. */
const struct http_route *route_at(size_t index);

/* ---- http_auth.c ---- */

/* Runs the guards of the exchange's route, then its handler; refuses otherwise. */
void auth_start(struct exchange *exchange);

/* ---- http_body.c ---- */

/* Reads the body into exchange->body, an object. False when it was answered. */
bool exchange_read_body(struct exchange *exchange);

/* ---- handlers ---- */

void handle_healthz(struct exchange *exchange);
void handle_readyz(struct exchange *exchange);
void handle_metrics(struct exchange *exchange);
void handle_create_schedule(struct exchange *exchange);
void handle_update_schedule(struct exchange *exchange);
void handle_delete_schedule(struct exchange *exchange);
void handle_list_schedules(struct exchange *exchange);
void handle_get_schedule(struct exchange *exchange);

/* ---- http_schedules.c ---- */

/* One schedule. */
void reply_schedule(struct exchange *exchange, int status_code, const struct schedule_row *row);

/* 404 and 403 about the path's schedule. */
void reply_missing_schedule(struct exchange *exchange);
void reply_foreign_schedule(struct exchange *exchange);

/* ---- http_reply.c ---- */

enum { REPLY_BYTES_MAX = 16 << 20 };

/* A body of JSON; what failed to be built is answered 500. body is the caller's to free. */
void reply_json(struct exchange *exchange, int status_code, const struct buf *body);

void reply_text(struct exchange *exchange, int status_code, const char *content_type, const struct buf *body);

/* The envelope of the status code's exception. */
void reply_error(struct exchange *exchange, int status_code, struct slice message);
void reply_errorf(struct exchange *exchange, int status_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* 400 with every violation. */
void reply_violations(struct exchange *exchange, const struct violations *violations);

/* What a failed read or write amounts to: 503 with Retry-After for RETRY classes, else 500. */
void reply_failure(struct exchange *exchange, enum status status);

/* 204 with the CORS headers of a preflight. */
void reply_preflight(struct exchange *exchange);

/* Appends header lines and envelope of a refusal that has no exchange. */
void write_refusal(struct buf *headers, struct buf *body, int status_code);

/* ---- http_metrics.c ---- */

/* Counts and logs an answered exchange. */
void exchange_account(const struct exchange *exchange, int status_code);

void refusal_account(int status_code);

/* Sets the gauges of this door before each collection; one door a process. */
void door_metrics_attach(const struct http_door *door);

#endif
