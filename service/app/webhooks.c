/* Happy path: health and metrics listen, the sender runs; at a signal it gives its partitions up, and the process ends.
 * Failure modes: what cannot be made at start ends the process. Servers that are away do not: /readyz says which. */
#include "app/webhooks.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "api/http_api.h"
#include "app/descriptors.h"
#include "app/log_signal.h"
#include "app/process_metrics.h"
#include "app/stop_limit.h"
#include "app/version.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "webhook/webhook_sender.h"

enum { DRAIN_MAX_MS = 15000, STOP_MAX_S = 18, DRAIN_TICK_MS = 20, SIGNALS = 2, CONNECTIONS_MAX = 64 };

struct webhooks {
    const struct config *config;
    struct event_base *base;
    struct zone_files *zones;
    struct http_api *http;
    struct webhook_sender *sender;
    struct webhook_sender_config sender_config;
    struct event *signals[SIGNALS];
    struct log_signals log_signals;
    struct event *drain_tick;
    char user_agent[64];
    int64_t drain_until_us; /* 0: not draining */
};

static void evaluate(void *ctx, struct readiness *ret)
{
    const struct webhooks *webhooks = ctx;
    ret->reason = webhook_sender_obstacle(webhooks->sender, &ret->degraded);
}

static void on_drain_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct webhooks *webhooks = ctx;
    (void)fd;
    (void)what;
    if (webhook_sender_is_done(webhooks->sender) || clock_steady_us() > webhooks->drain_until_us)
        event_base_loopbreak(webhooks->base);
}

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    struct webhooks *webhooks = ctx;
    (void)what;
    if (webhooks->drain_until_us != 0) _exit(1);
    LOG_INFO("stopping", LOG_INT("signal", number));
    stop_limit_start(STOP_MAX_S);
    webhooks->drain_until_us = clock_steady_us() + DRAIN_MAX_MS * 1000LL;
    webhook_sender_drain(webhooks->sender);
    event_add(webhooks->drain_tick, &(struct timeval){.tv_usec = DRAIN_TICK_MS * 1000});
}

static bool start_signals(struct webhooks *webhooks)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT};
    signal(SIGPIPE, SIG_IGN);
    webhooks->drain_tick = event_new(webhooks->base, -1, EV_PERSIST, on_drain_tick, webhooks);
    for (int i = 0; i < SIGNALS; i++) {
        webhooks->signals[i] = evsignal_new(webhooks->base, numbers[i], on_signal, webhooks);
        if (webhooks->signals[i] == NULL || event_add(webhooks->signals[i], NULL) != 0) return false;
    }
    return webhooks->drain_tick != NULL &&
           log_signals_start(&webhooks->log_signals, webhooks->base, webhooks->config->log_level);
}

static bool start_http(struct webhooks *webhooks)
{
    const struct http_api_config http_config = {
        .zones = webhooks->zones,
        .listen = webhooks->config->webhook_listen,
        .tls_certificate = "",
        .tls_key = "",
        .connections_max = CONNECTIONS_MAX,
        .limits = {.address_header = ""},
        .evaluate = evaluate,
        .ctx = webhooks,
    };
    webhooks->http = http_api_new(webhooks->base, &http_config);
    return webhooks->http != NULL;
}

static bool start_sender(struct webhooks *webhooks)
{
    const struct config *config = webhooks->config;
    snprintf(webhooks->user_agent, sizeof(webhooks->user_agent), "schedule-service/%s", version_number());
    webhooks->sender_config = (struct webhook_sender_config){
        .database_url = config->database_url,
        .topic = config->events_topic,
        .group = config->webhook_group,
        .slot = config->slot,
        .kafka = &config->kafka,
        .events = {slice_of(config->event_source), strcmp(config->event_format, "json") == 0},
        .rule = config->webhook_rule,
        .keys = &config->webhook_keys,
        .requests_max = (size_t)config->webhook_requests_max,
        .ca_file = config->webhook_ca_file,
        .user_agent = webhooks->user_agent,
    };
    webhooks->sender = webhook_sender_new(webhooks->base, &webhooks->sender_config);
    return webhooks->sender != NULL;
}

static bool start(struct webhooks *webhooks)
{
    version_metric_register();
    process_metrics_register();
    http_api_metrics_register();
    webhooks->zones = zone_files_new(webhooks->config->tzdata);
    webhooks->base = event_base_new();
    if (webhooks->base != NULL) event_base_priority_init(webhooks->base, 2); /* see http_budget.c */
    return webhooks->zones != NULL && webhooks->base != NULL && start_signals(webhooks) && start_sender(webhooks) &&
           start_http(webhooks);
}

static void stop(struct webhooks *webhooks)
{
    webhook_sender_free(webhooks->sender);
    http_api_free(webhooks->http);
    for (int i = 0; i < SIGNALS; i++) {
        if (webhooks->signals[i] != NULL) event_free(webhooks->signals[i]);
    }
    log_signals_stop(&webhooks->log_signals);
    if (webhooks->drain_tick != NULL) event_free(webhooks->drain_tick);
    if (webhooks->base != NULL) event_base_free(webhooks->base);
    zone_files_free(webhooks->zones);
}

int webhooks_run(const struct config *config)
{
    struct webhooks webhooks = {.config = config};
    bool is_started = start(&webhooks);
    if (is_started) {
        LOG_INFO("webhooks started", LOG_INT("http_port", http_api_port(webhooks.http)), LOG_INT("pid", getpid()));
        event_base_dispatch(webhooks.base);
    }
    LOG_INFO("webhooks stopped", LOG_INT("code", is_started ? 0 : 1));
    stop(&webhooks);
    return is_started ? 0 : 1;
}
