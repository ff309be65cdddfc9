/* Every route of the HTTP API. The first that fits is taken, so fixed segments stand before parameters. */
#include "api/http_exchange.h"

#define ORG "/v2/organizations/{orgId}"
#define ORG_USER_SCHEDULES ORG "/users/{userId}/schedules"
#define ORG_USER_SCHEDULE ORG_USER_SCHEDULES "/{scheduleId}"
#define TEAM ORG "/teams/{teamId}"
#define ANY_TEAM "/v2/teams/{teamId}"
#define OWN_SCHEDULES "/v2/schedules"
#define OWN_SCHEDULE OWN_SCHEDULES "/{scheduleId}"

#define ROUTE(method_, pattern_, access_, handle_)                               \
    {                                                                            \
        HTTP_METHOD_##method_, access_, pattern_, #method_ " " pattern_, handle_ \
    }

#define OWN_WEBHOOKS "/v2/webhooks"
#define ORG_WEBHOOKS ORG "/webhooks"
#define CLIENT_WEBHOOKS "/v2/oauth-clients/{clientId}/webhooks"

/* The same for every owner. */
#define WEBHOOK_ROUTES(webhooks_, access_)                                                                        \
    ROUTE(POST, webhooks_, access_, handle_create_webhook), ROUTE(GET, webhooks_, access_, handle_list_webhooks), \
        ROUTE(GET, webhooks_ "/{webhookId}", access_, handle_get_webhook),                                        \
        ROUTE(PATCH, webhooks_ "/{webhookId}", access_, handle_update_webhook),                                   \
        ROUTE(DELETE, webhooks_ "/{webhookId}", access_, handle_delete_webhook),                                  \
        ROUTE(GET, webhooks_ "/{webhookId}/status", access_, handle_get_webhook_status),                          \
        ROUTE(GET, webhooks_ "/{webhookId}/deliveries", access_, handle_list_deliveries),                         \
        ROUTE(POST, webhooks_ "/{webhookId}/ping", access_, handle_ping_webhook),                                 \
        ROUTE(POST, webhooks_ "/{webhookId}/replay", access_, handle_replay_webhook),                             \
        ROUTE(GET, webhooks_ "/{webhookId}/jobs/{jobId}", access_, handle_get_webhook_job)

static const struct http_route routes[] = {
    ROUTE(GET, ORG "/schedules", ACCESS_ORG, handle_list_schedules),
    ROUTE(GET, TEAM "/schedules", ACCESS_TEAM, handle_list_schedules),
    ROUTE(GET, TEAM "/users/{userId}/schedules", ACCESS_TEAM_USER, handle_list_user_schedules),
    ROUTE(GET, ANY_TEAM "/schedules", ACCESS_ANY_TEAM, handle_list_schedules),
    ROUTE(POST, ORG_USER_SCHEDULES, ACCESS_ORG_USER, handle_create_schedule),
    ROUTE(GET, ORG_USER_SCHEDULES, ACCESS_ORG_USER, handle_list_user_schedules),
    ROUTE(GET, ORG_USER_SCHEDULE, ACCESS_ORG_USER, handle_get_schedule),
    ROUTE(PATCH, ORG_USER_SCHEDULE, ACCESS_ORG_USER, handle_update_schedule),
    ROUTE(DELETE, ORG_USER_SCHEDULE, ACCESS_ORG_USER, handle_delete_schedule),
    ROUTE(POST, OWN_SCHEDULES, ACCESS_OWN, handle_create_schedule),
    ROUTE(GET, OWN_SCHEDULES, ACCESS_OWN, handle_list_user_schedules),
    ROUTE(GET, OWN_SCHEDULES "/default", ACCESS_OWN, handle_get_default_schedule),
    ROUTE(GET, OWN_SCHEDULE, ACCESS_OWN, handle_get_schedule),
    ROUTE(PATCH, OWN_SCHEDULE, ACCESS_OWN, handle_update_schedule),
    ROUTE(DELETE, OWN_SCHEDULE, ACCESS_OWN, handle_delete_schedule),
    ROUTE(POST, ORG "/availability/query", ACCESS_ORG_OR_TEAM, handle_query_people),
    ROUTE(GET, ORG "/users/{userId}/availability", ACCESS_ORG_USER, handle_get_user_hours),
    ROUTE(GET, ORG_USER_SCHEDULE "/availability", ACCESS_ORG_USER, handle_get_hours),
    ROUTE(GET, OWN_SCHEDULES "/default/availability", ACCESS_OWN, handle_get_default_hours),
    ROUTE(GET, OWN_SCHEDULE "/availability", ACCESS_OWN, handle_get_hours),
    WEBHOOK_ROUTES(OWN_WEBHOOKS, ACCESS_OWN_WEBHOOK),
    WEBHOOK_ROUTES(ORG_WEBHOOKS, ACCESS_ORG_WEBHOOK),
    WEBHOOK_ROUTES(CLIENT_WEBHOOKS, ACCESS_CLIENT_WEBHOOK),
    ROUTE(DELETE, CLIENT_WEBHOOKS, ACCESS_CLIENT_WEBHOOK, handle_delete_webhooks),
    ROUTE(GET, "/healthz", ACCESS_OPEN, handle_healthz),
    ROUTE(GET, "/readyz", ACCESS_OPEN, handle_readyz),
    ROUTE(GET, "/metrics", ACCESS_OPEN, handle_metrics),
    ROUTE(GET, "/openapi.json", ACCESS_OPEN, handle_openapi),
    ROUTE(GET, "/docs", ACCESS_OPEN, handle_docs),
    ROUTE(GET, "/docs/hours", ACCESS_OPEN, handle_docs_hours),
    ROUTE(GET, "/docs/{file}", ACCESS_OPEN, handle_docs_file),
};

const struct http_route *route_at(size_t index)
{
    return index < sizeof(routes) / sizeof(routes[0]) ? &routes[index] : NULL;
}

const struct http_route *route_find(enum http_method method, struct slice path, struct path_params *ret_params)
{
    const struct http_route *route;
    if (method == HTTP_METHOD_HEAD) method = HTTP_METHOD_GET;
    for (size_t i = 0; (route = route_at(i)) != NULL; i++) {
        if (route->method == method && path_match(route->pattern, path, ret_params)) return route;
    }
    return NULL;
}
