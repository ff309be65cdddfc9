#include "driver/kafka.h"

#include "driver/log.h"

/* librdkafka calls this from its own threads; log_write allows that. Levels are syslog's. A CONFWARN is no news: what passes
 * through is given to consumers and producers alike. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    enum log_level as = level <= 3 ? LOG_LEVEL_ERROR : level == 4 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG;
    if (strcmp(facility, "CONFWARN") == 0) as = LOG_LEVEL_DEBUG;
    LOG_AT(as, "kafka client", LOG_STR("client", rd_kafka_name(client)), LOG_STR("facility", facility),
           LOG_STR("detail", text));
}

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_property *properties, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char error[256];
        if (rd_kafka_conf_set(conf, properties[i].name, properties[i].value, error, sizeof(error)) != RD_KAFKA_CONF_OK) {
            LOG_ERROR("kafka property refused", LOG_STR("property", properties[i].name), LOG_STR("reason", error));
            return false;
        }
    }
    return true;
}

bool kafka_properties_check(const struct kafka_settings *settings, struct buf *faults)
{
    bool ok = true;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < settings->properties_len; i++) {
        const struct kafka_property *property = &settings->properties[i];
        char error[256];
        if (rd_kafka_conf_set(conf, property->name, property->value, error, sizeof(error)) == RD_KAFKA_CONF_OK) continue;
        buf_printf(faults, "RDKAFKA_%s: %s\n", property->name, error);
        ok = false;
    }
    rd_kafka_conf_destroy(conf);
    return ok;
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *settings, const struct kafka_property *properties,
                                size_t properties_len)
{
    const struct kafka_property common[] = {
        {"bootstrap.servers", settings->brokers}, {"client.id", "schedule-service"},
        {"socket.nagle.disable", "true"},         {"topic.metadata.refresh.interval.ms", "30000"},
        {"reconnect.backoff.max.ms", "2000"},     {"log.connection.close", "false"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (!set_all(conf, common, sizeof(common) / sizeof(common[0])) || !set_all(conf, properties, properties_len) ||
        !set_all(conf, settings->properties, settings->properties_len)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

/* Before 2.6.1 librdkafka put its nonce into the proof twice, and Kafka 4 takes such a proof for a wrong password. */
static void warn_of_old_scram(const rd_kafka_conf_t *conf)
{
    enum { FIRST_GOOD = 0x020601ff };
    char mechanism[32] = "";
    size_t size = sizeof(mechanism);
    if (rd_kafka_version() >= FIRST_GOOD) return;
    if (rd_kafka_conf_get(conf, "sasl.mechanisms", mechanism, &size) != RD_KAFKA_CONF_OK) return;
    if (strncmp(mechanism, "SCRAM", 5) != 0) return;
    LOG_WARN("Kafka 4 refuses SCRAM from a librdkafka older than 2.6.1, whatever the password",
             LOG_STR("librdkafka", rd_kafka_version_str()));
}

rd_kafka_t *kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char error[256];
    warn_of_old_scram(conf);
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof(error));
    if (client != NULL) return client;
    LOG_ERROR("kafka client not created", LOG_STR("reason", error));
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* The main thread serves its requests in their order: the stops were requested before rd_kafka_assign returned, so they are carried out when
 * a question is answered, and that they are is known to librdkafka when a second one is. Who assigns nothing asks nothing: a client that ends
 * may answer no more, and the next assignment waits for these stops, too. */
rd_kafka_resp_err_t kafka_assign(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_resp_err_t error = rd_kafka_assign(client, partitions);
    for (int i = 0; i < 2 && partitions != NULL && partitions->cnt > 0; i++) {
        rd_kafka_topic_partition_list_t *assigned = NULL;
        if (rd_kafka_assignment(client, &assigned) == RD_KAFKA_RESP_ERR_NO_ERROR)
            rd_kafka_topic_partition_list_destroy(assigned);
    }
    return error;
}
