#include "driver/clock.h"
#include "driver/metrics.h"
#include "webhook/webhook_sender_state.h"

#define ATTEMPTS(result_)                                                                                      \
    {                                                                                                          \
        .type = METRIC_COUNTER, .name = "schedule_webhook_attempts_total", .labels = "result=\"" result_ "\"", \
        .help = "Requests to endpoints of webhooks, by what came of them."                                     \
    }

#define DISABLED(reason_)                                                                                      \
    {                                                                                                          \
        .type = METRIC_COUNTER, .name = "schedule_webhook_disabled_total", .labels = "reason=\"" reason_ "\"", \
        .help = "Webhooks that were disabled, by what their endpoints did."                                    \
    }

enum { ATTEMPTS_OK, ATTEMPTS_STATUS, ATTEMPTS_TIMEOUT, ATTEMPTS_REFUSED, ATTEMPTS_ERROR, ATTEMPTS_LEN };

static struct metric attempts[ATTEMPTS_LEN] = {ATTEMPTS("acknowledged"), ATTEMPTS("status"), ATTEMPTS("timeout"),
                                               ATTEMPTS("refused"), ATTEMPTS("error")};
static struct metric disabled[] = {DISABLED("gone"), DISABLED("failing")};
static struct metric lost = {.type = METRIC_COUNTER,
                             .name = "schedule_webhook_offsets_lost_total",
                             .labels = "",
                             .help = "Offsets that were out of the events topic before a sender had taken them."};
static struct metric in_flight = {.type = METRIC_GAUGE,
                                  .name = "schedule_webhook_requests",
                                  .labels = "",
                                  .help = "Requests to endpoints in progress."};
static struct metric pool = {.type = METRIC_GAUGE,
                             .name = "schedule_webhook_requests_max",
                             .labels = "",
                             .help = "The most that may be in progress."};
static struct metric queued = {.type = METRIC_GAUGE,
                               .name = "schedule_webhook_deliveries",
                               .labels = "",
                               .help = "Deliveries in memory, those in progress included."};
static struct metric count = {.type = METRIC_GAUGE,
                              .name = "schedule_webhook_endpoints",
                              .labels = "",
                              .help = "Endpoints that are known."};
static struct metric behind = {.type = METRIC_GAUGE,
                               .name = "schedule_webhook_cursors",
                               .labels = "",
                               .help = "Positions of active endpoints behind the head, in partitions of this process."};
static struct metric partitions = {.type = METRIC_GAUGE,
                                   .name = "schedule_webhook_partitions",
                                   .labels = "",
                                   .help = "Partitions of the events topic that this process has."};
static struct metric lag = {
    .type = METRIC_GAUGE,
    .name = "schedule_webhook_lag_seconds",
    .labels = "",
    .help = "Age of the oldest event at the head that is neither acknowledged nor kept for a retry, or time since "
            "a partition has not been read."};

void sender_count_attempt(const struct http_client_answer *answer)
{
    int result = ATTEMPTS_ERROR;
    if (answer->error == NULL) result = answer->status >= 200 && answer->status < 300 ? ATTEMPTS_OK : ATTEMPTS_STATUS;
    else if (strcmp(answer->error, "timeout") == 0) result = ATTEMPTS_TIMEOUT;
    else if (strcmp(answer->error, "refused") == 0) result = ATTEMPTS_REFUSED;
    metric_add(&attempts[result], 1);
}

void sender_count_disabled(bool is_failing)
{
    metric_add(&disabled[is_failing ? 1 : 0], 1);
}

void sender_count_lost(int64_t events)
{
    metric_add(&lost, events);
}

static void collect(void *ctx)
{
    const struct webhook_sender *sender = ctx;
    int64_t total_partitions = 0;
    int64_t total_behind = 0;
    int64_t oldest_us = INT64_MAX;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        const struct sender_partition *partition = &sender->partitions[i];
        if (partition->is_assigned && !partition->is_loaded && partition->unloaded_us < oldest_us)
            oldest_us = partition->unloaded_us;
        if (!partition->is_loaded) continue;
        total_partitions++;
        for (const struct lag *each = partition->lags; each != NULL; each = each->next_of_partition) total_behind++;
        if (partition->head.first != NULL && partition->head.first->at_us < oldest_us)
            oldest_us = partition->head.first->at_us;
    }
    metric_set(&partitions, total_partitions);
    metric_set(&behind, total_behind);
    metric_set(&lag, oldest_us == INT64_MAX ? 0 : clock_wall_us() - oldest_us);
    metric_set(&in_flight, (int64_t)sender->in_flight);
    metric_set(&pool, (int64_t)sender->config->requests_max);
    metric_set(&queued, (int64_t)sender->deliveries);
    metric_set(&count, (int64_t)endpoints_count(sender->endpoints));
}

void sender_metrics_register(struct webhook_sender *sender)
{
    struct metric *const all[] = {&lost, &in_flight, &pool, &queued, &count, &behind, &partitions, &lag};
    lag.scale = 1e-6;
    for (int i = 0; i < ATTEMPTS_LEN; i++) metrics_register(&attempts[i]);
    for (size_t i = 0; i < sizeof(disabled) / sizeof(disabled[0]); i++) metrics_register(&disabled[i]);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) metrics_register(all[i]);
    metrics_on_collect(collect, sender);
}
