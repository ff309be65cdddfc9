/* The bulk of a soak, which keeps out of one partition, and what became of it.
 *
 *   bulk produce BROKERS TOPIC FIRST COUNT ORG OWNER RATE PARTITIONS AVOID   puts COUNT commands on the topic, RATE a second (0: as fast
 *                                    as it goes), with numbers from FIRST on, but for those whose owner's key is in partition AVOID
 *   bulk sum BROKERS TOPIC OWNER     reads all there is read_committed; prints how many ScheduleCreated of these owners there are, and the
 *                                    sum of their schedules' ids */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/slice.h"
#include "driver/clock.h"
#include "kafka_client.h"

enum { FLUSH_MS = 60000, QUIET_US = 10 * 1000000, LOOK_EVERY = 100 };

static int64_t number(const char *text)
{
    return strtoll(text, NULL, 10);
}

static bool is_in(int64_t owner, int32_t partitions, int32_t partition)
{
    char key[24];
    int len = snprintf(key, sizeof(key), "%" PRId64, owner);
    return rd_kafka_msg_partitioner_murmur2(NULL, key, (size_t)len, partitions, NULL, NULL) == partition;
}

static void wait_until(int64_t due_us, rd_kafka_t *producer)
{
    for (int64_t left; (left = due_us - clock_steady_us()) > 0;) rd_kafka_poll(producer, (int)(left / 1000) + 1);
}

static int produce(char *const *arguments)
{
    rd_kafka_t *producer = producer_new(arguments[0], "20");
    const char *topic = arguments[1];
    int64_t at = number(arguments[2]);
    int64_t count = number(arguments[3]);
    int64_t org = number(arguments[4]);
    int64_t owner = number(arguments[5]);
    double rate = strtod(arguments[6], NULL);
    int64_t start_us = clock_steady_us();
    for (int64_t sent = 0; sent < count; at++) {
        if (is_in(sample_owner(at, owner), (int32_t)number(arguments[7]), (int32_t)number(arguments[8]))) continue;
        if (rate > 0 && sent % LOOK_EVERY == 0) wait_until(start_us + (int64_t)((double)sent * 1e6 / rate), producer);
        producer_send(producer, topic, at, org, owner);
        sent++;
    }
    bool ok = rd_kafka_flush(producer, FLUSH_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_destroy(producer);
    return ok ? 0 : 1;
}

static struct slice header(const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t len = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return (struct slice){NULL, 0};
    if (rd_kafka_header_get_last(headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR) return (struct slice){NULL, 0};
    return (struct slice){value, len};
}

static int64_t slice_number(struct slice text)
{
    char copy[24];
    snprintf(copy, sizeof(copy), "%.*s", (int)text.len, text.len == 0 ? "" : text.data);
    return number(copy);
}

static int sum(char *const *arguments)
{
    rd_kafka_t *consumer = consumer_new(arguments[0]);
    rd_kafka_topic_partition_list_t *partitions = topic_partitions(consumer, arguments[1], RD_KAFKA_OFFSET_BEGINNING);
    int64_t first = number(arguments[2]);
    int64_t count = 0;
    int64_t ids = 0;
    rd_kafka_assign(consumer, partitions);
    for (int64_t last_us = clock_steady_us(); clock_steady_us() - last_us < QUIET_US;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (message == NULL) continue;
        int64_t owner = slice_number((struct slice){message->key, message->key_len});
        bool is_event = message->err == RD_KAFKA_RESP_ERR_NO_ERROR && owner >= first && owner < first + SAMPLE_OWNERS;
        if (is_event && slice_equal(header(message, "ce_type"), SLICE("schedules.v1.ScheduleCreated"))) {
            ids += slice_number(header(message, "ce_subject"));
            count++;
        }
        last_us = clock_steady_us();
        rd_kafka_message_destroy(message);
    }
    printf("%" PRId64 " %" PRId64 "\n", count, ids);
    rd_kafka_topic_partition_list_destroy(partitions);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 11 && strcmp(argv[1], "produce") == 0) return produce(argv + 2);
    if (argc == 5 && strcmp(argv[1], "sum") == 0) return sum(argv + 2);
    fprintf(
        stderr,
        "usage: bulk produce BROKERS TOPIC FIRST COUNT ORG OWNER RATE PARTITIONS AVOID | bulk sum BROKERS TOPIC OWNER\n");
    return 2;
}
