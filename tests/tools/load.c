/* The load of the benchmarks, as fast as librdkafka goes, so that what is measured is the service.
 *
 *   load produce BROKERS TOPIC FIRST COUNT ORG OWNER   puts the commands FIRST to FIRST + COUNT - 1 on the topic, of the owners
 *                                                      from OWNER on; prints the seconds until Kafka had them all
 *   load mix BROKERS TOPIC FIRST COUNT ORG OWNER       the same with changes and deletions (producer_send_mixed)
 *   load consume BROKERS TOPIC COUNT                   reads COUNT messages read_committed; prints the seconds from the first to the last
 *   load watch BROKERS TOPIC                           until it is ended prints the Unix time whenever more became readable
 *                                                      read_committed: cheap, as it asks for offsets only */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/clock.h"
#include "kafka_client.h"

enum { QUIET_US = 60 * 1000000, WATCH_US = 20000 };

typedef void send_function(rd_kafka_t *producer, const char *topic, int64_t number, int64_t org, int64_t owner);

static int produce(const char *brokers, const char *topic, send_function *send, int64_t first, int64_t count, int64_t org,
                   int64_t owner)
{
    rd_kafka_t *producer = producer_new(brokers, "20");
    int64_t start_us = clock_steady_us();
    for (int64_t i = first; i < first + count; i++) send(producer, topic, i, org, owner);
    bool ok = rd_kafka_flush(producer, QUIET_US / 1000) == RD_KAFKA_RESP_ERR_NO_ERROR;
    printf("%.3f\n", (double)(clock_steady_us() - start_us) / 1e6);
    rd_kafka_destroy(producer);
    return ok ? 0 : 1;
}

static int consume(const char *brokers, const char *topic, int64_t count)
{
    rd_kafka_t *consumer = consumer_new(brokers);
    rd_kafka_topic_partition_list_t *partitions = topic_partitions(consumer, topic, RD_KAFKA_OFFSET_BEGINNING);
    rd_kafka_assign(consumer, partitions);
    rd_kafka_topic_partition_list_destroy(partitions);
    int64_t first_us = 0;
    int64_t last_us = clock_steady_us();
    int64_t seen = 0;
    while (seen < count && clock_steady_us() - last_us < QUIET_US) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (message == NULL) continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            last_us = clock_steady_us();
            if (seen++ == 0) first_us = last_us;
        }
        rd_kafka_message_destroy(message);
    }
    printf("%.3f\n", (double)(last_us - first_us) / 1e6);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    if (seen == count) return 0;
    fprintf(stderr, "load: %" PRId64 " of %" PRId64 " messages\n", seen, count);
    return 1;
}

_Noreturn static void watch(const char *brokers, const char *topic)
{
    rd_kafka_t *consumer = consumer_new(brokers);
    rd_kafka_topic_partition_list_t *partitions = topic_partitions(consumer, topic, RD_KAFKA_OFFSET_END);
    for (int64_t known = 0;; usleep(WATCH_US)) {
        rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_copy(partitions);
        int64_t now = readable_ends(consumer, ends);
        rd_kafka_topic_partition_list_destroy(ends);
        if (now <= known) continue;
        printf("%.6f %" PRId64 "\n", (double)clock_wall_us() / 1e6, now);
        fflush(stdout);
        known = now;
    }
}

static int64_t number(const char *text)
{
    return strtoll(text, NULL, 10);
}

int main(int argc, char **argv)
{
    send_function *send = strcmp(argc == 8 ? argv[1] : "", "mix") == 0 ? producer_send_mixed : producer_send;
    if (argc == 8 && (send == producer_send_mixed || strcmp(argv[1], "produce") == 0)) {
        return produce(argv[2], argv[3], send, number(argv[4]), number(argv[5]), number(argv[6]), number(argv[7]));
    }
    if (argc == 5 && strcmp(argv[1], "consume") == 0) return consume(argv[2], argv[3], number(argv[4]));
    if (argc == 4 && strcmp(argv[1], "watch") == 0) watch(argv[2], argv[3]);
    fprintf(
        stderr,
        "usage: load produce|mix BROKERS TOPIC FIRST COUNT ORG OWNER | consume BROKERS TOPIC COUNT | watch BROKERS TOPIC\n");
    return 2;
}
