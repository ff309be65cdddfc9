#include "app/commands/handlers.h"
#include "app/config_typo.h"
#include "driver/http/tls.h"
#include "driver/zone_files.h"

/* What http_server_new will make of the files. */
static bool has_usable_tls(const struct config *config)
{
    struct buf reason;
    if (config->http_tls_certificate[0] == '\0') return true;
    buf_init(&reason, 1 << 13);
    SSL_CTX *context = tls_context_new(config->http_tls_certificate, config->http_tls_key, &reason);
    if (context == NULL) fprintf(stderr, "schedule-service: %.*s\n", (int)reason.len, reason.data);
    tls_context_free(context);
    buf_done(&reason);
    return context != NULL;
}

/* What is wrong is logged. */
static bool has_usable_zones(const struct config *config)
{
    struct zone_files *zones = zone_files_new(config->tzdata);
    if (zones == NULL) fprintf(stderr, "schedule-service: TZDATA names no time zones\n");
    zone_files_free(zones);
    return zones != NULL;
}

/* A client reads the files that its properties name. Without brokers it connects to nobody. */
static bool has_usable_kafka(const struct config *config)
{
    const struct kafka_settings settings = {"", config->kafka.properties, config->kafka.properties_len};
    rd_kafka_conf_t *conf = kafka_conf_new(&settings, NULL, 0);
    rd_kafka_t *client = conf == NULL ? NULL : kafka_client_new(RD_KAFKA_PRODUCER, conf);
    if (client == NULL) fprintf(stderr, "schedule-service: librdkafka cannot use the RDKAFKA_ properties\n");
    else rd_kafka_destroy(client);
    return client != NULL;
}

int check_config_command(const struct command_call *call)
{
    config_print_typos(stderr);
    bool is_usable = has_usable_tls(call->config);
    is_usable = has_usable_zones(call->config) && is_usable;
    is_usable = has_usable_kafka(call->config) && is_usable;
    if (!is_usable) return 2;
    if (call->values[OPT_TABLE] != NULL) config_print_table(stdout);
    else config_print(call->config, stdout);
    return 0;
}
