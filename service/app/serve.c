/* Happy path: read the time zones, start the relay's thread and the HTTP API, join the consumer groups once the database's position is
 * accepted, run the loop; at a signal drain in the order of the line, so that nothing taken is left behind.
 *
 * Failure modes: what cannot be made at start ends the process with a reason. Servers that are away do not: every part waits
 * for its own, and /readyz says which. Draining that takes too long is cut off; what is left is on the next start. */
#include "app/serve.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/http_api.h"
#include "app/config_typo.h"
#include "app/descriptors.h"
#include "app/log_signal.h"
#include "app/process_metrics.h"
#include "app/readiness.h"
#include "app/schema.h"
#include "app/stop_limit.h"
#include "app/version.h"
#include "consumer/directory_update.h"
#include "consumer/kafka_command.h"
#include "consumer/kafka_consumer.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "driver/zone_files.h"
#include "relay/relay.h"
#include "relay/relay_metrics.h"
#include "store/database_monitor.h"
#include "store/maintenance.h"
#include "store/read_connection.h"
#include "store/reader.h"
#include "store/writer.h"

enum { DRAIN_MAX_MS = 25000, STOP_MAX_S = 30, DRAIN_STUCK_MS = 2000, DRAIN_TICK_MS = 20 };

enum { SIGNALS = 3 };

enum { COMMANDS_CONSUMER, DIRECTORY_CONSUMER, KAFKA_CONSUMERS };

struct service {
    const struct config *config;
    struct event_base *base;
    struct zone_files *zones;
    struct writer *writer;
    struct reader *reader;
    struct webhook_store *webhooks;
    struct maintenance *maintenance;
    struct database_monitor *monitor;
    struct relay *relay;
    struct http_api *http;
    struct kafka_consumer *kafka[KAFKA_CONSUMERS]; /* NULL: not wanted */
    struct kafka_consumer_config kafka_configs[KAFKA_CONSUMERS];
    struct relay_config relay_config;
    struct event *signals[SIGNALS];
    struct log_signals log_signals;
    struct event *drain_tick;
    const char *obstacle;   /* what is amiss with the database, as the log has it; NULL: nothing, or it is not known yet */
    int64_t drain_until_us; /* 0: not draining */
    int64_t http_until_us;  /* draining: until then HTTP goes on */
    int64_t stuck_since_us; /* draining without a database to write to; 0: it is there */
    bool relay_draining;
    bool failed;
};

/* ---- the database comes, changes and goes ---- */

static void evaluate_readiness(void *ctx, struct readiness *ret)
{
    const struct service *service = ctx;
    const struct readiness_parts parts = {
        .config = service->config,
        .view = database_view(service->monitor),
        .writer = service->writer,
        .reader = service->reader,
        .relay = service->relay,
        .consumers = service->kafka,
        .consumers_len = KAFKA_CONSUMERS,
        .is_stopping = service->drain_until_us != 0,
    };
    readiness_evaluate(&parts, ret);
}

/* Who cannot write takes no partition from those that can. */
static void join_groups(struct service *service)
{
    for (int i = 0; i < KAFKA_CONSUMERS; i++) {
        if (service->kafka[i] == NULL || kafka_consumer_join(service->kafka[i])) continue;
        service->failed = true;
        event_base_loopbreak(service->base);
    }
}

/* Each change is reported once. */
static void note_obstacle(struct service *service, const struct database_view *view, const char *obstacle)
{
    bool is_relay = service->config->roles == SERVES_RELAY;
    if (obstacle == service->obstacle) return;
    if (obstacle == NULL) {
        LOG_INFO(is_relay ? "database usable again" : "intake open again", LOG_STR("after", service->obstacle));
    } else {
        LOG_AT(view->has_slot ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, is_relay ? "database unusable" : "intake closed",
               LOG_STR("reason", obstacle), LOG_STR("slot", service->config->slot));
    }
    service->obstacle = obstacle;
}

/* Without its slot the database would forget what it was to publish, and where no relay has looked it may hold another history than what
 * is published: writes stay refused. While the database is away nothing is known, and nothing changes. */
static void on_database_view(void *ctx, const struct database_view *view)
{
    struct service *service = ctx;
    if (!view->is_known) return;
    const char *obstacle = readiness_obstacle(view);
    maintenance_allow_removals(service->maintenance, obstacle == NULL && service->drain_until_us == 0 &&
                                                         view->slot_behind_bytes <= service->config->wal_budget_bytes / 2);
    if (service->config->roles == SERVES_RELAY) {
        note_obstacle(service, view, readiness_database_obstacle(view));
        return;
    }
    note_obstacle(service, view, obstacle);
    writer_open(service->writer, obstacle == NULL ? &view->mark : NULL);
    if (obstacle == NULL && service->drain_until_us == 0) join_groups(service);
}

/* ---- stopping ---- */

static bool inputs_are_empty(const struct service *service)
{
    for (int i = 0; i < KAFKA_CONSUMERS; i++) {
        if (service->kafka[i] != NULL && kafka_consumer_pending(service->kafka[i]) > 0) return false;
    }
    return http_api_pending(service->http) == 0;
}

/* Without the database, or its slot, nothing is completed or published: what was taken is left to the next start. */
static bool is_stuck(struct service *service)
{
    int64_t now_us = clock_steady_us();
    if (readiness_obstacle(database_view(service->monitor)) == NULL) service->stuck_since_us = 0;
    else if (service->stuck_since_us == 0) service->stuck_since_us = now_us;
    return service->stuck_since_us != 0 && now_us - service->stuck_since_us >= DRAIN_STUCK_MS * 1000LL;
}

static void drop_commands(struct service *service)
{
    for (int i = 0; i < KAFKA_CONSUMERS; i++) {
        if (service->kafka[i] != NULL) kafka_consumer_drop(service->kafka[i]);
    }
}

/* Why draining ends now; NULL: it continues. */
static const char *drain_end(const struct service *service, bool stuck)
{
    if (service->relay_draining && (service->relay == NULL || relay_is_done(service->relay))) return "done";
    if (service->relay_draining && stuck) return "nothing can be written; what is left is on the next start";
    if (clock_steady_us() > service->drain_until_us) return "it took too long; what is left is on the next start";
    return NULL;
}

static void on_drain_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct service *service = ctx;
    (void)fd;
    (void)what;
    bool stuck = is_stuck(service);
    if (stuck) drop_commands(service);
    if (clock_steady_us() < service->http_until_us) return;
    if (service->http_until_us != 0) http_api_drain(service->http);
    service->http_until_us = 0;
    if (!service->relay_draining && inputs_are_empty(service)) {
        service->relay_draining = true;
        if (service->relay != NULL) relay_drain(service->relay);
    }
    const char *end = drain_end(service, stuck);
    if (end == NULL) return;
    LOG_INFO("drained", LOG_STR("reason", end));
    event_base_loopbreak(service->base);
}

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    struct service *service = ctx;
    (void)what;
    if (service->drain_until_us != 0) _exit(1);
    LOG_INFO("stopping", LOG_INT("signal", number));
    stop_limit_start(STOP_MAX_S);
    int64_t now_us = clock_steady_us();
    service->drain_until_us = now_us + DRAIN_MAX_MS * 1000LL;
    service->http_until_us = now_us + (service->config->roles & SERVES_HTTP ? service->config->drain_seconds * 1000000 : 0);
    maintenance_allow_removals(service->maintenance, false);
    http_api_announce_end(service->http);
    for (int i = 0; i < KAFKA_CONSUMERS; i++) {
        if (service->kafka[i] != NULL) kafka_consumer_drain(service->kafka[i]);
    }
    event_add(service->drain_tick, &(struct timeval){.tv_usec = DRAIN_TICK_MS * 1000});
}

/* A certificate was renewed. */
static void on_hangup(evutil_socket_t number, short what, void *ctx)
{
    struct service *service = ctx;
    (void)number;
    (void)what;
    if (zone_files_reload(service->zones)) {
        for (int i = 0; i < KAFKA_CONSUMERS; i++) service->kafka_configs[i].zones = zone_files_names(service->zones);
    }
    if (service->config->http_tls_certificate[0] == '\0') return;
    if (http_api_load_tls(service->http)) LOG_INFO("certificate reloaded");
}

/* ---- starting ---- */

static struct event_context event_context_of(const struct config *config)
{
    return (struct event_context){slice_of(config->event_source), strcmp(config->event_format, "json") == 0};
}

static bool start_store(struct service *service)
{
    const struct config *config = service->config;
    const struct writer_config writer_config = {
        .database_url = config->database_url,
        .events = event_context_of(config),
        .key_seconds = config->idempotency_key_seconds,
        .schedules_max = config->max_schedules_per_user,
        .connections = {[WRITE_COMMANDS] = (size_t)config->command_write_connections,
                        [WRITE_DIRECTORY] = (size_t)config->directory_write_connections,
                        [WRITE_HTTP] = (size_t)config->http_write_connections},
    };
    service->writer = writer_new(service->base, &writer_config);
    service->reader = reader_new(service->base, config->database_url);
    service->webhooks = webhook_store_new(service->base, config->database_url);
    read_metrics_register();
    service->maintenance = maintenance_new(service->base, config->database_url);
    if (service->maintenance == NULL) return false;
    const struct database_schema schema = {schema_version, schema_functions_former};
    service->monitor =
        database_monitor_new(service->base, config->database_url, config->slot, &schema, on_database_view, service);
    return service->writer != NULL && service->reader != NULL && service->webhooks != NULL && service->monitor != NULL;
}

static struct rate_limit limit_of(const struct config *config, int64_t requests)
{
    const int64_t second_us = 1000000;
    return (struct rate_limit){"default", requests, config->rate_limit_window_s * second_us,
                               config->rate_limit_block_s * second_us};
}

static void set_kafka_configs(struct service *service)
{
    const struct config *config = service->config;
    for (int i = 0; i < KAFKA_CONSUMERS; i++) {
        bool is_directory = i == DIRECTORY_CONSUMER;
        service->kafka_configs[i] = (struct kafka_consumer_config){
            .handler = is_directory ? &directory_update_handler : &kafka_command_handler,
            .database_url = config->database_url,
            .topic = is_directory ? config->directory_topic : config->commands_topic,
            .group = is_directory ? config->directory_group : config->consumer_group,
            .kafka = &config->kafka,
            .dead_letter_topic = config->dead_letter_topic,
            .unpacked_batch_bytes = (size_t)config->unpacked_batch_bytes,
            .zones = zone_files_names(service->zones),
            .events = event_context_of(config),
            .writer = service->writer,
        };
    }
}

/* They connect while the database's position is still to be accepted. */
static bool start_kafka_consumers(struct service *service)
{
    set_kafka_configs(service);
    if (!(service->config->roles & SERVES_CONSUMER)) return true;
    for (int i = 0; i < KAFKA_CONSUMERS; i++) {
        if (service->kafka_configs[i].topic[0] == '\0') continue;
        service->kafka[i] = kafka_consumer_new(service->base, &service->kafka_configs[i]);
        if (service->kafka[i] == NULL) return false;
    }
    return true;
}

static bool start_http(struct service *service)
{
    const struct config *config = service->config;
    const struct http_api_config http_config = {
        .writer = service->writer,
        .reader = service->reader,
        .webhooks = service->webhooks,
        .webhook_keys = &config->webhook_keys,
        .webhook_rule = &config->webhook_rule,
        .zones = service->zones,
        .listen = config->http_listen,
        .tls_certificate = config->http_tls_certificate,
        .tls_key = config->http_tls_key,
        .connections_max = descriptors_for_http((size_t)config->http_max_connections),
        .limits = {.api_key = limit_of(config, config->rate_limit_api_key),
                   .oauth_client = limit_of(config, config->rate_limit_oauth_client),
                   .address = limit_of(config, config->rate_limit_address),
                   .address_header = config->client_address_header},
        .serves_api = (config->roles & SERVES_HTTP) != 0,
        .evaluate = evaluate_readiness,
        .ctx = service,
    };
    http_api_metrics_register();
    service->http = http_api_new(service->base, &http_config);
    return service->http != NULL;
}

static bool start_relay(struct service *service)
{
    const struct config *config = service->config;
    service->relay_config = (struct relay_config){
        .database_url = config->relay_database_url,
        .slot = config->slot,
        .events_topic = config->events_topic,
        .dead_letter_topic = config->dead_letter_topic,
        .progress_topic = config->progress_topic,
        .transactional_id = config->transactional_id,
        .kafka = &config->kafka,
        .events = event_context_of(config),
    };
    relay_metrics_register();
    if (!(config->roles & SERVES_RELAY)) return true;
    service->relay = relay_start(&service->relay_config);
    return service->relay != NULL;
}

static bool start_signals(struct service *service)
{
    static const struct {
        int number;
        event_callback_fn on_signal;
    } signals[SIGNALS] = {{SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGHUP, on_hangup}};
    signal(SIGPIPE, SIG_IGN);
    service->drain_tick = event_new(service->base, -1, EV_PERSIST, on_drain_tick, service);
    for (int i = 0; i < SIGNALS; i++) {
        service->signals[i] = evsignal_new(service->base, signals[i].number, signals[i].on_signal, service);
        if (service->signals[i] == NULL || event_add(service->signals[i], NULL) != 0) return false;
    }
    return service->drain_tick != NULL &&
           log_signals_start(&service->log_signals, service->base, service->config->log_level);
}

static void on_libevent_log(int severity, const char *message)
{
    LOG_AT(severity >= EVENT_LOG_ERR    ? LOG_LEVEL_ERROR
           : severity == EVENT_LOG_WARN ? LOG_LEVEL_WARN
                                        : LOG_LEVEL_DEBUG,
           "libevent", LOG_STR("detail", message));
}

static bool start(struct service *service)
{
    event_set_log_callback(on_libevent_log);
    version_metric_register();
    process_metrics_register();
    service->zones = zone_files_new(service->config->tzdata);
    service->base = event_base_new();
    if (service->base != NULL) event_base_priority_init(service->base, 2); /* see http_budget.c; all else has the second */
    return service->zones != NULL && service->base != NULL && start_signals(service) && start_relay(service) &&
           start_store(service) && start_http(service) && start_kafka_consumers(service);
}

/* Only when the intake is empty: what is still on its way is then nobody's. */
static void stop(struct service *service)
{
    if (service->relay != NULL) relay_free(service->relay);
    for (int i = 0; i < KAFKA_CONSUMERS; i++) kafka_consumer_free(service->kafka[i]);
    writer_free(service->writer);
    reader_free(service->reader);
    webhook_store_free(service->webhooks);
    maintenance_free(service->maintenance);
    database_monitor_free(service->monitor);
    if (service->http != NULL) http_api_free(service->http);
    for (int i = 0; i < SIGNALS; i++) {
        if (service->signals[i] != NULL) event_free(service->signals[i]);
    }
    log_signals_stop(&service->log_signals);
    if (service->drain_tick != NULL) event_free(service->drain_tick);
    if (service->base != NULL) event_base_free(service->base);
    zone_files_free(service->zones);
}

static void warn_of_typo(void *ctx, const char *name, const char *meant)
{
    (void)ctx;
    LOG_WARN("a variable is not read; is its name right?", LOG_STR("variable", name), LOG_STR("meant", meant));
}

int serve_run(const struct config *config)
{
    struct service service = {.config = config};
    if (config->has_former_roles) LOG_WARN("RELAY and DOORS are former names; set ROLES");
    config_find_typos(warn_of_typo, NULL);
    if (start(&service)) {
        LOG_INFO("started", LOG_INT("http_port", http_api_port(service.http)), LOG_INT("pid", getpid()));
        event_base_dispatch(service.base);
    } else {
        service.failed = true;
    }
    int code = service.failed ? 1 : 0;
    LOG_INFO("stopped", LOG_INT("code", code));
    if (service.http != NULL && !inputs_are_empty(&service)) _exit(code);
    stop(&service);
    return code;
}
