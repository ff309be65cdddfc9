/* The Kafka door against a real Kafka (TEST_KAFKA_BROKERS) and a real PostgreSQL (TEST_DATABASE_URL, migrated). Each test has a
 * topic and a group of its own. Where a door must end and come back, or two are needed, they run in processes of their own. */
#include "support.h"

#include <jansson.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "driver/metrics.h"
#include "failing_malloc.h"
#include "schedules/v1/create_schedule.pb-c.h"
#include "source/kafka_command.h"
#include "source/kafka_door.h"

enum { ORG = 7, USER = 478, STRANGER = 480, UNPACKED_MAX = 64 << 20 };

/* What was freed would be counted as held. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4";
}

struct world {
    char topic[NAME_LEN];
    char dead_letter_topic[NAME_LEN];
    char slot[NAME_LEN];
    size_t unpacked_max;
    PGconn *db;
    rd_kafka_t *producer;
    struct kafka_settings kafka;
    /* A door in this process. */
    struct event_base *base;
    struct event *look;
    struct time_zones *zones;
    struct writer_config writer_config;
    struct kafka_door_config config;
    struct writer *writer;
    struct kafka_door *door;
};

/* What a door in a process of its own says and is told. */
struct shared {
    volatile int64_t partitions; /* how many it has */
    volatile bool stop;          /* it is to end */
    volatile int64_t stopped;    /* partitions that stand still */
    volatile int64_t peak_kb;    /* most memory that was resident */
};

/* A door in a process of its own. */
struct remote {
    pid_t pid;
    struct shared *shared;
};

/* Short sessions, so that a killed member is soon missed. */
static const struct kafka_property short_session[] = {{"session.timeout.ms", "3000"}, {"heartbeat.interval.ms", "300"}};

/* ---- doors ---- */

static void start_door(struct world *world)
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
    world->config = (struct kafka_door_config){.kind = &kafka_command_kind,
                                               .database_url = getenv("TEST_DATABASE_URL"),
                                               .topic = world->topic,
                                               .group = world->topic,
                                               .kafka = &world->kafka,
                                               .dead_letter_topic = world->dead_letter_topic,
                                               .unpacked_batch_bytes = world->unpacked_max,
                                               .zones = world->zones,
                                               .events = world->writer_config.events,
                                               .writer = world->writer};
    world->door = kafka_door_new(world->base, &world->config);
    assert_non_null(world->door);
}

/* As the service ends: take no more, finish what is under way, leave. */
static void stop_door(struct world *world)
{
    if (world->door == NULL) return;
    kafka_door_drain(world->door);
    RUN_UNTIL(world->base, kafka_door_pending(world->door) == 0);
    kafka_door_free(world->door);
    writer_free(world->writer);
    time_zones_free(world->zones);
    event_free(world->look);
    event_base_free(world->base);
    world->door = NULL;
}

/* The series' name with its labels. */
static int64_t metric_value(const char *series)
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

static int64_t assigned_partitions(void)
{
    return metric_value("schedule_consumer_partitions{state=\"assigned\"}");
}

static int64_t stopped_now(void)
{
    return metric_value("schedule_consumer_partitions{state=\"stopped\"}");
}

/* At its most, so far. */
static int64_t resident_kb(void)
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

static struct remote remote_start(struct world *world)
{
    struct remote remote;
    remote.shared = mmap(NULL, sizeof(*remote.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(remote.shared != MAP_FAILED);
    assert_null(world->producer); /* its threads would not come along */
    fflush(NULL);
    remote.pid = fork();
    if (remote.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        start_door(world);
        while (!remote.shared->stop) {
            remote.shared->partitions = assigned_partitions();
            remote.shared->stopped = stopped_now();
            remote.shared->peak_kb = resident_kb();
            event_base_loop(world->base, EVLOOP_ONCE);
        }
        stop_door(world);
        _exit(0);
    }
    return remote;
}

static void remote_end(struct remote *remote, int expected_status)
{
    int status = -1;
    remote->shared->stop = true;
    assert_int_equal(waitpid(remote->pid, &status, 0), remote->pid);
    assert_int_equal(status, expected_status);
    munmap(remote->shared, sizeof(*remote->shared));
}

static void remote_stop(struct remote *remote)
{
    remote_end(remote, 0);
}

static void remote_kill(struct remote *remote)
{
    kill(remote->pid, SIGKILL);
    remote_end(remote, SIGKILL);
}

/* ---- the world ---- */

static rd_kafka_t *make_client(struct world *world, rd_kafka_type_t type, const struct kafka_property *properties,
                               size_t len)
{
    const struct kafka_settings settings = {.brokers = world->kafka.brokers};
    rd_kafka_conf_t *conf = kafka_conf_new(&settings, properties, len);
    assert_non_null(conf);
    rd_kafka_t *client = kafka_client_new(type, conf);
    assert_non_null(client);
    return client;
}

static void make_topic(struct world *world, int partitions)
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

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    *state = world;
    snprintf(world->topic, NAME_LEN, "door.%d", (int)getpid());
    snprintf(world->dead_letter_topic, NAME_LEN, "door.%d.dlq", (int)getpid());
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

static int tear_down(void **state)
{
    struct world *world = *state;
    stop_door(world);
    if (world->producer != NULL) rd_kafka_destroy(world->producer);
    drop_slot(world->db, world->slot);
    PQfinish(world->db);
    free(world);
    return 0;
}

static int64_t rows(struct world *world)
{
    return query_number(world->db, "SELECT count(*) FROM schedules");
}

static int64_t stored_offset(struct world *world, int partition)
{
    return query_number(world->db, "SELECT next_offset FROM command_offsets WHERE topic = '%s' AND partition = %d",
                        world->topic, partition);
}

static int64_t stored_offsets(struct world *world)
{
    return query_number(world->db, "SELECT coalesce(sum(next_offset), 0) FROM command_offsets WHERE topic = '%s'",
                        world->topic);
}

static void expect_rows_and_events(struct world *world, int64_t count)
{
    assert_int_equal(rows(world), count);
    assert_int_equal(emitted_records(world->db, world->slot, NULL, NULL), count);
}

/* ---- producing ---- */

static void open_producer(struct world *world)
{
    static const struct kafka_property properties[] = {{"linger.ms", "20"}, {"queue.buffering.max.messages", "1000000"}};
    if (world->producer == NULL) world->producer = make_client(world, RD_KAFKA_PRODUCER, properties, ARRAY_LEN(properties));
}

static void close_producer(struct world *world)
{
    assert_int_equal(rd_kafka_flush(world->producer, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(world->producer);
    world->producer = NULL;
}

static void produce(struct world *world, int partition, struct slice value, const char *header, const char *header_value)
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

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void uuid_of(uint64_t number, char text[UUID_TEXT_LEN + 1])
{
    struct uuid uuid = uuid_v7(number, (const uint8_t *)"0123456789");
    uuid_format(&uuid, text);
    text[UUID_TEXT_LEN] = '\0';
}

/* A protobuf command behind what out holds. Its id is the number's. */
static void put_command(struct buf *out, uint64_t number, int64_t user_id, const char *name)
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

static void produce_command(struct world *world, int partition, uint64_t number, int64_t user_id, const char *name)
{
    struct buf bytes;
    buf_init(&bytes, 4096);
    put_command(&bytes, number, user_id, name);
    produce(world, partition, buf_slice(&bytes), NULL, NULL);
    buf_done(&bytes);
}

/* Good ones, from the number on. */
static void produce_commands(struct world *world, int partition, uint64_t number, size_t count)
{
    for (size_t i = 0; i < count; i++) produce_command(world, partition, number + i, USER, "work");
}

/* ---- tests ---- */

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

struct seen {
    size_t created;
    size_t rejected;
    size_t dead;
    struct buf text; /* of rejections and dead letters, a line each */
};

static void see(void *ctx, const struct record *record)
{
    struct seen *seen = ctx;
    bool dead = record->topic == RECORD_DEAD_LETTER;
    bool rejected = slice_equal(header_named(record, "ce_type"), SLICE("schedules.v1.ScheduleCommandRejected"));
    seen->dead += dead;
    seen->rejected += rejected;
    seen->created += slice_equal(header_named(record, "ce_type"), SLICE("schedules.v1.ScheduleCreated"));
    if (!dead && !rejected) return;
    buf_append_slice(&seen->text, header_named(record, dead ? "dead-letter-offset" : "ce_id"));
    buf_append_char(&seen->text, ' ');
    buf_append_slice(&seen->text, dead ? record->value : record->key);
    buf_append_char(&seen->text, ' ');
    buf_append_slice(&seen->text, header_named(record, dead ? "x" : "traceparent"));
    buf_append_char(&seen->text, '\n');
}

static void settles_every_message_by_exactly_one_outcome(void **state)
{
    struct world *world = *state;
    struct seen seen = {0};
    struct buf framed;
    char text[512];
    char id[UUID_TEXT_LEN + 1];
    make_topic(world, 1);
    produce_command(world, 0, 1, USER, "first");
    uuid_of(2, id);
    snprintf(text, sizeof(text),
             "{\"commandId\":\"%s\",\"orgId\":%d,\"userId\":%d,\"name\":\"json\",\"timeZone\":\"Europe/"
             "Rome\",\"isDefault\":true}",
             id, ORG, USER);
    produce(world, 0, slice_of(text), "content-type", "application/json; charset=utf-8");
    buf_init(&framed, 4096);
    buf_append(&framed, "\0\0\0\0\x07\0", 6);
    put_command(&framed, 3, USER, "framed");
    produce(world, 0, buf_slice(&framed), NULL, NULL);
    buf_done(&framed);
    produce_command(world, 0, 1, USER, "first");                                  /* 3: a duplicate */
    produce_command(world, 0, 1, USER, "other");                                  /* 4: a conflict */
    produce_command(world, 0, 5, STRANGER, "stranger");                           /* 5: not a member */
    produce(world, 0, SLICE("{\"name\":5}"), "content-type", "application/json"); /* 6: breaks rules */
    produce(world, 0, SLICE("{\"name\":5}"), "x", "y");                           /* 7: no protobuf */
    produce(world, 0, SLICE("{\"na"), "content-type", "application/json");        /* 8: no JSON */
    produce(world, 0, (struct slice){NULL, 0}, NULL, NULL);                       /* 9: a tombstone */
    produce(world, 0, SLICE("\x18\x05"), "traceparent", TRACE);                   /* 10: breaks rules, and is traced */
    produce_command(world, 0, 11, USER, "last");
    close_producer(world);
    start_door(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 12);
    RUN_UNTIL(world->base, kafka_door_pending(world->door) == 0);
    assert_int_equal(rows(world), 4);
    EXPECT_QUERY(world->db, "first|framed|json|last", "SELECT string_agg(name, '|' ORDER BY name) FROM schedules");
    EXPECT_QUERY(world->db, "json", "SELECT name FROM default_schedules JOIN schedules ON id = schedule_id");
    buf_init(&seen.text, 1 << 16);
    assert_int_equal(emitted_records(world->db, world->slot, see, &seen), 11);
    assert_int_equal(seen.created, 4);
    assert_int_equal(seen.rejected, 4);
    assert_int_equal(seen.dead, 3);
    snprintf(text, sizeof(text),
             "%1$s/0/4 478 \n%1$s/0/5 480 \n%1$s/0/6 0 \n7 {\"name\":5} y\n8 {\"na \n9  \n%1$s/0/10 5 " TRACE "\n",
             world->topic);
    buf_append_char(&seen.text, '\0');
    assert_string_equal(seen.text.data, text);
    buf_done(&seen.text);
}

static void continues_where_it_stopped(void **state)
{
    struct world *world = *state;
    make_topic(world, 2);
    for (uint64_t round = 0; round < 3; round++) {
        for (int partition = 0; partition < 2; partition++) {
            produce_commands(world, partition, round * 1000 + (uint64_t)partition * 500, 200);
        }
        close_producer(world);
        struct remote door = remote_start(world);
        WAIT_UNTIL(stored_offsets(world) == (int64_t)(round + 1) * 400);
        if (round == 1) remote_kill(&door);
        else remote_stop(&door);
    }
    expect_rows_and_events(world, 1200);
    /* The group's own offsets were committed when the last door left. */
    rd_kafka_t *client =
        make_client(world, RD_KAFKA_CONSUMER, (const struct kafka_property[]){{"group.id", world->topic}}, 1);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, world->topic, 0);
    assert_int_equal(rd_kafka_committed(client, list, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(list->elems[0].offset, 600);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(client);
}

static void two_doors_split_the_partitions_and_store_nothing_twice(void **state)
{
    enum { PARTITIONS = 4, EACH = 1500 };
    struct world *world = *state;
    make_topic(world, PARTITIONS);
    struct remote first = remote_start(world);
    struct remote second = remote_start(world);
    WAIT_UNTIL(first.shared->partitions == 2 && second.shared->partitions == 2);
    for (int p = 0; p < PARTITIONS; p++) {
        produce_commands(world, p, (uint64_t)p * EACH, EACH);
        produce_commands(world, p, (uint64_t)((p + 1) % PARTITIONS) * EACH, 100); /* duplicates of another partition's */
    }
    WAIT_UNTIL(stored_offsets(world) > 200);
    remote_kill(&first);
    for (int kills = 0; kills < 3; kills++) { /* and the database's connections come and go */
        int64_t seen = stored_offsets(world);
        execute(world->db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                           "AND pid <> pg_backend_pid() AND application_name LIKE 'schedule-service%%'");
        WAIT_UNTIL(stored_offsets(world) > seen || stored_offsets(world) == PARTITIONS * (EACH + 100));
    }
    close_producer(world);
    struct remote third = remote_start(world);
    WAIT_UNTIL(third.shared->partitions == 2);
    WAIT_UNTIL(stored_offsets(world) == PARTITIONS * (EACH + 100));
    remote_stop(&second);
    remote_stop(&third);
    expect_rows_and_events(world, PARTITIONS * EACH);
}

static void reads_again_from_an_offset_that_was_set_back(void **state)
{
    struct world *world = *state;
    make_topic(world, 1);
    produce_commands(world, 0, 1, 50);
    start_door(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 50);
    execute(world->db, "UPDATE command_offsets SET next_offset = 10");
    execute(world->db, "DELETE FROM schedules WHERE id IN (SELECT id FROM schedules ORDER BY id LIMIT 30)");
    produce_commands(world, 0, 51, 1);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 51);
    assert_int_equal(rows(world), 20 + 20 + 1); /* 10 to 29 came back, 0 to 9 were not asked for */
}

/* What was fetched before the offset went back is on its way, and begins behind it: none of that may be taken. */
static void skips_nothing_when_the_offset_is_set_back_under_load(void **state)
{
    enum { COMMANDS = 8000, BACK_TO = 10 };
    struct world *world = *state;
    make_topic(world, 1);
    produce_commands(world, 0, 1, COMMANDS);
    start_door(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) > BACK_TO);
    execute(world->db, "BEGIN; UPDATE command_offsets SET next_offset = 10; DELETE FROM schedules; COMMIT");
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == COMMANDS);
    assert_int_equal(rows(world), COMMANDS - BACK_TO);
}

static void goes_on_when_its_offset_row_vanished(void **state)
{
    struct world *world = *state;
    make_topic(world, 1);
    produce_commands(world, 0, 1, 20);
    start_door(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 20);
    execute(world->db, "DELETE FROM command_offsets");
    produce_commands(world, 0, 21, 1);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 21);
    expect_rows_and_events(world, 21);
}

static void delete_records(struct world *world, int partition, int64_t before)
{
    rd_kafka_t *client = make_client(world, RD_KAFKA_PRODUCER, NULL, 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, world->topic, partition)->offset = before;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_S * 1000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

static size_t stopped_partitions(const struct world *world)
{
    struct degraded degraded = {0};
    kafka_door_degraded(world->door, &degraded);
    for (size_t i = 0; i < degraded.len; i++) assert_non_null(strstr(degraded.texts[i], "is stopped"));
    return degraded.len;
}

static void a_stored_offset_outside_of_the_log_stops_that_partition_only(void **state)
{
    struct world *world = *state;
    make_topic(world, 4);
    for (int p = 0; p < 4; p++) produce_commands(world, p, (uint64_t)p * 100, 10);
    close_producer(world);
    delete_records(world, 1, 5);
    delete_records(world, 3, 5);
    /* 0 is behind its log's end, 1 before its start, 2 and 3 (never read: from its start) are good. */
    execute(world->db, "INSERT INTO command_offsets VALUES ('%1$s', 0, 1000), ('%1$s', 1, 2), ('%1$s', 2, 4)", world->topic);
    start_door(world);
    RUN_UNTIL(world->base, stopped_partitions(world) == 2 && stored_offset(world, 2) == 10 && stored_offset(world, 3) == 10);
    produce_commands(world, 1, 500, 5); /* new messages do not make it go on */
    produce_commands(world, 2, 600, 5);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, 2) == 15);
    assert_int_equal(stopped_partitions(world), 2);
    assert_int_equal(stored_offset(world, 0), 1000);
    assert_int_equal(stored_offset(world, 1), 2);
    expect_rows_and_events(world, 6 + 5 + 5);
}

static void takes_committed_transactions_only(void **state)
{
    struct world *world = *state;
    const struct kafka_property properties[] = {{"transactional.id", world->topic}};
    make_topic(world, 1);
    world->producer = make_client(world, RD_KAFKA_PRODUCER, properties, 1);
    assert_null(rd_kafka_init_transactions(world->producer, DEADLINE_S * 1000));
    for (uint64_t transaction = 0; transaction < 4; transaction++) {
        assert_null(rd_kafka_begin_transaction(world->producer));
        produce_commands(world, 0, transaction * 100, 10);
        assert_int_equal(rd_kafka_flush(world->producer, DEADLINE_S * 1000),
                         RD_KAFKA_RESP_ERR_NO_ERROR); /* abort drops what waits */
        assert_null(transaction % 2 == 0 ? rd_kafka_commit_transaction(world->producer, DEADLINE_S * 1000)
                                         : rd_kafka_abort_transaction(world->producer, DEADLINE_S * 1000));
    }
    close_producer(world);
    produce_commands(world, 0, 1000, 1);
    close_producer(world);
    start_door(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 45); /* 41 messages, 4 markers */
    expect_rows_and_events(world, 21);
}

/* One command in a transaction: a control record follows it. */
static void produce_transaction(struct world *world, int partition, uint64_t number, bool commit)
{
    const struct kafka_property properties[] = {{"transactional.id", world->topic}};
    world->producer = make_client(world, RD_KAFKA_PRODUCER, properties, 1);
    assert_null(rd_kafka_init_transactions(world->producer, DEADLINE_S * 1000));
    assert_null(rd_kafka_begin_transaction(world->producer));
    produce_commands(world, partition, number, 1);
    assert_int_equal(rd_kafka_flush(world->producer, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_null(commit ? rd_kafka_commit_transaction(world->producer, DEADLINE_S * 1000)
                       : rd_kafka_abort_transaction(world->producer, DEADLINE_S * 1000));
    close_producer(world);
}

static void goes_on_behind_control_records_that_retention_removed(void **state)
{
    struct world *world = *state;
    make_topic(world, 2);
    produce_transaction(world, 0, 1, true);
    produce_transaction(world, 1, 2, false); /* nothing but what nobody may read */
    struct remote door = remote_start(world);
    WAIT_UNTIL(stored_offset(world, 0) == 2 && stored_offset(world, 1) == 2);
    remote_stop(&door);
    delete_records(world, 0, 2);
    delete_records(world, 1, 2);
    start_door(world);
    produce_commands(world, 0, 3, 1);
    produce_commands(world, 1, 4, 1);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 3 && stored_offset(world, 1) == 3);
    assert_int_equal(stopped_now(), 0);
    RUN_UNTIL(world->base, metric_value("schedule_consumer_lag") == 0);
    expect_rows_and_events(world, 3);
}

/* An open transaction is not skipped, however often the end before it is reached. */
static void waits_for_a_transaction_that_is_open(void **state)
{
    struct world *world = *state;
    const struct kafka_property properties[] = {{"transactional.id", world->topic}};
    make_topic(world, 1);
    produce_commands(world, 0, 1, 1);
    close_producer(world);
    world->producer = make_client(world, RD_KAFKA_PRODUCER, properties, 1);
    assert_null(rd_kafka_init_transactions(world->producer, DEADLINE_S * 1000));
    assert_null(rd_kafka_begin_transaction(world->producer));
    produce_commands(world, 0, 2, 1);
    assert_int_equal(rd_kafka_flush(world->producer, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    start_door(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 1);
    RUN_UNTIL(world->base, metric_value("schedule_consumer_lag") == 1);
    for (int turns = 0; turns < 300; turns++) event_base_loop(world->base, EVLOOP_ONCE); /* many ticks */
    assert_int_equal(stored_offset(world, 0), 1);
    assert_null(rd_kafka_commit_transaction(world->producer, DEADLINE_S * 1000));
    RUN_UNTIL(world->base, stored_offset(world, 0) == 3);
    expect_rows_and_events(world, 2);
}

/* ---- batches that unpack large ---- */

/* Messages to a topic that the producer does not know yet could go out in two batches. */
static void learn_topic(struct world *world)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(world->producer, world->topic, NULL);
    assert_int_equal(rd_kafka_metadata(world->producer, 0, topic, &metadata, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(metadata->topics[0].err, RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
}

/* One batch, compressed with the codec, of commands with so many bytes each. */
static void produce_batch(struct world *world, int partition, const char *codec, uint64_t number, size_t count, size_t bytes)
{
    const struct kafka_property properties[] = {{"compression.codec", codec},
                                                {"linger.ms", "60000"},
                                                {"batch.size", "1000000000"},
                                                {"batch.num.messages", "100000"},
                                                {"message.max.bytes", "1000000000"},
                                                {"queue.buffering.max.kbytes", "1000000"}};
    char *name = malloc(bytes + 1);
    assert_non_null(name);
    memset(name, 'n', bytes);
    name[bytes] = '\0';
    struct buf command;
    buf_init(&command, bytes + 4096);
    world->producer = make_client(world, RD_KAFKA_PRODUCER, properties, ARRAY_LEN(properties));
    learn_topic(world);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&command);
        put_command(&command, number + i, USER, name);
        produce(world, partition, buf_slice(&command), NULL, NULL);
    }
    close_producer(world);
    buf_done(&command);
    free(name);
}

static const char *const codecs[] = {"gzip", "snappy", "lz4", "zstd"};

/* 500 of 77 KB each: names that are too long, so each is rejected. */
static void reads_large_batches_of_every_codec(void **state)
{
    enum { COUNT = 500, BYTES = 77000 };
    struct world *world = *state;
    size_t rejected = 0;
    make_topic(world, ARRAY_LEN(codecs));
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) produce_batch(world, (int)i, codecs[i], i * 1000, COUNT, BYTES);
    start_door(world);
    RUN_UNTIL(world->base, stored_offsets(world) == (int64_t)(ARRAY_LEN(codecs) * COUNT));
    rejected = emitted_records(world->db, world->slot, NULL, NULL);
    assert_int_equal(rejected, ARRAY_LEN(codecs) * COUNT);
    assert_int_equal(stopped_now(), 0);
}

/* Each kind of batch beyond the limit, and a good partition beside them. Snappy cannot be measured. */
static void a_batch_beyond_the_limit_stops_that_partition_only(void **state)
{
    enum { COUNT = 10, BYTES = 900000, GOOD = 4 };
    struct world *world = *state;
    world->unpacked_max = 8 << 20;
    make_topic(world, GOOD + 1);
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        produce_commands(world, (int)i, i * 1000 + 500, 1);
        close_producer(world);
        if (strcmp(codecs[i], "snappy") != 0) produce_batch(world, (int)i, codecs[i], i * 1000, COUNT, BYTES);
        produce_commands(world, (int)i, i * 1000 + 600, 1);
        close_producer(world);
    }
    start_door(world);
    RUN_UNTIL(world->base, stopped_now() == 3);
    produce_commands(world, GOOD, 9000, 10);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, GOOD) == 10);
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        RUN_UNTIL(world->base, stored_offset(world, (int)i) == (strcmp(codecs[i], "snappy") == 0 ? 2 : 1));
    }
    RUN_UNTIL(world->base, kafka_door_pending(world->door) == 0);
    expect_rows_and_events(world, 3 + 2 + 10);
}

/* Every partition has batches that unpack to nearly the limit. They are read one after the other, none is taken for one beyond it, and
 * memory holds about one of them, not all that one fetch brings. */
static void unpacks_no_more_than_the_limit_at_a_time(void **state)
{
    enum { PARTITIONS = 5, BATCHES = 2, COUNT = 22, BYTES = 1000000, ALL_ELSE_KB = 60 << 10 };
    struct world *world = *state;
    world->unpacked_max = (COUNT + 2) * BYTES;
    make_topic(world, PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        for (int batch = 0; batch < BATCHES; batch++) {
            produce_batch(world, p, codecs[(p + batch) % 2 == 0 ? 3 : 0], (uint64_t)(p * 1000 + batch * 100), COUNT, BYTES);
        }
    }
    int64_t before_kb = resident_kb();
    struct remote door = remote_start(world);
    WAIT_UNTIL(stored_offsets(world) == PARTITIONS * BATCHES * COUNT);
    assert_int_equal(door.shared->stopped, 0);
    print_message("peak %lld KiB, %lld before\n", (long long)door.shared->peak_kb, (long long)before_kb);
    assert_true(door.shared->peak_kb - before_kb < (int64_t)world->unpacked_max / 1024 + ALL_ELSE_KB);
    remote_stop(&door);
}

/* ---- dead letters ---- */

static void see_dead_letter(void *ctx, const struct record *record)
{
    struct buf *out = ctx;
    assert_int_equal(record->topic, RECORD_DEAD_LETTER);
    assert_true(record_wire_bytes(record) <= 1000000);
    buf_printf(out, "%d ", record->value.len > 900000);
    buf_append_slice(out, header_named(record, "dead-letter-cut"));
    buf_append_char(out, ' ');
    buf_append_slice(out, header_named(record, "dead-letter-value-bytes"));
    buf_append_char(out, ' ');
    buf_append_slice(out, header_named(record, "dead-letter-headers-left-out"));
    buf_append_char(out, '\n');
}

/* As nobody told how much the topic of the dead letters takes, they count on what every topic does. */
static void buries_messages_of_any_size_and_with_any_number_of_headers(void **state)
{
    struct world *world = *state;
    struct buf seen;
    make_topic(world, 1);
    produce_batch(world, 0, "gzip", 0, 1, 34000000);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(200);
    for (int i = 0; i < 200; i++) rd_kafka_header_add(headers, "h", -1, "x", -1);
    open_producer(world);
    assert_int_equal(rd_kafka_producev(world->producer, RD_KAFKA_V_TOPIC(world->topic), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_VALUE("junk", 4), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    close_producer(world);
    start_door(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 2);
    buf_init(&seen, 4096);
    assert_int_equal(emitted_records(world->db, world->slot, see_dead_letter, &seen), 2);
    buf_append_char(&seen, '\0');
    assert_string_equal(seen.data, "1 value 34000061 \n0 headers  82\n");
    buf_done(&seen);
}

static void takes_no_more_than_its_maximum_while_the_database_is_busy(void **state)
{
    enum { COUNT = 12000, MORE_THAN_ITS_MAXIMUM = 6000 };
    struct world *world = *state;
    make_topic(world, 1);
    produce_commands(world, 0, 1, COUNT);
    close_producer(world);
    PGconn *blocker = connect_to(getenv("TEST_DATABASE_URL"));
    execute(blocker, "BEGIN; LOCK TABLE schedules IN ACCESS EXCLUSIVE MODE");
    start_door(world);
    /* Full when nothing more is taken for four seconds: it has paused meanwhile, and polls for the group's sake. */
    size_t taken = 0;
    int64_t since_us = clock_steady_us();
    while (taken == 0 || clock_steady_us() - since_us < 4000000) {
        event_base_loop(world->base, EVLOOP_ONCE);
        assert_true(kafka_door_pending(world->door) < MORE_THAN_ITS_MAXIMUM);
        if (kafka_door_pending(world->door) == taken) continue;
        taken = kafka_door_pending(world->door);
        since_us = clock_steady_us();
    }
    execute(blocker, "COMMIT");
    PQfinish(blocker);
    RUN_UNTIL(world->base, stored_offset(world, 0) == COUNT);
    expect_rows_and_events(world, COUNT);
}

/* Each round settles a good command, one that the database refuses, one that breaks rules and one that is none, while one more of
 * the allocations fails than in the round before. */
static void each_allocation_may_fail_once(void **state)
{
    enum { MESSAGES = 4 };
    struct world *world = *state;
    struct seen seen = {0};
    size_t rounds = 0;
    json_set_alloc_funcs(failing_malloc_never, free); /* see tests/unit/test_allocation.c */
    make_topic(world, 1);
    start_door(world);
    for (bool failed = true; failed; rounds++) {
        produce_command(world, 0, 2 * rounds, USER, "good");
        produce_command(world, 0, 2 * rounds + 1, STRANGER, "stranger");
        produce(world, 0, SLICE("{\"name\":5}"), "content-type", "application/json");
        produce(world, 0, SLICE("{\"na"), "content-type", "application/json");
        failing_malloc_arm(rounds + 1);
        RUN_UNTIL(world->base, stored_offset(world, 0) == (int64_t)(rounds + 1) * MESSAGES);
        RUN_UNTIL(world->base, kafka_door_pending(world->door) == 0);
        failed = failing_malloc_disarm();
    }
    buf_init(&seen.text, 1 << 20);
    assert_true(rounds > 10);
    assert_int_equal(rows(world), rounds);
    assert_int_equal(emitted_records(world->db, world->slot, see, &seen), rounds * MESSAGES);
    assert_int_equal(seen.created, rounds);
    assert_int_equal(seen.rejected, 2 * rounds);
    assert_int_equal(seen.dead, rounds);
    assert_true(metric_value("schedule_consumer_memory_waits_total") > 0); /* what had to wait was told */
    print_message("%zu allocations\n", rounds - 1);
    buf_done(&seen.text);
}

/* More than the door takes at once wait behind the one. */
static void a_partition_that_waits_takes_no_room_from_others(void **state)
{
    enum { COUNT = 6000 };
    struct world *world = *state;
    make_topic(world, 2);
    execute(world->db,
            "CREATE OR REPLACE FUNCTION in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'no' THEN "
            "RAISE 'no' USING ERRCODE = '55P03'; END IF; RETURN NEW; END $$");
    execute(world->db, "CREATE TRIGGER in_the_way BEFORE INSERT ON schedules FOR EACH ROW EXECUTE FUNCTION in_the_way()");
    produce_commands(world, 0, 1, 5);
    produce_command(world, 0, 6, USER, "no");
    produce_commands(world, 0, 7, COUNT - 6);
    produce_commands(world, 1, COUNT + 1, 1);
    close_producer(world);
    start_door(world);
    RUN_UNTIL(world->base,
              stored_offset(world, 0) == 5 && kafka_door_pending(world->door) == 1); /* the rest was given back */
    produce_commands(world, 1, COUNT + 2, COUNT - 1);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, 1) == COUNT);
    assert_int_equal(rows(world), COUNT + 5);
    RUN_UNTIL(world->base, kafka_door_pending(world->door) == 1);
    execute(world->db, "DROP FUNCTION in_the_way CASCADE");
    RUN_UNTIL(world->base, stored_offset(world, 0) == COUNT);
    expect_rows_and_events(world, 2 * COUNT);
}

static void a_door_that_ends_does_not_wait_for_a_partition_that_waits(void **state)
{
    struct world *world = *state;
    make_topic(world, 1);
    execute(world->db, "INSERT INTO command_offsets VALUES ('%s', 0, 0)", world->topic);
    produce_commands(world, 0, 1, 3);
    close_producer(world);
    PGconn *holder = connect_to(getenv("TEST_DATABASE_URL"));
    execute(holder, "BEGIN; LOCK TABLE schedules IN ACCESS EXCLUSIVE MODE");
    start_door(world);
    RUN_UNTIL(world->base, metric_value("schedule_partitions_waiting{purpose=\"commands\"}") == 1);
    stop_door(world);
    PQfinish(holder);
    assert_int_equal(rows(world), 0);
    assert_int_equal(stored_offset(world, 0), 0);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", "TEST_KAFKA_BROKERS", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(settles_every_message_by_exactly_one_outcome),
        TEST(continues_where_it_stopped),
        TEST(two_doors_split_the_partitions_and_store_nothing_twice),
        TEST(reads_again_from_an_offset_that_was_set_back),
        TEST(skips_nothing_when_the_offset_is_set_back_under_load),
        TEST(goes_on_when_its_offset_row_vanished),
        TEST(a_stored_offset_outside_of_the_log_stops_that_partition_only),
        TEST(takes_committed_transactions_only),
        TEST(goes_on_behind_control_records_that_retention_removed),
        TEST(waits_for_a_transaction_that_is_open),
        TEST(reads_large_batches_of_every_codec),
        TEST(a_batch_beyond_the_limit_stops_that_partition_only),
        TEST(unpacks_no_more_than_the_limit_at_a_time),
        TEST(buries_messages_of_any_size_and_with_any_number_of_headers),
        TEST(takes_no_more_than_its_maximum_while_the_database_is_busy),
        TEST(a_partition_that_waits_takes_no_room_from_others),
        TEST(a_door_that_ends_does_not_wait_for_a_partition_that_waits),
        TEST(each_allocation_may_fail_once),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
