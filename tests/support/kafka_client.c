#include "kafka_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MS = 10000, AGAIN_MS = 100 };

typedef void delivery_function(rd_kafka_t *producer, const rd_kafka_message_t *message, void *ctx);

static rd_kafka_t *client_new(rd_kafka_type_t type, const char *const settings[][2], delivery_function *on_delivery)
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (on_delivery != NULL) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    for (; (*settings)[0] != NULL; settings++) {
        if (rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], error, sizeof(error)) != RD_KAFKA_CONF_OK) break;
    }
    rd_kafka_t *client = (*settings)[0] == NULL ? rd_kafka_new(type, conf, error, sizeof(error)) : NULL;
    if (client != NULL) return client;
    fprintf(stderr, "librdkafka: %s\n", error);
    exit(1);
}

rd_kafka_t *producer_new(const char *brokers, const char *linger_ms)
{
    const char *const settings[][2] = {{"bootstrap.servers", brokers},
                                       {"linger.ms", linger_ms},
                                       {"socket.nagle.disable", "true"},
                                       {"partitioner", "murmur2_random"},
                                       {NULL, NULL}};
    return client_new(RD_KAFKA_PRODUCER, settings, NULL);
}

/* Without a callback that is due, rd_kafka_flush sees only every 10 ms that all is delivered. */
static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *ctx)
{
    (void)producer;
    (void)message;
    (void)ctx;
}

rd_kafka_t *transactional_producer_new(const char *brokers, const char *transactional_id)
{
    const char *const settings[][2] = {{"bootstrap.servers", brokers},
                                       {"transactional.id", transactional_id},
                                       {"socket.nagle.disable", "true"},
                                       {"partitioner", "murmur2_random"},
                                       {NULL, NULL}};
    return client_new(RD_KAFKA_PRODUCER, settings, on_delivery);
}

rd_kafka_t *consumer_new(const char *brokers)
{
    const char *const settings[][2] = {{"bootstrap.servers", brokers},        {"group.id", "bench"},
                                       {"enable.auto.commit", "false"},       {"socket.nagle.disable", "true"},
                                       {"isolation.level", "read_committed"}, {NULL, NULL}};
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, settings, NULL);
    rd_kafka_poll_set_consumer(client);
    return client;
}

static void send_command(rd_kafka_t *producer, const char *topic, const char *type, int64_t owner, uint8_t *value,
                         size_t len)
{
    char key[24];
    snprintf(key, sizeof(key), "%" PRId64, owner);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    if (type != NULL) rd_kafka_header_add(headers, "ce_type", -1, type, -1);
    while (rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, strlen(key)),
                             RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_VALUE(value, len),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(producer, 100);
    }
}
void producer_send(rd_kafka_t *producer, const char *topic, int64_t number, int64_t org_id, int64_t first_owner)
{
    uint8_t value[SAMPLE_BYTES_MAX];
    size_t len = sample_pack(number, org_id, first_owner, value);
    send_command(producer, topic, NULL, sample_owner(number, first_owner), value, len);
}

void producer_send_mixed(rd_kafka_t *producer, const char *topic, int64_t number, int64_t org_id, int64_t first_owner)
{
    enum { OF = 10, CREATES = 4 };
    uint8_t value[SAMPLE_BYTES_MAX];
    int64_t kind = number % OF;
    int64_t schedule = number / OF * (OF - CREATES) + kind - CREATES + 1;
    int64_t owner = sample_owner(schedule - 1, first_owner);
    if (kind < CREATES) {
        producer_send(producer, topic, number, org_id, first_owner);
    } else if (kind < OF - 1) {
        size_t len = sample_pack_update(number, org_id, owner, schedule, value);
        send_command(producer, topic, "schedules.v1.UpdateSchedule", owner, value, len);
    } else {
        size_t len = sample_pack_delete(number, org_id, owner, schedule, value);
        send_command(producer, topic, "schedules.v1.DeleteSchedule", owner, value, len);
    }
}

rd_kafka_topic_partition_list_t *topic_partitions(rd_kafka_t *client, const char *topic, int64_t offset)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    if (rd_kafka_metadata(client, 0, handle, &metadata, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        metadata->topic_cnt != 1 || metadata->topics[0].partition_cnt == 0) {
        fprintf(stderr, "no topic %s\n", topic);
        exit(1);
    }
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
        rd_kafka_topic_partition_list_add(list, topic, metadata->topics[0].partitions[i].id)->offset = offset;
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return list;
}

/* ListOffsets takes the time -1, which RD_KAFKA_OFFSET_END is, for the end. */
static int64_t ask_for_ends(rd_kafka_t *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    int64_t sum = 0;
    for (int i = 0; i < partitions->cnt; i++) partitions->elems[i].offset = RD_KAFKA_OFFSET_END;
    if (rd_kafka_offsets_for_times(consumer, partitions, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) return -1;
    for (int i = 0; i < partitions->cnt; i++) {
        if (partitions->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) return -1;
        sum += partitions->elems[i].offset;
    }
    return sum;
}

int64_t readable_ends(rd_kafka_t *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    int64_t sum = ask_for_ends(consumer, partitions);
    for (int tries = 1; sum < 0 && tries < ANSWER_MS / AGAIN_MS; tries++) { /* a new partition has no leader for a while */
        usleep(AGAIN_MS * 1000);
        sum = ask_for_ends(consumer, partitions);
    }
    return sum;
}
