/* Every route of the HTTP door. The first that fits is taken, so fixed segments stand before parameters. */
#include "source/http_exchange.h"

#define ORG_USER_SCHEDULES "/v2/organizations/{orgId}/users/{userId}/schedules"
#define ORG_USER_SCHEDULE ORG_USER_SCHEDULES "/{scheduleId}"

#define ROUTE(method_, pattern_, access_, handle_)                               \
    {                                                                            \
        HTTP_METHOD_##method_, access_, pattern_, #method_ " " pattern_, handle_ \
    }

static const struct http_route routes[] = {
    ROUTE(POST, ORG_USER_SCHEDULES, ACCESS_ORG_USER, handle_create_schedule),
    ROUTE(GET, ORG_USER_SCHEDULES, ACCESS_ORG_USER, handle_list_user_schedules),
    ROUTE(GET, ORG_USER_SCHEDULE, ACCESS_ORG_USER, handle_get_schedule),
    ROUTE(PATCH, ORG_USER_SCHEDULE, ACCESS_ORG_USER, handle_update_schedule),
    ROUTE(DELETE, ORG_USER_SCHEDULE, ACCESS_ORG_USER, handle_delete_schedule),
    ROUTE(POST, "/v2/schedules", ACCESS_OWN_WRITE, handle_create_schedule),
    ROUTE(PATCH, "/v2/schedules/{scheduleId}", ACCESS_OWN_WRITE, handle_update_schedule),
    ROUTE(DELETE, "/v2/schedules/{scheduleId}", ACCESS_OWN_WRITE, handle_delete_schedule),
    ROUTE(GET, "/healthz", ACCESS_OPEN, handle_healthz),
    ROUTE(GET, "/readyz", ACCESS_OPEN, handle_readyz),
    ROUTE(GET, "/metrics", ACCESS_OPEN, handle_metrics),
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
