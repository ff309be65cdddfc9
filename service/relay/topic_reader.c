#include "relay/topic_reader.h"

#include <stdlib.h>

#include "core/slice.h"
#include "driver/clock.h"
#include "driver/kafka.h"

enum { SLICE_MS = 100, QUERY_TIMEOUT_MS = 2000, SILENCE_US = 30000000, PARTITIONS_MAX = 10000, NEWEST_FACTOR = 8 };

static const int64_t NEWEST_MAX = INT64_C(1) << 60;

struct part {
    int64_t end;    /* where it ended at first */
    bool is_open;   /* not read up to there yet */
    bool has_older; /* records before those that are read, which were not asked about yet */
};

struct reader {
    const struct topic_reading *config;
    rd_kafka_topic_partition_list_t *starts;
    struct part *parts;
    int parts_len;
    int open_parts;
    int cut;       /* parts whose older records may be needed */
    bool has_open; /* a transaction was met that is open */
};

static bool fail(struct reader *reader, const char *text)
{
    error_text_set(reader->config->source->reason, "reading %s: %s", reader->config->source->name, text);
    return false;
}

static bool fail_with(struct reader *reader, rd_kafka_resp_err_t error)
{
    return fail(reader, rd_kafka_err2str(error));
}

static bool make_parts(struct reader *reader)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(reader->config->source->client, reader->config->source->name, NULL);
    if (topic == NULL) return fail_with(reader, rd_kafka_last_error());
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(reader->config->source->client, 0, topic, &metadata, QUERY_TIMEOUT_MS);
    rd_kafka_topic_destroy(topic);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail_with(reader, error);
    error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    reader->parts_len = error == RD_KAFKA_RESP_ERR_NO_ERROR ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail_with(reader, error);
    if (reader->parts_len > PARTITIONS_MAX) return fail(reader, "too many partitions");
    reader->parts = calloc((size_t)reader->parts_len, sizeof(*reader->parts));
    return reader->parts != NULL || fail(reader, "out of memory");
}

/* Notes where the partition begins and what is committed of it ends; where that is nothing, something may be open. */
static bool open_part(struct reader *reader, int32_t number)
{
    int64_t low;
    int64_t high;
    const struct topic_reading *config = reader->config;
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(reader->config->source->client, config->source->name,
                                                                 number, &low, &high, QUERY_TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail_with(reader, error);
    if (low == high && config->stops_at_open) return true;
    bool has_older = config->newest > 0 && high - config->newest > low;
    reader->parts[number] = (struct part){.end = high, .is_open = true, .has_older = has_older};
    rd_kafka_topic_partition_list_add(reader->starts, config->source->name, number)->offset =
        has_older ? high - config->newest : low;
    reader->cut += has_older;
    reader->open_parts++;
    return true;
}

static bool assign_all(struct reader *reader)
{
    if (!make_parts(reader)) return false;
    for (int32_t number = 0; number < reader->parts_len; number++) {
        if (!open_part(reader, number)) return false;
        if (!reader->config->source->on_wait(reader->config->source->ctx)) return fail(reader, "interrupted");
    }
    rd_kafka_resp_err_t error = kafka_assign(reader->config->source->client, reader->starts);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR || fail_with(reader, error);
}

/* Borrows from the message. */
static void get_record(const rd_kafka_message_t *message, struct record *record)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t len;
    record->key = (struct slice){message->key, message->key_len};
    record->value = (struct slice){message->payload, message->len};
    record->headers_len = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        record_add_header(record, slice_of(name), (struct slice){value, len});
    }
}

static bool on_record(struct reader *reader, const rd_kafka_message_t *message)
{
    const struct topic_reading *config = reader->config;
    struct part *part = &reader->parts[message->partition];
    const struct topic_place place = {message->partition, rd_kafka_message_timestamp(message, NULL)};
    struct record record;
    get_record(message, &record);
    if (part->has_older && (config->reaches_back == NULL || config->reaches_back(config->ctx, &record))) reader->cut--;
    part->has_older = false;
    return config->on_record(config->ctx, &record, &place);
}

/* Committed records end at the first open transaction, and the records that the last answer told of behind it. */
static bool is_before_open(const struct reader *reader, const rd_kafka_message_t *message)
{
    int64_t low;
    int64_t high;
    rd_kafka_resp_err_t error = rd_kafka_get_watermark_offsets(reader->config->source->client, reader->config->source->name,
                                                               message->partition, &low, &high);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < high;
}

/* An end before the noted one is not the end. */
static void on_end(struct reader *reader, const rd_kafka_message_t *message)
{
    struct part *part = &reader->parts[message->partition];
    if (!part->is_open) return;
    if (!reader->config->stops_at_open && (message->offset < part->end || is_before_open(reader, message))) {
        reader->has_open = true;
        return;
    }
    part->is_open = false;
    reader->open_parts--;
}

/* Whether the next message could be taken, or none was there. */
static bool take_next(struct reader *reader, int64_t *heard_us)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->config->source->client, SLICE_MS);
    bool ok = true;
    if (message == NULL) return true;
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) ok = fail(reader, rd_kafka_message_errstr(message));
    else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) on_end(reader, message);
    else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ok = on_record(reader, message);
        *heard_us = clock_steady_us();
    }
    rd_kafka_message_destroy(message);
    return ok;
}

static bool read_all(struct reader *reader)
{
    int64_t heard_us = clock_steady_us();
    if (reader->config->source->client == NULL) return fail(reader, "no client; see the line before");
    if (!assign_all(reader)) return false;
    while (reader->open_parts > 0) {
        if (!take_next(reader, &heard_us)) return false;
        if (clock_steady_us() - heard_us >= SILENCE_US)
            return fail(reader, reader->has_open ? "a transaction on it stays open" : "Kafka did not answer in time");
        if (!reader->config->source->on_wait(reader->config->source->ctx)) return fail(reader, "interrupted");
    }
    return true;
}

rd_kafka_t *topic_client_new(const struct kafka_settings *kafka)
{
    static const struct kafka_property properties[] = {
        {"group.id", "schedule-service-progress"}, /* librdkafka wants one; nothing is ever committed under it */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"fetch.wait.max.ms", "2"}, /* the end is known only when nothing more comes */
        {"queued.max.messages.kbytes", "1024"},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return NULL;
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, conf);
    if (client != NULL) rd_kafka_poll_set_consumer(client);
    return client;
}

bool topic_read(const struct topic_reading *reading, bool *ret_is_enough)
{
    struct reader reader = {.config = reading, .starts = rd_kafka_topic_partition_list_new(1)};
    bool ok = read_all(&reader);
    if (ok) *ret_is_enough = reader.cut == 0;
    if (reading->source->client != NULL) kafka_assign(reading->source->client, NULL); /* what it still fetches nobody gets */
    rd_kafka_topic_partition_list_destroy(reader.starts);
    free(reader.parts);
    return ok;
}

bool topic_read_back(struct topic_reading *reading, int64_t newest)
{
    bool is_enough = false;
    for (; !is_enough; newest *= NEWEST_FACTOR) {
        reading->on_start(reading->ctx);
        reading->newest = newest > NEWEST_MAX ? 0 : newest;
        if (!topic_read(reading, &is_enough)) return false;
    }
    return true;
}
