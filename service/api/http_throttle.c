/* How often: each request of a guarded route counts against the key or client that it proves to have, any other against the
 * address it comes from. Counts are this process's own.
 *
 * The database is asked for an unknown key only while its address may still try, so keys cannot be guessed faster than the
 * address's limit and the requests in flight allow. A key that has asked lately is let through a blocked address: it shares it
 * with others, as behind a company's gateway. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "api/http_address.h"
#include "api/http_exchange.h"
#include "driver/clock.h"
#include "driver/metrics.h"

enum { SECOND_US = 1000000 };

#define REFUSALS(labels_)                                                                        \
    {                                                                                            \
        .type = METRIC_COUNTER, .name = "schedule_http_rate_limited_total", .labels = (labels_), \
        .help = "HTTP requests refused because there were too many, by whose",                   \
    }
static struct metric key_refusals = REFUSALS("by=\"api_key\"");
static struct metric client_refusals = REFUSALS("by=\"oauth_client\"");
static struct metric address_refusals = REFUSALS("by=\"address\"");

void throttle_metrics_register(void)
{
    metrics_register(&key_refusals);
    metrics_register(&client_refusals);
    metrics_register(&address_refusals);
}

static struct metric *caller_refusals(const struct exchange *exchange)
{
    return exchange->credential.kind == CREDENTIAL_API_KEY ? &key_refusals : &client_refusals;
}

/* ---- answers ---- */

static int64_t seconds_of(int64_t time_us)
{
    return (time_us + SECOND_US - 1) / SECOND_US;
}

/* "X-RateLimit-Limit-Default: 120", which pages of other origins may read. */
static void write_header(struct exchange *exchange, const char *what, const char *limit, int64_t value)
{
    char name[64];
    char text[24];
    snprintf(name, sizeof(name), "X-RateLimit-%s-%c%s", what, toupper((unsigned char)limit[0]), limit + 1);
    snprintf(text, sizeof(text), "%" PRId64, value);
    http_reply_header(exchange->request, name, text);
    http_reply_header(exchange->request, "Access-Control-Expose-Headers", name);
}

static void write_headers(struct exchange *exchange, const struct rate_verdict *verdict)
{
    for (size_t i = 0; i < verdict->len; i++) {
        const struct rate_usage *usage = &verdict->usages[i];
        write_header(exchange, "Limit", usage->name, usage->requests);
        write_header(exchange, "Remaining", usage->name, usage->remaining);
        write_header(exchange, "Reset", usage->name, seconds_of(usage->reset_us));
    }
}

static void refuse(struct exchange *exchange, const struct rate_verdict *verdict, struct metric *refusals)
{
    int64_t wait_us = INT64_MAX;
    char seconds[24];
    for (size_t i = 0; i < verdict->len; i++) {
        if (verdict->usages[i].reset_us < wait_us) wait_us = verdict->usages[i].reset_us;
    }
    snprintf(seconds, sizeof(seconds), "%" PRId64, seconds_of(wait_us));
    http_reply_header(exchange->request, "Retry-After", seconds);
    write_headers(exchange, verdict);
    metric_add(refusals, 1);
    reply_error(exchange, 429, SLICE("CustomThrottlerGuard - Too many requests. Please try again later."));
}

/* ---- counting ---- */

static bool count(struct exchange *exchange, struct rate_limiter *limiter, const uint8_t *tracker,
                  const struct rate_limits *limits, struct metric *refusals)
{
    struct rate_verdict verdict;
    rate_limiter_hit(limiter, tracker, limits, clock_steady_us(), &verdict);
    if (verdict.is_refused) refuse(exchange, &verdict, refusals);
    else write_headers(exchange, &verdict);
    return !verdict.is_refused;
}

static struct rate_limits only(const struct rate_limit *limit)
{
    return (struct rate_limits){.items = {*limit}, .len = limit->requests > 0};
}

void throttle_identify(struct exchange *exchange)
{
    const char *header = exchange->api->config.limits.address_header;
    const char *forwarded = header[0] == '\0' ? NULL : http_request_last_header(exchange->request, header);
    address_tracker(http_request_peer(exchange->request), forwarded, exchange->address_tracker);
}

bool throttle_peek(struct exchange *exchange)
{
    struct http_api *api = exchange->api;
    struct metric *refusals = caller_refusals(exchange);
    struct rate_verdict verdict = {0};
    int64_t now_us = clock_steady_us();
    if (!rate_limiter_peek(api->callers, exchange->caller_tracker, now_us, &verdict)) {
        refusals = &address_refusals;
        rate_limiter_peek(api->addresses, exchange->address_tracker, now_us, &verdict);
    }
    if (verdict.is_refused) refuse(exchange, &verdict, refusals);
    return !verdict.is_refused;
}

bool throttle_caller(struct exchange *exchange, const struct caller_facts *facts)
{
    const struct http_limits *config = &exchange->api->config.limits;
    bool is_key = exchange->credential.kind == CREDENTIAL_API_KEY;
    struct rate_limits limits = only(is_key ? &config->api_key : &config->oauth_client);
    if (facts->key_limits.len > 0) limits = facts->key_limits;
    return count(exchange, exchange->api->callers, exchange->caller_tracker, &limits, caller_refusals(exchange));
}

bool throttle_address(struct exchange *exchange)
{
    struct rate_limits limits = only(&exchange->api->config.limits.address);
    return count(exchange, exchange->api->addresses, exchange->address_tracker, &limits, &address_refusals);
}
