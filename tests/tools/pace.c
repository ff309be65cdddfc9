/* From command to event at a steady pace: sends RATE commands a second for SECONDS and reads their events read_committed in the
 * same process. Open loop: a latency counts from when the command was due, so whatever stands still is seen.
 *
 *   pace BROKERS COMMANDS_TOPIC EVENTS_TOPIC FIRST RATE SECONDS ORG OWNER    prints the latencies */
#include <stdio.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "kafka_client.h"
#include "latencies.h"
#include "schedules/v1/schedule_created.pb-c.h"

/* A due command is sent at most TICK_MS late; waiting without sleep would take a core from what is measured. */
enum { TICK_MS = 1, QUIET_US = 30 * 1000000 };

struct pace {
    rd_kafka_t *producer;
    rd_kafka_t *consumer;
    const char *commands_topic;
    int64_t org;
    int64_t owner;
    int64_t first;
    int64_t rate;
    int64_t count;
    int64_t sent;
    int64_t start_us;
    struct latencies latencies;
};

static int64_t due_us(const struct pace *pace, int64_t i)
{
    return pace->start_us + i * 1000000 / pace->rate;
}

static void send_due(struct pace *pace, int64_t now_us)
{
    for (; pace->sent < pace->count && due_us(pace, pace->sent) <= now_us; pace->sent++) {
        producer_send(pace->producer, pace->commands_topic, pace->first + pace->sent, pace->org, pace->owner);
    }
    rd_kafka_poll(pace->producer, 0);
}

/* The events of other commands are passed over. */
static void take_event(struct pace *pace, const rd_kafka_message_t *message, int64_t now_us)
{
    struct uuid id;
    Schedules__V1__ScheduleCreated *event = schedules__v1__schedule_created__unpack(NULL, message->len, message->payload);
    if (event == NULL) return;
    if (uuid_parse((struct slice){(const char *)event->command_id.data, event->command_id.len}, &id)) {
        int64_t i = sample_number(&id) - pace->first;
        if (i >= 0 && i < pace->sent) latencies_add(&pace->latencies, now_us - due_us(pace, i));
    }
    schedules__v1__schedule_created__free_unpacked(event, NULL);
}

/* Until all events are there, or none came for QUIET_US. */
static void run(struct pace *pace)
{
    int64_t last_us = pace->start_us = clock_steady_us();
    while (pace->latencies.len < (size_t)pace->count) {
        int64_t now_us = clock_steady_us();
        if (now_us - last_us > QUIET_US) return;
        send_due(pace, now_us);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(pace->consumer, TICK_MS);
        if (message == NULL) continue;
        last_us = clock_steady_us();
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) take_event(pace, message, last_us);
        rd_kafka_message_destroy(message);
    }
}

static int64_t number(const char *text)
{
    return strtoll(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc != 9) {
        fprintf(stderr, "usage: pace BROKERS COMMANDS_TOPIC EVENTS_TOPIC FIRST RATE SECONDS ORG OWNER\n");
        return 2;
    }
    struct pace pace = {
        .producer = producer_new(argv[1], "2"),
        .consumer = consumer_new(argv[1]),
        .commands_topic = argv[2],
        .first = number(argv[4]),
        .rate = number(argv[5]),
        .count = number(argv[5]) * number(argv[6]),
        .org = number(argv[7]),
        .owner = number(argv[8]),
    };
    latencies_init(&pace.latencies, (size_t)pace.count);
    rd_kafka_topic_partition_list_t *events = topic_partitions(pace.consumer, argv[3], RD_KAFKA_OFFSET_END);
    rd_kafka_topic_partition_list_destroy(topic_partitions(pace.producer, argv[2], 0)); /* it knows the topic now */
    if (readable_ends(pace.consumer, events) < 0) return 1;
    rd_kafka_assign(pace.consumer, events);
    run(&pace);
    latencies_print(&pace.latencies);
    bool all = pace.latencies.len == (size_t)pace.count;
    if (!all) fprintf(stderr, "pace: %zu of %lld events\n", pace.latencies.len, (long long)pace.count);
    rd_kafka_topic_partition_list_destroy(events);
    rd_kafka_consumer_close(pace.consumer);
    rd_kafka_destroy(pace.consumer);
    rd_kafka_destroy(pace.producer);
    latencies_done(&pace.latencies);
    return all ? 0 : 1;
}
