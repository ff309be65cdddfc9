#include "driver/kafka_limit.h"

#include <stdlib.h>
#include <string.h>

#include "driver/log.h"

enum { REQUEST_TIMEOUT_MS = 10000 };

struct kafka_limit {
    rd_kafka_t *client;
    const char *topic;
    rd_kafka_queue_t *queue; /* answers; NULL: no question is open */
    size_t bytes;            /* 0: not known */
};

static void ask(struct kafka_limit *limit)
{
    char error[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(limit->client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, limit->topic);
    rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_TIMEOUT_MS, error, sizeof(error));
    rd_kafka_DescribeConfigs(limit->client, &resource, 1, options, limit->queue);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
}

struct kafka_limit *kafka_limit_new(rd_kafka_t *client, const char *topic)
{
    struct kafka_limit *limit = calloc(1, sizeof(*limit));
    if (limit == NULL) return NULL;
    limit->client = client;
    limit->topic = topic;
    limit->queue = rd_kafka_queue_new(client);
    ask(limit);
    return limit;
}

void kafka_limit_free(struct kafka_limit *limit)
{
    if (limit == NULL) return;
    if (limit->queue != NULL) rd_kafka_queue_destroy(limit->queue);
    free(limit);
}

static void read_resource(struct kafka_limit *limit, const rd_kafka_ConfigResource_t *resource)
{
    size_t len = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &len);
    for (size_t i = 0; i < len; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "max.message.bytes") != 0) continue;
        limit->bytes = (size_t)strtoull(rd_kafka_ConfigEntry_value(entries[i]), NULL, 10);
    }
    rd_kafka_resp_err_t error = rd_kafka_ConfigResource_error(resource);
    if (limit->bytes > 0) {
        LOG_INFO("topic", LOG_STR("topic", limit->topic), LOG_INT("max_message_bytes", limit->bytes));
    } else {
        LOG_WARN("max.message.bytes of a topic cannot be read", LOG_STR("topic", limit->topic),
                 LOG_STR("reason", rd_kafka_err2str(error)));
    }
}

/* True when the question is answered. Its own error is that Kafka is away. */
static bool read_answer(struct kafka_limit *limit, rd_kafka_event_t *event)
{
    size_t len = 0;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &len);
    if (len == 1) read_resource(limit, resources[0]);
    return true;
}

bool kafka_limit_is_open(struct kafka_limit *limit)
{
    rd_kafka_event_t *event = limit->queue == NULL ? NULL : rd_kafka_queue_poll(limit->queue, 0);
    if (event != NULL) {
        bool answered = read_answer(limit, event);
        rd_kafka_event_destroy(event);
        if (!answered) {
            ask(limit);
        } else {
            rd_kafka_queue_destroy(limit->queue);
            limit->queue = NULL;
        }
    }
    return limit->queue != NULL;
}

size_t kafka_limit_bytes(struct kafka_limit *limit, size_t unknown)
{
    (void)kafka_limit_is_open(limit);
    return limit->bytes > 0 ? limit->bytes : unknown;
}
