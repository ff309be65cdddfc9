/* One request on its way through the HTTP API: route, credential, guards, handler, reply. Internal to api/.
 *
 * An exchange lives from the whole request to its reply. Every reply_ function answers and frees it. */
#ifndef API_HTTP_EXCHANGE_H
#define API_HTTP_EXCHANGE_H

#include <jansson.h>

#include "api/http_api.h"
#include "api/http_header.h"
#include "api/http_path.h"
#include "driver/http/http_server.h"

enum { REQUEST_ID_SIZE = 65, BODY_BYTES_MAX = 100 << 10 };

struct exchange;

/* What a caller must be before the handler runs; an OAuth client needs the permission to read or to write besides. See http_guards.c. */
enum http_access {
    ACCESS_OPEN,     /* anybody */
    ACCESS_ORG,      /* an admin of {orgId} */
    ACCESS_ORG_USER, /* an admin of {orgId}, about {userId}, who is in it */
    ACCESS_ORG_OR_TEAM, /* a member of {orgId}, who reads; the body determines whether they have to be an admin of a team or of {orgId} */
    ACCESS_TEAM,           /* an admin of {teamId}, which is in {orgId}, or of {orgId} itself */
    ACCESS_ANY_TEAM,       /* the same, of the organization that the team is in */
    ACCESS_TEAM_USER,      /* the same, about {userId}, who is in both */
    ACCESS_OWN,            /* anybody who is known, about themselves */
    ACCESS_OWN_WEBHOOK,    /* likewise, and no client */
    ACCESS_ORG_WEBHOOK,    /* an admin of {orgId} */
    ACCESS_CLIENT_WEBHOOK, /* anybody who is known: the client of the path is checked by http_webhook.c */
};

struct http_route {
    enum http_method method; /* GET serves HEAD too */
    enum http_access access;
    const char *pattern;
    const char *label; /* in metrics and logs */
    void (*handle)(struct exchange *exchange);
};

/* Those whose handlers wait for their turn, in the order they came. */
struct turn_queue {
    struct exchange *first;
    struct exchange *last;
};

struct http_api {
    struct http_api_config config;
    struct http_server *server;
    struct rate_limiter *callers; /* apart, so that no flood of addresses drives a caller's count out */
    struct rate_limiter *addresses;
    struct exchange *exchanges;
    size_t exchanges_len;
    struct event *turn; /* pending: some wait for theirs */
    struct turn_queue light;
    struct turn_queue heavy;
    struct turn_queue working;
    size_t held_bytes; /* of schedules that questions about several people work on */
};

struct exchange {
    struct http_api *api;
    struct http_request *request;
    const struct http_route *route;
    struct path_params params;
    struct arena *arena; /* owns all text of the exchange */
    struct slice target; /* rewritten, with query */
    char request_id[REQUEST_ID_SIZE];
    int64_t started_us; /* steady clock */
    struct credential credential;
    uint8_t secret_hash[SECRET_HASH_LEN];         /* of the credential */
    uint8_t caller_tracker[RATE_TRACKER_ID_LEN];  /* what requests with this credential count against, if it is good */
    uint8_t address_tracker[RATE_TRACKER_ID_LEN]; /* the same if it is not */
    int64_t caller_id;                            /* set by the guards, as the next seven */
    bool is_org_admin;
    bool is_system_admin;
    int64_t org_id;       /* 0 on the routes about oneself */
    int64_t scope_org_id; /* schedules of this organization and of none are there; 0: all of the user's */
    int64_t team_id;
    int64_t user_id; /* whose schedules: {userId}, or the caller on the routes about oneself */
    int64_t schedule_id;
    json_t *body;                          /* what was sent: a write's body, the numbers in a list's query */
    struct pending_write pending_write;    /* lent to the writer while a schedule is stored */
    int stored_code;                       /* what a change is answered with that is stored; 0: none is */
    const struct hours_query *hours_query; /* what is asked of one schedule */
    struct people *people;                 /* what is asked of several; owned */
    struct webhook_call *webhook;          /* of a route about webhooks; the arena's */
    const char *stored_webhook_id;         /* of a change that is stored of a webhook; NULL: it was of a schedule */
    void (*go_on)(struct exchange *exchange);
    bool (*work)(struct exchange *exchange);
    struct exchange *next;
    struct exchange *previous;
    struct exchange *next_turn;
};

/* ---- http_exchange.c: life cycle ---- */

/* Takes the request. NULL when memory is out; the request was answered then. */
struct exchange *exchange_new(struct http_api *api, struct http_request *request);

/* A new one, with its terminator. */
void request_id_new(char ret_id[static REQUEST_ID_SIZE]);

/* Who shares in what waits; see reader.h. */
uint64_t exchange_share(const struct exchange *exchange);

/* Without a reply; see http_request_drop. */
void exchange_free(struct exchange *exchange);

/* ---- http_routes.c ---- */

/* The first route that fits, with its parameters; NULL when none does. */
const struct http_route *route_find(enum http_method method, struct slice path, struct path_params *ret_params);

/* Route number index; NULL behind the last. */
const struct http_route *route_at(size_t index);

/* ---- http_auth.c ---- */

/* Who asks, how often, and may they: then the route's handler runs; refuses otherwise. */
void auth_start(struct exchange *exchange);

/* Continues when they may ask about this team; refuses otherwise. */
void auth_team(struct exchange *exchange, int64_t team_id, void (*go_on)(struct exchange *exchange));

/* ---- http_turn.c ---- */

/* False when there is no memory. */
bool turn_init(struct http_api *api, struct event_base *base);
void turn_done(struct http_api *api);

/* Runs the route's handler: at once, or, where there is a body to be read, when it is its turn. */
void turn_take(struct exchange *exchange);

/* Calls work, which does a small piece each time, until it returns false, having answered; others have their turns in between. */
void turn_work(struct exchange *exchange, bool (*work)(struct exchange *exchange));

void turn_metrics_register(void);

/* ---- http_body.c ---- */

/* Reads the body into exchange->body, an object. False when it was answered. */
bool exchange_read_body(struct exchange *exchange);

/* ---- http_credential.c ---- */

/* Sets credential, secret_hash and caller_tracker. False when memory is out. */
bool credential_read(struct exchange *exchange);

/* Whether the database can know it; else credential_refuse answers 401. */
bool credential_is_complete(const struct credential *credential);
void credential_refuse(struct exchange *exchange);

/* Whether there is such a key, or such a client with this secret. */
bool credential_is_known(const struct exchange *exchange, const struct caller_facts *facts);

/* Sets caller_id; or answers 401 and returns false. */
bool credential_check(struct exchange *exchange, const struct caller_facts *facts);

/* ---- http_guards.c ---- */

/* Runs the guards of the exchange's route in the contract's order: sets the ids, or answers and returns false. */
bool guards_pass(struct exchange *exchange, const struct caller_facts *facts);

/* What ACCESS_ORG_OR_TEAM left open: an admin of the organization; of team_id, or of the organization. Answer and return false too. */
bool guards_pass_org_admin(struct exchange *exchange);
bool guards_pass_team(struct exchange *exchange, const struct caller_facts *facts);

/* ---- http_throttle.c: each but the first answers 429 and returns false when there were too many requests ---- */

/* Sets address_tracker. */
void throttle_identify(struct exchange *exchange);

/* What needs no database: is the caller blocked, or the address of a caller of whom nothing was heard lately? Counts nothing. */
bool throttle_peek(struct exchange *exchange);

/* Counts a request of a known credential; of any other. */
bool throttle_caller(struct exchange *exchange, const struct caller_facts *facts);
bool throttle_address(struct exchange *exchange);

void throttle_metrics_register(void);

/* ---- handlers ---- */

void handle_healthz(struct exchange *exchange);
void handle_readyz(struct exchange *exchange);
void handle_metrics(struct exchange *exchange);
void handle_openapi(struct exchange *exchange);
void handle_docs(struct exchange *exchange);
void handle_docs_hours(struct exchange *exchange);
void handle_docs_file(struct exchange *exchange);
void handle_create_schedule(struct exchange *exchange);
void handle_update_schedule(struct exchange *exchange);
void handle_delete_schedule(struct exchange *exchange);
void handle_list_user_schedules(struct exchange *exchange);
void handle_list_schedules(struct exchange *exchange);
void handle_get_schedule(struct exchange *exchange);
void handle_get_default_schedule(struct exchange *exchange);
void handle_get_hours(struct exchange *exchange);
void handle_get_default_hours(struct exchange *exchange);
void handle_get_user_hours(struct exchange *exchange);
void handle_query_people(struct exchange *exchange);

void handle_create_webhook(struct exchange *exchange);
void handle_list_webhooks(struct exchange *exchange);
void handle_get_webhook(struct exchange *exchange);
void handle_update_webhook(struct exchange *exchange);
void handle_delete_webhook(struct exchange *exchange);
void handle_delete_webhooks(struct exchange *exchange);
void handle_get_webhook_status(struct exchange *exchange);
void handle_list_deliveries(struct exchange *exchange);
void handle_ping_webhook(struct exchange *exchange);
void handle_replay_webhook(struct exchange *exchange);
void handle_get_webhook_job(struct exchange *exchange);

/* ---- http_people.c ---- */

/* NULL is fine. */
void people_free(struct people *people);

/* ---- http_schedule.c ---- */

/* With its version as ETag. */
void reply_schedule(struct exchange *exchange, int status_code, const struct schedule_row *row);

/* The schedule of the path is not the user's: 403 when they may know of it, else 404. */
void refuse_schedule(struct exchange *exchange, enum schedule_access access);

/* ---- http_reply.c ---- */

enum { REPLY_BYTES_MAX = 16 << 20 };

#define JSON_TYPE "application/json; charset=utf-8"

/* A body of JSON; what failed to be built is answered 500. body is the caller's to free. */
void reply_json(struct exchange *exchange, int status_code, const struct buf *body);

void reply_text(struct exchange *exchange, int status_code, const char *content_type, const struct buf *body);

/* The bytes are copied. A content_type of NULL adds no header. */
void reply_bytes(struct exchange *exchange, int status_code, const char *content_type, struct slice body);

/* The envelope of the status code's exception. */
void reply_error(struct exchange *exchange, int status_code, struct slice message);
void reply_errorf(struct exchange *exchange, int status_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Adds the Link to what comes behind: the target, with this cursor in place of its own. No link without memory. */
void reply_next_link(struct exchange *exchange, struct slice target, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* 404, as there is nothing at this path, or not with this method. */
void reply_no_route(struct exchange *exchange);

/* 400 with every violation. */
void reply_violations(struct exchange *exchange, const struct violations *violations);

/* What a failed read or write amounts to: 503 with Retry-After for RETRY classes, else 500. Behind a change that is stored, which is never
 * told otherwise, the answer of success, of the id alone. */
void reply_failure(struct exchange *exchange, enum status status);

/* 204 with the CORS headers of a preflight. */
void reply_preflight(struct exchange *exchange);

/* Appends header lines and envelope of a refusal that has no exchange. */
void write_refusal(struct buf *headers, struct buf *body, int status_code, struct slice target);

/* ---- http_metrics.c ---- */

/* Counts and logs an answered exchange. */
void exchange_account(const struct exchange *exchange, int status_code);

void refusal_account(int status_code);

/* Sets the gauges of this API before each collection; one API a process. */
void http_metrics_attach(const struct http_api *api);

#endif
