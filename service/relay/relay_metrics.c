#include "relay/relay_metrics.h"

#include "driver/clock.h"
#include "driver/metrics.h"

static const int64_t commit_buckets[] = {2000,   5000,   10000,   20000,   50000,   100000,
                                         200000, 500000, 1000000, 2000000, 5000000, 0};

static struct metric events_published = {.type = METRIC_COUNTER,
                                         .name = "schedule_relay_events_total",
                                         .labels = "topic=\"events\"",
                                         .help = "Records committed to Kafka by the relay."};
static struct metric dead_letters_published = {.type = METRIC_COUNTER,
                                               .name = "schedule_relay_events_total",
                                               .labels = "topic=\"dead_letter\"",
                                               .help = "Records committed to Kafka by the relay."};
static struct metric transactions = {.type = METRIC_COUNTER,
                                     .name = "schedule_relay_transactions_total",
                                     .labels = "",
                                     .help = "Kafka transactions committed by the relay."};
static struct metric restarts = {.type = METRIC_COUNTER,
                                 .name = "schedule_relay_restarts_total",
                                 .labels = "",
                                 .help = "Restarts of the relay after a failure."};
#define UNPUBLISHABLE(kind_)                                                                                    \
    {                                                                                                           \
        .type = METRIC_COUNTER, .name = "schedule_relay_refused_records_total", .labels = "kind=\"" kind_ "\"", \
        .help = "Records that Kafka refused permanently and that were published reduced."                       \
    }
static struct metric unpublishable[] = {
    [UNPUBLISHABLE_EVENT] = UNPUBLISHABLE("event"),
    [UNPUBLISHABLE_REJECTION] = UNPUBLISHABLE("rejection"),
    [UNPUBLISHABLE_DEAD_LETTER] = UNPUBLISHABLE("dead_letter"),
};
static struct metric waiting = {.type = METRIC_GAUGE,
                                .name = "schedule_relay_waiting",
                                .labels = "",
                                .help = "1 while Kafka answers and refuses whatever the relay publishes."};
static struct metric published_beyond = {.type = METRIC_COUNTER,
                                         .name = "schedule_relay_events_without_change_total",
                                         .labels = "",
                                         .help = "Published events whose changes the database lacked after a failover."};
#define HEALED(kind_)                                                                                            \
    {                                                                                                            \
        .type = METRIC_COUNTER, .name = "schedule_relay_healed_schedules_total", .labels = "kind=\"" kind_ "\"", \
        .help = "Republished schedules whose published version the database lacked."                             \
    }
static struct metric raised = HEALED("raised");
static struct metric ended = HEALED("ended");
static struct metric lag_bytes = {.type = METRIC_GAUGE,
                                  .name = "schedule_relay_lag_bytes",
                                  .labels = "",
                                  .help = "WAL that is not published yet, as last seen."};
static struct metric lag_us = {.type = METRIC_GAUGE,
                               .name = "schedule_relay_lag_seconds",
                               .labels = "",
                               .help = "Age of the oldest transaction that was read but is not published; 0 when caught up.",
                               .scale = 1e-6};
static struct metric active = {.type = METRIC_GAUGE,
                               .name = "schedule_relay_active",
                               .labels = "",
                               .help = "1 while this process holds the replication slot and publishes."};
static struct metric slot_lost = {.type = METRIC_GAUGE,
                                  .name = "schedule_relay_slot_lost",
                                  .labels = "",
                                  .help = "1 if the replication slot is missing or invalidated."};
static struct metric commit_time = {.type = METRIC_HISTOGRAM,
                                    .name = "schedule_relay_commit_seconds",
                                    .labels = "",
                                    .help = "Time to deliver and commit one Kafka transaction.",
                                    .scale = 1e-6,
                                    .buckets = commit_buckets};

static _Atomic int64_t behind_since_us;

int64_t relay_metrics_lag_us(void)
{
    int64_t since_us = atomic_load_explicit(&behind_since_us, memory_order_relaxed);
    int64_t age_us = since_us == 0 ? 0 : clock_wall_us() - since_us;
    return age_us < 0 ? 0 : age_us;
}

static void collect(void *ctx)
{
    (void)ctx;
    metric_set(&lag_us, relay_metrics_lag_us());
}

void relay_metrics_register(void)
{
    struct metric *const all[] = {&events_published,
                                  &dead_letters_published,
                                  &transactions,
                                  &restarts,
                                  &published_beyond,
                                  &raised,
                                  &ended,
                                  &lag_bytes,
                                  &lag_us,
                                  &active,
                                  &slot_lost,
                                  &waiting,
                                  &commit_time};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) metrics_register(all[i]);
    for (size_t i = 0; i < sizeof(unpublishable) / sizeof(unpublishable[0]); i++) metrics_register(&unpublishable[i]);
    metrics_on_collect(collect, NULL);
}

void relay_metrics_published(size_t events, size_t dead_letters, int64_t commit_us)
{
    metric_add(&events_published, (int64_t)events);
    metric_add(&dead_letters_published, (int64_t)dead_letters);
    metric_add(&transactions, 1);
    metric_observe(&commit_time, commit_us);
}

void relay_metrics_published_beyond(size_t events)
{
    metric_add(&published_beyond, (int64_t)events);
}

void relay_metrics_healed(size_t raised_schedules, size_t ended_schedules)
{
    metric_add(&raised, (int64_t)raised_schedules);
    metric_add(&ended, (int64_t)ended_schedules);
}

void relay_metrics_restarted(void)
{
    metric_add(&restarts, 1);
}

void relay_metrics_unpublishable(enum unpublishable_kind kind)
{
    metric_add(&unpublishable[kind], 1);
}

void relay_metrics_waiting(bool is_waiting)
{
    metric_set(&waiting, is_waiting);
}

void relay_metrics_state(bool is_active, bool is_slot_lost)
{
    metric_set(&active, is_active);
    metric_set(&slot_lost, is_slot_lost);
}

void relay_metrics_lag_bytes(int64_t bytes)
{
    metric_set(&lag_bytes, bytes);
}

void relay_metrics_behind_since(int64_t commit_us)
{
    atomic_store_explicit(&behind_since_us, commit_us, memory_order_relaxed);
}
