/* The load of the benchmarks, as fast as librdkafka goes, so that what is measured is the service.
 *
 *   load produce BROKERS TOPIC COUNT ORG USER   puts COUNT protobuf commands of the owners USER to USER + 9999 on the topic
 *   load consume BROKERS TOPIC COUNT            reads COUNT messages read_committed; prints when the last came (Unix time) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <librdkafka/rdkafka.h>

#include "core/uuid.h"
#include "schedules/v1/create_schedule.pb-c.h"

enum { OWNERS = 10000, VALUE_MAX = 512, QUIET_SECONDS = 60 };

static rd_kafka_t *client_new(rd_kafka_type_t type, const char *brokers, const char *const settings[][2])
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, error, sizeof(error));
    for (; (*settings)[0] != NULL; settings++) {
        if (rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], error, sizeof(error)) != RD_KAFKA_CONF_OK) break;
    }
    rd_kafka_t *client = (*settings)[0] == NULL ? rd_kafka_new(type, conf, error, sizeof(error)) : NULL;
    if (client != NULL) return client;
    fprintf(stderr, "load: %s\n", error);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static ProtobufCBinaryData text(char *value)
{
    return (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
}

static size_t pack(int64_t i, int64_t org, int64_t user, uint8_t value[VALUE_MAX])
{
    Schedules__V1__Weekday days[] = {1, 2, 3, 4, 5};
    Schedules__V1__AvailabilityWindow window = SCHEDULES__V1__AVAILABILITY_WINDOW__INIT;
    Schedules__V1__AvailabilityWindow *windows[] = {&window};
    Schedules__V1__Availability availability = SCHEDULES__V1__AVAILABILITY__INIT;
    Schedules__V1__CreateSchedule command = SCHEDULES__V1__CREATE_SCHEDULE__INIT;
    char id[UUID_TEXT_LEN + 1] = "";
    uint8_t random[10] = {0};
    memcpy(random + 3, &i, 7); /* the bytes before hold version and variant */
    struct uuid uuid = uuid_v7((uint64_t)(now() * 1000), random);
    uuid_format(&uuid, id);
    window.n_days = 5;
    window.days = days;
    window.start_time = text("09:00");
    window.end_time = text("17:00");
    availability.n_windows = 1;
    availability.windows = windows;
    command.command_id = text(id);
    command.org_id = org;
    command.user_id = user;
    command.name = text("Working hours");
    command.time_zone = text("Europe/Rome");
    command.availability = &availability;
    return schedules__v1__create_schedule__pack(&command, value);
}

static int produce(const char *brokers, const char *topic, int64_t count, int64_t org, int64_t user)
{
    static const char *const settings[][2] = {{"linger.ms", "20"}, {"partitioner", "murmur2_random"}, {NULL, NULL}};
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, brokers, settings);
    for (int64_t i = 0; i < count; i++) {
        uint8_t value[VALUE_MAX];
        char key[16];
        int64_t owner = user + i % OWNERS;
        size_t len = pack(i, org, owner, value);
        snprintf(key, sizeof(key), "%lld", (long long)owner);
        while (rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, strlen(key)),
                                 RD_KAFKA_V_VALUE(value, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(client, 100);
        }
    }
    bool ok = rd_kafka_flush(client, QUIET_SECONDS * 1000) == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_destroy(client);
    return ok ? 0 : 1;
}

static int consume(const char *brokers, const char *topic, int64_t count)
{
    static const char *const settings[][2] = {{"group.id", "load"},
                                              {"isolation.level", "read_committed"},
                                              {"auto.offset.reset", "earliest"},
                                              {NULL, NULL}};
    rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER, brokers, settings);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    double last = now();
    int64_t seen = 0;
    while (seen < count && now() - last < QUIET_SECONDS) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        if (message == NULL) continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            seen++;
            last = now();
        }
        rd_kafka_message_destroy(message);
    }
    printf("%.3f %lld\n", last, (long long)seen);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return seen == count ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "produce") == 0) {
        return produce(argv[2], argv[3], strtoll(argv[4], NULL, 10), strtoll(argv[5], NULL, 10), strtoll(argv[6], NULL, 10));
    }
    if (argc == 5 && strcmp(argv[1], "consume") == 0) return consume(argv[2], argv[3], strtoll(argv[4], NULL, 10));
    fprintf(stderr, "usage: load produce BROKERS TOPIC COUNT ORG USER | load consume BROKERS TOPIC COUNT\n");
    return 2;
}
