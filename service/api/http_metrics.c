/* What the HTTP API counts: requests by route and status, durations by route, what is in flight. The label sets are
 * bounded by the route table and the list of status codes. */
#include <assert.h>
#include <stdio.h>

#include "api/http_exchange.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "driver/metrics.h"

enum { ROUTES_MAX = 64, LABELS_SIZE = 160 };

/* The last stands for all others. */
static const int status_codes[] = {200, 201, 204, 400, 401, 403, 404, 413, 415, 429, 500, 503, 0};
enum { STATUS_CODES_LEN = sizeof(status_codes) / sizeof(status_codes[0]) };

static const int64_t duration_buckets[] = {500,    1000,   2500,   5000,    10000,   25000,   50000,
                                           100000, 250000, 500000, 1000000, 2500000, 5000000, 0};

/* One more than there are routes: the last is for requests without a route. */
static struct metric requests[ROUTES_MAX + 1][STATUS_CODES_LEN];
static char request_labels[ROUTES_MAX + 1][STATUS_CODES_LEN][LABELS_SIZE];
static struct metric durations[ROUTES_MAX + 1];
static char duration_labels[ROUTES_MAX + 1][LABELS_SIZE];
static size_t routes_len;

static struct metric in_flight = {
    .type = METRIC_GAUGE,
    .name = "schedule_http_in_flight",
    .labels = "",
    .help = "HTTP requests being handled.",
};
static struct metric connections = {
    .type = METRIC_GAUGE,
    .name = "schedule_http_connections",
    .labels = "",
    .help = "Open HTTP connections.",
};
static struct metric connections_refused = {
    .type = METRIC_COUNTER,
    .name = "schedule_http_connections_refused_total",
    .labels = "",
    .help = "HTTP connections refused, or closed for one of another address, because there were too many.",
};

static void write_certificate_end(struct buf *out, const struct metric *metric)
{
    if (metric_get(metric) != 0) metric_write(out, metric, "", metric_get(metric));
}

static struct metric certificate_end = {
    .type = METRIC_GAUGE,
    .name = "schedule_http_certificate_expiry_timestamp_seconds",
    .help = "When the certificate of HTTP over TLS ends, in seconds since 1970; absent without TLS.",
    .write_series = write_certificate_end,
};

static const struct http_api *attached;

static size_t route_index(const struct http_route *route)
{
    return route == NULL ? routes_len : (size_t)(route - route_at(0));
}

static size_t status_index(int status_code)
{
    size_t i = 0;
    while (status_codes[i] != status_code && status_codes[i] != 0) i++;
    return i;
}

static void register_requests(size_t index, const char *route)
{
    for (size_t i = 0; i < STATUS_CODES_LEN; i++) {
        char status[16] = "other";
        if (status_codes[i] != 0) snprintf(status, sizeof(status), "%d", status_codes[i]);
        char *labels = request_labels[index][i];
        snprintf(labels, LABELS_SIZE, "route=\"%s\",status=\"%s\"", route, status);
        requests[index][i] = (struct metric){
            .type = METRIC_COUNTER,
            .name = "schedule_http_requests_total",
            .labels = labels,
            .help = "HTTP requests answered, by route and status code.",
        };
        metrics_register(&requests[index][i]);
    }
}

static void register_duration(size_t index, const char *route)
{
    snprintf(duration_labels[index], LABELS_SIZE, "route=\"%s\"", route);
    durations[index] = (struct metric){
        .type = METRIC_HISTOGRAM,
        .name = "schedule_http_request_duration_seconds",
        .labels = duration_labels[index],
        .help = "Time from the whole request to its answer.",
        .scale = 1e-6,
        .buckets = duration_buckets,
    };
    metrics_register(&durations[index]);
}

static const char *label_of(size_t index)
{
    const struct http_route *route = route_at(index);
    return route == NULL ? "none" : route->label;
}

static void collect(void *ctx)
{
    (void)ctx;
    if (attached == NULL) return;
    metric_set(&in_flight, (int64_t)attached->exchanges_len);
    metric_set(&connections, (int64_t)http_server_connections(attached->server));
    metric_set(&connections_refused, http_server_refused(attached->server));
    metric_set(&certificate_end, http_server_certificate_end(attached->server));
}

void http_api_metrics_register(void)
{
    while (route_at(routes_len) != NULL) routes_len++;
    assert(routes_len <= ROUTES_MAX);
    for (size_t i = 0; i <= routes_len; i++) register_requests(i, label_of(i));
    for (size_t i = 0; i <= routes_len; i++) register_duration(i, label_of(i));
    throttle_metrics_register();
    turn_metrics_register();
    metrics_register(&in_flight);
    metrics_register(&connections);
    metrics_register(&connections_refused);
    metrics_register(&certificate_end);
    metrics_on_collect(collect, NULL);
}

void http_metrics_attach(const struct http_api *api)
{
    attached = api;
}

void refusal_account(int status_code)
{
    metric_add(&requests[routes_len][status_index(status_code)], 1);
    LOG_DEBUG("http request refused", LOG_INT("status", status_code));
}

void exchange_account(const struct exchange *exchange, int status_code)
{
    size_t index = route_index(exchange->route);
    int64_t duration_us = clock_steady_us() - exchange->started_us;
    metric_add(&requests[index][status_index(status_code)], 1);
    metric_observe(&durations[index], duration_us);
    bool is_failure = status_code >= 500 && (exchange->route == NULL || exchange->route->handle != handle_readyz);
    LOG_AT(is_failure ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "http request", LOG_STR("request_id", exchange->request_id),
           LOG_STR("method", http_method_name(http_request_method(exchange->request))), LOG_STR("route", label_of(index)),
           LOG_INT("status", status_code), LOG_INT("duration_us", duration_us));
}
