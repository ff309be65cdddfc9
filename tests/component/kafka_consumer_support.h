/* What the component tests of the Kafka consumer share: the consumer against a real Kafka (TEST_KAFKA_BROKERS) and a real PostgreSQL
 * (TEST_DATABASE_URL, migrated). Each test has a topic and a group of its own. Where a consumer must end and come back, or two are needed, they
 * run in processes of their own. */
#ifndef TESTS_COMPONENT_KAFKA_DOOR_SUPPORT_H
#define TESTS_COMPONENT_KAFKA_DOOR_SUPPORT_H

#include "support.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "driver/metrics.h"
#include "schedules/v1/create_schedule.pb-c.h"
#include "consumer/kafka_command.h"
#include "consumer/kafka_consumer.h"

enum { ORG = 7, USER = 478, STRANGER = 480, UNPACKED_MAX = 64 << 20 };

struct world {
    char topic[NAME_LEN];
    char dead_letter_topic[NAME_LEN];
    char slot[NAME_LEN];
    const struct message_handler *handler;
    size_t unpacked_max;
    PGconn *db;
    rd_kafka_t *producer;
    struct kafka_settings kafka;
    /* A consumer in this process. */
    struct event_base *base;
    struct event *look;
    struct time_zones *zones;
    struct writer_config writer_config;
    struct kafka_consumer_config config;
    struct writer *writer;
    struct kafka_consumer *consumer;
};

/* What a consumer in a process of its own says and is told. */
struct shared {
    volatile int64_t partitions; /* how many it has */
    volatile bool stop;          /* it is to end */
    volatile int64_t stopped;    /* partitions that stand still */
    volatile int64_t peak_kb;    /* most memory that was resident */
};

/* A consumer in a process of its own. */
struct remote {
    pid_t pid;
    struct shared *shared;
};

/* Short sessions, so that a killed member is soon missed. */
static const struct kafka_property short_session[] = {{"session.timeout.ms", "3000"}, {"heartbeat.interval.ms", "300"}};

/* ---- consumers ---- */

static inline void start_consumer(struct world *world)
{
    world->base = look_base_new(&world->look);
    world->zones = time_zones_new(SLICE("Z Europe/Rome 1\n"));
    assert_non_null(world->zones);
    world->writer_config = (struct writer_config){.database_url = getenv("TEST_DATABASE_URL"),
                                                  .events = {.source = SLICE("/test")},
                                                  .connections = {[WRITE_COMMANDS] = 2, [WRITE_DIRECTORY] = 1}};
    world->writer = writer_new(world->base, &world->writer_config);
    assert_non_null(world->writer);
    PGconn *db = connect_to(getenv("TEST_DATABASE_URL"));
    const struct position_mark mark = mark_here(db);
    PQfinish(db);
    writer_open(world->writer, &mark);
    world->config = (struct kafka_consumer_config){.handler = world->handler,
                                                   .database_url = getenv("TEST_DATABASE_URL"),
                                                   .topic = world->topic,
                                                   .group = world->topic,
                                                   .kafka = &world->kafka,
                                                   .dead_letter_topic = world->dead_letter_topic,
                                                   .unpacked_batch_bytes = world->unpacked_max,
                                                   .zones = world->zones,
                                                   .events = world->writer_config.events,
                                                   .writer = world->writer};
    world->consumer = kafka_consumer_new(world->base, &world->config);
    assert_non_null(world->consumer);
    assert_true(kafka_consumer_join(world->consumer));
}

/* As the service ends: take no more, finish what is under way, leave. */
static inline void stop_consumer(struct world *world)
{
    if (world->consumer == NULL) return;
    kafka_consumer_drain(world->consumer);
    RUN_UNTIL(world->base, kafka_consumer_pending(world->consumer) == 0);
    kafka_consumer_free(world->consumer);
    writer_free(world->writer);
    time_zones_free(world->zones);
    event_free(world->look);
    event_base_free(world->base);
    world->consumer = NULL;
}

/* The series' name with its labels. */
static inline int64_t metric_value(const char *series)
{
    char line[128];
    struct buf text;
    buf_init(&text, 1 << 20);
    metrics_write(&text);
    buf_append_char(&text, '\0');
    snprintf(line, sizeof(line), "\n%s ", series);
    const char *at = strstr(text.data, line);
    assert_non_null(at);
    int64_t value = strtoll(at + strlen(line), NULL, 10);
    buf_done(&text);
    return value;
}

static inline int64_t assigned_partitions(void)
{
    return metric_value("schedule_consumer_partitions{state=\"assigned\"}");
}

static inline int64_t stopped_now(void)
{
    return metric_value("schedule_consumer_partitions{state=\"stopped\"}");
}

/* At its most, so far. */
static inline int64_t resident_kb(void)
{
    char line[256];
    long long kb = -1;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) kb = strtoll(line + 6, NULL, 10);
    }
    fclose(file);
    return kb;
}

static inline struct remote remote_start(struct world *world)
{
    struct remote remote;
    remote.shared = mmap(NULL, sizeof(*remote.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(remote.shared != MAP_FAILED);
    assert_null(world->producer); /* its threads would not come along */
    fflush(NULL);
    remote.pid = fork();
    if (remote.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        start_consumer(world);
        while (!remote.shared->stop) {
            remote.shared->partitions = assigned_partitions();
            remote.shared->stopped = stopped_now();
            remote.shared->peak_kb = resident_kb();
            event_base_loop(world->base, EVLOOP_ONCE);
        }
        stop_consumer(world);
        _exit(0);
    }
    return remote;
}

static inline void remote_end(struct remote *remote, int expected_status)
{
    int status = -1;
    remote->shared->stop = true;
    assert_int_equal(waitpid(remote->pid, &status, 0), remote->pid);
    assert_int_equal(status, expected_status);
    munmap(remote->shared, sizeof(*remote->shared));
}

static inline void remote_stop(struct remote *remote)
{
    remote_end(remote, 0);
}

static inline void remote_kill(struct remote *remote)
{
    kill(remote->pid, SIGKILL);
    remote_end(remote, SIGKILL);
}

/* ---- the world ---- */

static inline rd_kafka_t *make_client(struct world *world, rd_kafka_type_t type, const struct kafka_property *properties,
                                      size_t len)
{
    const struct kafka_settings settings = {.brokers = world->kafka.brokers};
    rd_kafka_conf_t *conf = kafka_conf_new(&settings, properties, len);
    assert_non_null(conf);
    rd_kafka_t *client = kafka_client_new(type, conf);
    assert_non_null(client);
    return client;
}

static inline void make_topic(struct world *world, int partitions)
{
    rd_kafka_t *client = make_client(world, RD_KAFKA_PRODUCER, NULL, 0);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(world->topic, partitions, 1, NULL, 0);
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", "4194304");
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_S * 1000);
    assert_non_null(event);
    size_t len = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &len);
    assert_int_equal(len, 1);
    assert_int_equal(rd_kafka_topic_result_error(results[0]), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_destroy(client);
}

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    *state = world;
    snprintf(world->topic, NAME_LEN, "consumer.%d", (int)getpid());
    snprintf(world->dead_letter_topic, NAME_LEN, "consumer.%d.dlq", (int)getpid());
    world->handler = &kafka_command_handler;
    world->unpacked_max = UNPACKED_MAX;
    world->kafka = (struct kafka_settings){getenv("TEST_KAFKA_BROKERS"), short_session, ARRAY_LEN(short_session)};
    world->db = connect_to(getenv("TEST_DATABASE_URL"));
    execute(world->db, "TRUNCATE organizations, users, memberships, schedules, default_schedules, command_offsets CASCADE");
    execute(world->db, "INSERT INTO organizations (id, name) VALUES (%d, 'org')", ORG);
    execute(world->db, "INSERT INTO users (id, name) VALUES (%d, 'a')", USER);
    execute(world->db, "INSERT INTO memberships (org_id, user_id) VALUES (%d, %d)", ORG, USER);
    make_slot(world->db, world->slot);
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    stop_consumer(world);
    if (world->producer != NULL) rd_kafka_destroy(world->producer);
    drop_slot(world->db, world->slot);
    PQfinish(world->db);
    free(world);
    return 0;
}

static inline int64_t rows(struct world *world)
{
    return query_number(world->db, "SELECT count(*) FROM schedules");
}

static inline int64_t stored_offset(struct world *world, int partition)
{
    return query_number(world->db, "SELECT next_offset FROM command_offsets WHERE topic = '%s' AND partition = %d",
                        world->topic, partition);
}

static inline int64_t stored_offsets(struct world *world)
{
    return query_number(world->db, "SELECT coalesce(sum(next_offset), 0) FROM command_offsets WHERE topic = '%s'",
                        world->topic);
}

static inline void expect_rows_and_events(struct world *world, int64_t count)
{
    assert_int_equal(rows(world), count);
    assert_int_equal(emitted_records(world->db, world->slot, NULL, NULL), count);
}

/* ---- producing ---- */

static inline void open_producer(struct world *world)
{
    static const struct kafka_property properties[] = {{"linger.ms", "20"}, {"queue.buffering.max.messages", "1000000"}};
    if (world->producer == NULL) world->producer = make_client(world, RD_KAFKA_PRODUCER, properties, ARRAY_LEN(properties));
}

static inline void close_producer(struct world *world)
{
    assert_int_equal(rd_kafka_flush(world->producer, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(world->producer);
    world->producer = NULL;
}

static inline void produce(struct world *world, int partition, struct slice value, const char *header,
                           const char *header_value)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    if (header != NULL) rd_kafka_header_add(headers, header, -1, header_value, -1);
    open_producer(world);
    rd_kafka_resp_err_t error =
        rd_kafka_producev(world->producer, RD_KAFKA_V_TOPIC(world->topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_KEY("key", 3), RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.len),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    assert_int_equal(error, RD_KAFKA_RESP_ERR_NO_ERROR);
}

static inline ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static inline void uuid_of(uint64_t number, char text[UUID_TEXT_LEN + 1])
{
    struct uuid uuid = uuid_v7(number, (const uint8_t *)"0123456789");
    uuid_format(&uuid, text);
    text[UUID_TEXT_LEN] = '\0';
}

/* A protobuf command behind what out holds. Its id is the number's. */
static inline void put_command(struct buf *out, uint64_t number, int64_t user_id, const char *name)
{
    char id[UUID_TEXT_LEN + 1];
    Schedules__V1__CreateSchedule message = SCHEDULES__V1__CREATE_SCHEDULE__INIT;
    uuid_of(number, id);
    message.command_id = bytes_of(id);
    message.org_id = ORG;
    message.user_id = user_id;
    message.name = bytes_of(name);
    message.time_zone = bytes_of("europe/rome");
    char *to = buf_extend(out, schedules__v1__create_schedule__get_packed_size(&message));
    assert_non_null(to);
    schedules__v1__create_schedule__pack(&message, (uint8_t *)to);
}

static inline void produce_command(struct world *world, int partition, uint64_t number, int64_t user_id, const char *name)
{
    struct buf bytes;
    buf_init(&bytes, 4096);
    put_command(&bytes, number, user_id, name);
    produce(world, partition, buf_slice(&bytes), NULL, NULL);
    buf_done(&bytes);
}

/* Good ones, from the number on. */
static inline void produce_commands(struct world *world, int partition, uint64_t number, size_t count)
{
    for (size_t i = 0; i < count; i++) produce_command(world, partition, number + i, USER, "work");
}

#endif
