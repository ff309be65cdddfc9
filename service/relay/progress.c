#include "relay/progress.h"

#include <stdlib.h>

#include "core/slice.h"
#include "driver/clock.h"

enum { SLICE_MS = 100, QUERY_TIMEOUT_MS = 2000, TIMEOUT_US = 30000000, PARTITIONS_MAX = 1000 };

/* In place of an end offset: the partition was read up to it. */
static const int64_t DONE = -1;

struct reading {
    rd_kafka_t *consumer;
    const char *topic;
    struct slice key;
    rd_kafka_topic_partition_list_t *starts;
    rd_kafka_topic_partition_list_t *ends; /* offset: where the partition ended at first, or DONE when read up to there */
    int open;                              /* partitions not read to their end yet */
    struct progress progress;              /* the newest record of the key: what it says, */
    int32_t progress_partition;            /* its place, */
    int64_t progress_ms;                   /* and its time */
    struct reason *reason;
};

static bool fail(struct reading *reading, const char *text)
{
    reason_set(reading->reason, "reading progress from %s: %s", reading->topic, text);
    return false;
}

static bool fail_with(struct reading *reading, rd_kafka_resp_err_t error)
{
    return fail(reading, rd_kafka_err2str(error));
}

static rd_kafka_t *make_consumer(const struct kafka_settings *kafka)
{
    static const struct kafka_property properties[] = {
        {"group.id", "schedule-service-progress"}, /* librdkafka wants one; nothing is ever committed under it */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"fetch.wait.max.ms", "50"},
        {"queued.max.messages.kbytes", "1024"},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return NULL;
    rd_kafka_t *consumer = kafka_client_new(RD_KAFKA_CONSUMER, conf);
    if (consumer != NULL) rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

static bool count_partitions(struct reading *reading, int *ret_count)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(reading->consumer, reading->topic, NULL);
    if (topic == NULL) return fail_with(reading, rd_kafka_last_error());
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(reading->consumer, 0, topic, &metadata, QUERY_TIMEOUT_MS);
    rd_kafka_topic_destroy(topic);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail_with(reading, error);
    error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *ret_count = error == RD_KAFKA_RESP_ERR_NO_ERROR ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail_with(reading, error);
    return *ret_count <= PARTITIONS_MAX || fail(reading, "too many partitions");
}

/* Notes where the partition begins and ends; an empty one needs no reading. */
static bool add_partition(struct reading *reading, int32_t partition)
{
    int64_t low;
    int64_t high;
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(reading->consumer, reading->topic, partition, &low, &high, QUERY_TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail_with(reading, error);
    if (low == high) return true;
    rd_kafka_topic_partition_list_add(reading->starts, reading->topic, partition)->offset = low;
    rd_kafka_topic_partition_list_add(reading->ends, reading->topic, partition)->offset = high;
    reading->open++;
    return true;
}

static bool assign_all(struct reading *reading)
{
    int count = 0;
    if (!count_partitions(reading, &count)) return false;
    for (int32_t partition = 0; partition < count; partition++) {
        if (!add_partition(reading, partition)) return false;
    }
    rd_kafka_resp_err_t error = rd_kafka_assign(reading->consumer, reading->starts);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR || fail_with(reading, error);
}

/* Borrows from the message. */
static void get_headers(const rd_kafka_message_t *message, struct record *record)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t len;
    record->headers_len = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        record_add_header(record, slice_of(name), (struct slice){value, len});
    }
}

/* Within a partition the later record counts. A key is in two only if partitions were added; then time decides. */
static void on_record(struct reading *reading, const rd_kafka_message_t *message)
{
    struct record record = {.key = {message->key, message->key_len}, .value = {message->payload, message->len}};
    struct progress progress;
    int64_t ms = rd_kafka_message_timestamp(message, NULL);
    get_headers(message, &record);
    if (!slice_equal(record.key, reading->key) || !progress_decode(&record, &progress)) return;
    if (message->partition != reading->progress_partition && ms < reading->progress_ms) return;
    reading->progress = progress;
    reading->progress_partition = message->partition;
    reading->progress_ms = ms;
}

/* Committed records end at the first open transaction. An end before the noted one is not the end. */
static void on_end(struct reading *reading, const rd_kafka_message_t *message)
{
    rd_kafka_topic_partition_t *end = rd_kafka_topic_partition_list_find(reading->ends, reading->topic, message->partition);
    if (end == NULL || end->offset == DONE || message->offset < end->offset) return;
    end->offset = DONE;
    reading->open--;
}

static bool take_next(struct reading *reading)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(reading->consumer, SLICE_MS);
    bool ok = true;
    if (message == NULL) return true;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) on_record(reading, message);
    else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) on_end(reading, message);
    else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) ok = fail(reading, rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
    return ok;
}

static bool read_all(struct reading *reading, bool (*on_wait)(void *ctx), void *ctx)
{
    int64_t deadline_us = clock_steady_us() + TIMEOUT_US;
    if (reading->consumer == NULL) return fail(reading, "no consumer; see the line before");
    if (!assign_all(reading)) return false;
    while (reading->open > 0) {
        if (!take_next(reading)) return false;
        if (clock_steady_us() >= deadline_us) return fail(reading, "Kafka did not answer in time");
        if (!on_wait(ctx)) return fail(reading, "interrupted");
    }
    return true;
}

bool progress_read(const struct kafka_settings *kafka, const char *topic, const char *key, bool (*on_wait)(void *ctx),
                   void *ctx, struct reason *reason, struct progress *ret_progress)
{
    struct reading reading = {.consumer = make_consumer(kafka), .topic = topic, .key = slice_of(key), .reason = reason};
    reading.starts = rd_kafka_topic_partition_list_new(1);
    reading.ends = rd_kafka_topic_partition_list_new(1);
    bool ok = read_all(&reading, on_wait, ctx);
    if (ok) *ret_progress = reading.progress;
    rd_kafka_topic_partition_list_destroy(reading.starts);
    rd_kafka_topic_partition_list_destroy(reading.ends);
    if (reading.consumer != NULL) rd_kafka_destroy(reading.consumer);
    return ok;
}
