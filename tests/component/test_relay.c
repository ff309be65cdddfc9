/* The relay against a real PostgreSQL and a real Kafka. TEST_DATABASE_URL names a superuser's database, which
 * `schedule-service migrate` made, on a server with wal_level=logical; TEST_KAFKA_BROKERS a broker. Each test has a copy of the database, a
 * slot and topics of its own, and drops them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <libpq-fe.h>

#include "codec/record.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "core/lsn.h"
#include "relay/publisher.h"
#include "relay/relay.h"

enum { DEADLINE_S = 60, NAP_US = 5000, NAME_LEN = 64, RECEIVED_MAX = 30000 };

/* ---- the world of one test ---- */

struct world {
    char name[NAME_LEN]; /* of database, slot and, with a suffix, the topics */
    char url[512];
    char events[NAME_LEN + 8];
    char dead_letters[NAME_LEN + 8];
    char progress[NAME_LEN + 8];
    PGconn *admin; /* to another database of the server */
    PGconn *db;    /* to our own */
    struct kafka_settings kafka;
    struct relay_config config;
    struct relay *relay;
    struct relay *other;
};

static void exec_on(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void exec_on(PGconn *conn, const char *format, ...)
{
    char sql[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
}

/* The first field as text; empty when there is no row. */
static void query_text(PGconn *conn, char text[256], const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) fail_msg("%s: %s", sql, PQerrorMessage(conn));
    snprintf(text, 256, "%s", PQntuples(result) == 0 ? "" : PQgetvalue(result, 0, 0));
    PQclear(result);
}

static uint64_t query_lsn(PGconn *conn, const char *sql)
{
    char text[256];
    uint64_t lsn = 0;
    query_text(conn, text, sql);
    assert_true(lsn_parse(slice_of(text), &lsn));
    return lsn;
}

static PGconn *connect_to(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK) fail_msg("%s", PQerrorMessage(conn));
    PQsetNoticeProcessor(conn, NULL, NULL);
    return conn;
}

/* The given connection string with another database. */
static void build_url(const char *given, const char *database, char *url, size_t size)
{
    PQconninfoOption *options = PQconninfoParse(given, NULL);
    assert_non_null(options);
    size_t len = (size_t)snprintf(url, size, "dbname=%s", database);
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL || strcmp(option->keyword, "dbname") == 0) continue;
        len += (size_t)snprintf(url + len, size - len, " %s='%s'", option->keyword, option->val);
        assert_true(len < size);
    }
    PQconninfoFree(options);
}

static void database_of(const char *url, char name[NAME_LEN])
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    assert_non_null(options);
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, "dbname") == 0) snprintf(name, NAME_LEN, "%s", option->val);
    }
    PQconninfoFree(options);
}

static rd_kafka_t *make_client(const struct world *world, rd_kafka_type_t type, const struct kafka_property *properties,
                               size_t len)
{
    rd_kafka_conf_t *conf = kafka_conf_new(&world->kafka, properties, len);
    assert_non_null(conf);
    rd_kafka_t *client = kafka_client_new(type, conf);
    assert_non_null(client);
    return client;
}

static void make_topic(const struct world *world, const char *name, int partitions, const char *cleanup_policy,
                       const char *max_bytes)
{
    rd_kafka_t *client = make_client(world, RD_KAFKA_PRODUCER, NULL, 0);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, NULL, 0);
    rd_kafka_NewTopic_set_config(topic, "cleanup.policy", cleanup_policy);
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", max_bytes);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_S * 1000);
    size_t results_len = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &results_len);
    assert_int_equal(results_len, 1);
    assert_int_equal(rd_kafka_topic_result_error(results[0]), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_destroy(client);
}

static void make_slot(struct world *world)
{
    exec_on(world->db, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", world->name);
}

static void drop_slot(PGconn *conn, const char *name)
{
    exec_on(conn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '%s'", name);
}

static int set_up(void **state)
{
    static int count;
    const char *given = getenv("TEST_DATABASE_URL");
    char template[NAME_LEN];
    struct world *world = calloc(1, sizeof(*world));
    *state = world;
    assert_non_null(world);
    snprintf(world->name, NAME_LEN, "relay_%d_%d", (int)getpid(), ++count);
    snprintf(world->events, sizeof(world->events), "%s.events", world->name);
    snprintf(world->dead_letters, sizeof(world->dead_letters), "%s.dlq", world->name);
    snprintf(world->progress, sizeof(world->progress), "%s.prog", world->name);
    build_url(given, "postgres", world->url, sizeof(world->url));
    world->admin = connect_to(world->url); /* nobody may be in a template */
    build_url(given, world->name, world->url, sizeof(world->url));
    database_of(given, template);
    exec_on(world->admin, "CREATE DATABASE %s TEMPLATE %s", world->name, template);
    world->db = connect_to(world->url);
    make_slot(world);
    world->kafka.brokers = getenv("TEST_KAFKA_BROKERS");
    make_topic(world, world->events, 3, "delete", "1000000");
    make_topic(world, world->dead_letters, 1, "delete", "1000000");
    make_topic(world, world->progress, 2, "compact", "1000000");
    world->config = (struct relay_config){.database_url = world->url,
                                          .slot = world->name,
                                          .events_topic = world->events,
                                          .dead_letter_topic = world->dead_letters,
                                          .progress_topic = world->progress,
                                          .transactional_id = world->name,
                                          .kafka = &world->kafka};
    return 0;
}

static bool is_slot_free(const struct world *world)
{
    char text[256];
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT active FROM pg_replication_slots WHERE slot_name = '%s'", world->name);
    query_text(world->admin, text, sql);
    return strcmp(text, "t") != 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    relay_free(world->relay);
    relay_free(world->other);
    for (int i = 0; i < 2000 && !is_slot_free(world); i++) usleep(NAP_US);
    drop_slot(world->admin, world->name);
    PQfinish(world->db);
    exec_on(world->admin, "DROP DATABASE %s WITH (FORCE)", world->name);
    PQfinish(world->admin);
    free(world);
    return 0;
}

/* ---- waiting ---- */

static void wait_for(bool (*condition)(struct world *world, uint64_t arg), struct world *world, uint64_t arg,
                     const char *what)
{
    int64_t deadline_us = clock_steady_us() + (int64_t)DEADLINE_S * 1000000;
    while (!condition(world, arg)) {
        if (clock_steady_us() > deadline_us) fail_msg("waited in vain: %s", what);
        usleep(NAP_US);
    }
}

static bool has_state(struct world *world, uint64_t state)
{
    return relay_state(world->relay) == (enum relay_state)state;
}

static bool other_has_state(struct world *world, uint64_t state)
{
    return relay_state(world->other) == (enum relay_state)state;
}

static bool is_done(struct world *world, uint64_t arg)
{
    (void)arg;
    return relay_is_done(world->relay);
}

static bool slot_is_free(struct world *world, uint64_t arg)
{
    (void)arg;
    return is_slot_free(world);
}

static bool slot_confirmed(struct world *world, uint64_t lsn)
{
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '%s'", world->name);
    return query_lsn(world->admin, sql) >= lsn;
}

static void start(struct world *world)
{
    world->relay = relay_start(&world->config);
    assert_non_null(world->relay);
    wait_for(has_state, world, RELAY_ACTIVE, "the relay is active");
}

static void stop(struct world *world)
{
    relay_free(world->relay);
    world->relay = NULL;
    wait_for(slot_is_free, world, 0, "the slot is free");
}

/* Publishes all that is committed. */
static void drain(struct world *world)
{
    relay_drain(world->relay);
    wait_for(is_done, world, 0, "the relay is drained");
    stop(world);
}

/* ---- writing ---- */

static void emit_bytes(struct world *world, struct slice bytes)
{
    const char *values[] = {RECORD_WAL_PREFIX, bytes.data};
    const int lengths[] = {0, (int)bytes.len};
    const int formats[] = {0, 1};
    PGresult *result =
        PQexecParams(world->db, "SELECT pg_logical_emit_message(true, $1, $2::bytea)", 2, NULL, values, lengths, formats, 1);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
}

static void emit_record(struct world *world, const struct record *record)
{
    struct buf bytes;
    buf_init(&bytes, 32 << 20);
    record_pack(&bytes, record);
    assert_false(bytes.failed);
    emit_bytes(world, buf_slice(&bytes));
    buf_done(&bytes);
}

/* An event with the number as its value. */
static void emit_event(struct world *world, const char *key, int number)
{
    char value[16];
    snprintf(value, sizeof(value), "%d", number);
    struct record record = {.topic = RECORD_EVENT, .key = slice_of(key), .value = slice_of(value)};
    record_add_header(&record, SLICE("ce_id"), slice_of(value));
    emit_record(world, &record);
}

static void emit_events(struct world *world, const char *key, int from, int to)
{
    exec_on(world->db, "BEGIN");
    for (int number = from; number <= to; number++) emit_event(world, key, number);
    exec_on(world->db, "COMMIT");
}

/* ---- reading ---- */

struct received {
    rd_kafka_message_t **messages;
    size_t len;
};

static rd_kafka_t *make_reader(const struct world *world)
{
    static const struct kafka_property properties[] = {
        {"group.id", "test"},
        {"enable.auto.commit", "false"},
        {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"fetch.wait.max.ms", "20"},
    };
    rd_kafka_t *reader = make_client(world, RD_KAFKA_CONSUMER, properties, sizeof(properties) / sizeof(properties[0]));
    rd_kafka_poll_set_consumer(reader);
    return reader;
}

static int partitions_of(const struct world *world, const char *topic)
{
    return topic == world->events ? 3 : topic == world->progress ? 2 : 1;
}

/* Assigns the topic from its beginning; returns where its partitions end. */
static rd_kafka_topic_partition_list_t *assign(const struct world *world, rd_kafka_t *reader, const char *topic)
{
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_new(3);
    rd_kafka_topic_partition_list_add_range(ends, topic, 0, partitions_of(world, topic) - 1);
    for (int i = 0; i < ends->cnt; i++) ends->elems[i].offset = 0;
    assert_int_equal(rd_kafka_assign(reader, ends), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (int i = 0; i < ends->cnt; i++) {
        int64_t low;
        assert_int_equal(rd_kafka_query_watermark_offsets(reader, topic, i, &low, &ends->elems[i].offset, 10000), 0);
    }
    return ends;
}

/* Everything committed in the topic up to its present end, in the order of each partition. */
static struct received receive(const struct world *world, const char *topic)
{
    struct received received = {calloc(RECEIVED_MAX, sizeof(rd_kafka_message_t *)), 0};
    assert_non_null(received.messages);
    rd_kafka_t *reader = make_reader(world);
    rd_kafka_topic_partition_list_t *ends = assign(world, reader, topic);
    int64_t deadline_us = clock_steady_us() + (int64_t)DEADLINE_S * 1000000;
    for (int open = ends->cnt; open > 0;) {
        assert_true(clock_steady_us() < deadline_us);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 100);
        if (message == NULL) continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            assert_true(received.len < RECEIVED_MAX);
            received.messages[received.len++] = message;
            continue;
        }
        assert_int_equal(message->err, RD_KAFKA_RESP_ERR__PARTITION_EOF);
        int64_t *end = &ends->elems[message->partition].offset;
        if (*end >= 0 && message->offset >= *end) {
            *end = -1;
            open--;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(ends);
    /* The messages are copied out before the reader goes. */
    for (size_t i = 0; i < received.len; i++) {
        rd_kafka_message_t *message = received.messages[i];
        rd_kafka_headers_t *headers = NULL;
        rd_kafka_message_t *copy = calloc(1, sizeof(*copy));
        assert_non_null(copy);
        copy->key_len = message->key_len;
        copy->len = message->len;
        copy->key = message->key == NULL ? NULL : memcpy(malloc(message->key_len + 1), message->key, message->key_len);
        copy->payload = message->payload == NULL ? NULL : memcpy(malloc(message->len + 1), message->payload, message->len);
        if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            copy->_private = rd_kafka_headers_copy(headers);
        }
        rd_kafka_message_destroy(message);
        received.messages[i] = copy;
    }
    rd_kafka_destroy(reader);
    return received;
}

static void received_done(struct received *received)
{
    for (size_t i = 0; i < received->len; i++) {
        if (received->messages[i]->_private != NULL) rd_kafka_headers_destroy(received->messages[i]->_private);
        free(received->messages[i]->key);
        free(received->messages[i]->payload);
        free(received->messages[i]);
    }
    free(received->messages);
}

static struct slice value_of(const rd_kafka_message_t *message)
{
    return (struct slice){message->payload, message->len};
}

static void expect_header(const rd_kafka_message_t *message, size_t index, const char *name, struct slice value)
{
    const char *got_name;
    const void *got_value;
    size_t got_len;
    assert_non_null(message->_private);
    assert_int_equal(rd_kafka_header_get_all(message->_private, index, &got_name, &got_value, &got_len), 0);
    assert_string_equal(got_name, name);
    assert_int_equal(got_value == NULL, value.data == NULL);
    assert_true(slice_equal((struct slice){got_value, got_len}, value));
}

/* The topic holds the events of one key with the numbers from 1 to count, in order, once each. */
static void expect_events(const struct world *world, int count)
{
    struct received received = receive(world, world->events);
    assert_int_equal(received.len, count);
    for (int i = 0; i < count; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i + 1);
        assert_true(slice_equal(value_of(received.messages[i]), slice_of(value)));
    }
    received_done(&received);
}

static size_t count_records(const struct world *world, const char *topic)
{
    struct received received = receive(world, topic);
    size_t len = received.len;
    received_done(&received);
    return len;
}

/* ---- what it holds ---- */

static void publishes_each_committed_event_once_in_commit_order(void **state)
{
    struct world *world = *state;
    emit_events(world, "7", 1, 3);
    start(world);
    PGconn *late = connect_to(world->url);
    PGconn *early = world->db;
    exec_on(early, "BEGIN");
    emit_event(world, "7", 6);
    world->db = late;
    emit_events(world, "7", 4, 5);
    world->db = early;
    exec_on(early, "COMMIT");
    emit_event(world, "7", 7);
    drain(world);
    PQfinish(late);
    expect_events(world, 7);
}

static void keeps_key_headers_and_value(void **state)
{
    struct world *world = *state;
    start(world);
    struct record record = {.topic = RECORD_EVENT, .key = SLICE("42"), .value = SLICE("\0\x01 bytes")};
    record_add_header(&record, SLICE("content-type"), SLICE("application/protobuf"));
    record_add_header(&record, SLICE("empty"), SLICE(""));
    record_add_header(&record, SLICE("null"), (struct slice){NULL, 0});
    emit_record(world, &record);
    drain(world);
    struct received received = receive(world, world->events);
    assert_int_equal(received.len, 1);
    const rd_kafka_message_t *message = received.messages[0];
    assert_true(slice_equal((struct slice){message->key, message->key_len}, SLICE("42")));
    assert_true(slice_equal(value_of(message), SLICE("\0\x01 bytes")));
    assert_int_equal(rd_kafka_header_cnt(message->_private), 4); /* the last is commit-position */
    expect_header(message, 0, "content-type", SLICE("application/protobuf"));
    expect_header(message, 1, "empty", SLICE(""));
    expect_header(message, 2, "null", (struct slice){NULL, 0});
    received_done(&received);
}

static void dead_letters_go_to_their_own_topic(void **state)
{
    struct world *world = *state;
    start(world);
    struct record record = {.topic = RECORD_DEAD_LETTER, .value = SLICE("raw")};
    record_add_header(&record, SLICE("reason"), SLICE("test"));
    emit_record(world, &record);
    drain(world);
    assert_int_equal(count_records(world, world->events), 0);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 1);
    assert_null(received.messages[0]->key);
    assert_true(slice_equal(value_of(received.messages[0]), SLICE("raw")));
    received_done(&received);
}

static void a_message_that_is_no_record_becomes_a_dead_letter(void **state)
{
    struct world *world = *state;
    start(world);
    emit_bytes(world, SLICE("\x09 nonsense"));
    emit_event(world, "7", 1);
    drain(world);
    expect_events(world, 1);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 1);
    assert_true(slice_equal(value_of(received.messages[0]), SLICE("\x09 nonsense")));
    expect_header(received.messages[0], 0, "reason", SLICE("a WAL message that is no record"));
    received_done(&received);
}

static void publishes_nothing_of_rolled_back_and_foreign_transactions(void **state)
{
    struct world *world = *state;
    start(world);
    exec_on(world->db, "BEGIN");
    emit_event(world, "7", 99);
    exec_on(world->db, "ROLLBACK");
    exec_on(world->db, "SELECT pg_logical_emit_message(true, 'other', 'x')");
    exec_on(world->db, "SELECT pg_logical_emit_message(false, '%s', 'x')", RECORD_WAL_PREFIX);
    emit_event(world, "7", 1);
    drain(world);
    expect_events(world, 1);
    assert_int_equal(count_records(world, world->dead_letters), 0);
}

static void repeats_nothing_after_a_restart(void **state)
{
    struct world *world = *state;
    start(world);
    emit_events(world, "7", 1, 10);
    drain(world);
    emit_events(world, "7", 11, 20);
    start(world);
    drain(world);
    start(world);
    emit_events(world, "7", 21, 30);
    drain(world);
    expect_events(world, 30);
}

/* As after a kill -9 of PostgreSQL: the slot sends again what it had confirmed. */
static void skips_what_was_published_when_the_slot_goes_backwards(void **state)
{
    struct world *world = *state;
    char old[NAME_LEN + 8];
    snprintf(old, sizeof(old), "%s_old", world->name);
    exec_on(world->db, "SELECT pg_copy_logical_replication_slot('%s', '%s')", world->name, old);
    start(world);
    emit_events(world, "7", 1, 5);
    emit_events(world, "7", 6, 10);
    drain(world);
    drop_slot(world->db, world->name);
    exec_on(world->db, "SELECT pg_copy_logical_replication_slot('%s', '%s')", old, world->name);
    drop_slot(world->db, old);
    emit_events(world, "7", 11, 15);
    start(world);
    drain(world);
    expect_events(world, 15);
}

static void produce_progress(struct world *world, const char *lsn)
{
    char system[256];
    char key[512];
    query_text(world->db, system, "SELECT system_identifier FROM pg_control_system()");
    snprintf(key, sizeof(key), "%s/%s/%s", system, world->name, world->name);
    rd_kafka_t *producer = make_client(world, RD_KAFKA_PRODUCER, NULL, 0);
    rd_kafka_resp_err_t error = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(world->progress), RD_KAFKA_V_PARTITION(0),
                                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, strlen(key)),
                                                  RD_KAFKA_V_VALUE((void *)lsn, strlen(lsn)), RD_KAFKA_V_END);
    assert_int_equal(error, RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, 30000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
}

static void skips_exactly_up_to_the_progress_topic(void **state)
{
    struct world *world = *state;
    char text[LSN_TEXT_MAX];
    emit_events(world, "7", -10, -1);
    lsn_format(query_lsn(world->db, "SELECT pg_current_wal_insert_lsn()"), text);
    emit_events(world, "7", 1, 10);
    produce_progress(world, text);
    start(world);
    drain(world);
    expect_events(world, 10);
}

/* As after a restore from a snapshot: what the database writes next must not be taken for published. */
static void progress_ahead_of_the_wal_is_forgotten(void **state)
{
    struct world *world = *state;
    produce_progress(world, "FFFFFF/0");
    emit_events(world, "7", 1, 5);
    start(world);
    emit_events(world, "7", 6, 10);
    drain(world);
    expect_events(world, 10);
}

/* As after a failover to a server whose WAL is behind what was published, has no slot, and writes on beyond that. */
static void progress_of_an_earlier_slot_skips_nothing_of_the_next(void **state)
{
    struct world *world = *state;
    char text[LSN_TEXT_MAX];
    uint64_t here = query_lsn(world->db, "SELECT pg_current_wal_insert_lsn()");
    produce_progress(world, lsn_format(here + (1 << 20), text));
    exec_on(world->db, "INSERT INTO slot_generations VALUES ('%s', gen_random_uuid())", world->name);
    emit_events(world, "7", 1, 5);
    for (int i = 0; i < 2; i++) exec_on(world->db, "SELECT pg_logical_emit_message(false, 'other', 'x'), pg_switch_wal()");
    start(world);
    emit_events(world, "7", 6, 10);
    drain(world);
    expect_events(world, 10);
    start(world); /* what it publishes counts from then on */
    drain(world);
    expect_events(world, 10);
}

static void a_standby_takes_over(void **state)
{
    struct world *world = *state;
    start(world);
    world->other = relay_start(&world->config);
    assert_non_null(world->other);
    emit_events(world, "7", 1, 10);
    assert_int_equal(relay_state(world->other), RELAY_STANDBY);
    relay_free(world->relay);
    world->relay = NULL;
    emit_events(world, "7", 11, 20);
    wait_for(other_has_state, world, RELAY_ACTIVE, "the standby is active");
    world->relay = world->other;
    world->other = NULL;
    drain(world);
    expect_events(world, 20);
}

/* In the place of one of the relay's producers: it is fenced. */
static rd_kafka_t *displace(const struct world *world, int number)
{
    char id[NAME_LEN + 16];
    snprintf(id, sizeof(id), number == 0 ? "%s" : "%s.%d", world->name, number);
    const struct kafka_property properties[] = {{"transactional.id", id}};
    rd_kafka_t *producer = make_client(world, RD_KAFKA_PRODUCER, properties, 1);
    assert_null(rd_kafka_init_transactions(producer, DEADLINE_S * 1000));
    return producer;
}

static void leave_open(const struct world *world, rd_kafka_t *producer)
{
    assert_null(rd_kafka_begin_transaction(producer));
    rd_kafka_resp_err_t error = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(world->events), RD_KAFKA_V_KEY("7", 1),
                                                  RD_KAFKA_V_VALUE("left", 4), RD_KAFKA_V_END);
    assert_int_equal(error, RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void fences_every_producer_of_a_relay_before(void **state)
{
    struct world *world = *state;
    rd_kafka_t *before[PUBLISHER_PRODUCERS];
    for (int i = 0; i < PUBLISHER_PRODUCERS; i++) {
        before[i] = displace(world, i);
        leave_open(world, before[i]);
    }
    emit_events(world, "7", 1, 5);
    start(world);
    for (int i = 0; i < PUBLISHER_PRODUCERS; i++) {
        rd_kafka_error_t *error = rd_kafka_commit_transaction(before[i], DEADLINE_S * 1000);
        assert_non_null(error);
        rd_kafka_error_destroy(error);
        rd_kafka_destroy(before[i]);
    }
    emit_events(world, "7", 6, 10);
    drain(world);
    expect_events(world, 10);
}

/* Each producer in turn fails, whichever has its turn. */
static void nothing_is_published_past_a_transaction_that_fails(void **state)
{
    enum { EACH = 3, EVENTS = 20 };
    struct world *world = *state;
    int number = 0;
    start(world);
    for (int i = 0; i < EACH * PUBLISHER_PRODUCERS; i++) {
        rd_kafka_destroy(displace(world, i % PUBLISHER_PRODUCERS));
        for (int end = number + EVENTS; number < end; number++) emit_event(world, "7", number + 1);
        wait_for(slot_confirmed, world, query_lsn(world->db, "SELECT pg_current_wal_flush_lsn()"), "all is published");
    }
    drain(world);
    expect_events(world, number);
}

static bool other_is_done(struct world *world, uint64_t arg)
{
    (void)arg;
    return relay_is_done(world->other);
}

static void draining_a_standby_ends_it_at_once(void **state)
{
    struct world *world = *state;
    start(world);
    world->other = relay_start(&world->config);
    assert_non_null(world->other);
    relay_drain(world->other);
    wait_for(other_is_done, world, 0, "the standby has ended");
    assert_int_equal(relay_state(world->relay), RELAY_ACTIVE);
}

static void publishes_a_large_transaction(void **state)
{
    struct world *world = *state;
    start(world);
    emit_events(world, "7", 1, 20000);
    drain(world);
    expect_events(world, 20000);
}

/* So slow that a transaction of Kafka takes 250 events before it has been open for five seconds, and may be open for eight. */
static const struct kafka_property slow[] = {
    {"queue.buffering.max.messages", "10"}, {"linger.ms", "200"},
    {"message.timeout.ms", "8000"},         {"socket.timeout.ms", "8000"},
    {"transaction.timeout.ms", "8000"},
};

static void slow_down(struct world *world)
{
    world->kafka.properties = slow;
    world->kafka.properties_len = sizeof(slow) / sizeof(slow[0]);
}

static void a_transaction_that_takes_long_is_published_in_parts(void **state)
{
    struct world *world = *state;
    slow_down(world);
    start(world);
    emit_events(world, "7", 1, 500);
    drain(world);
    expect_events(world, 500);
    assert_true(count_records(world, world->progress) >= 4); /* one begins each part, one ends it */
}

static bool is_published_in_part(struct world *world, uint64_t arg)
{
    (void)arg;
    bool found = false;
    struct received received = receive(world, world->progress);
    for (size_t i = 0; i < received.len; i++) {
        const void *records;
        size_t len;
        rd_kafka_headers_t *headers = received.messages[i]->_private;
        found = found || (headers != NULL && rd_kafka_header_get_last(headers, "commit-records", &records, &len) == 0);
    }
    received_done(&received);
    return found;
}

static void goes_on_inside_a_transaction_that_was_published_in_part(void **state)
{
    struct world *world = *state;
    emit_events(world, "7", 1, 5);
    slow_down(world);
    start(world);
    emit_events(world, "7", 6, 1000);
    wait_for(is_published_in_part, world, 0, "a part is published");
    stop(world);
    world->kafka.properties_len = 0;
    start(world);
    emit_events(world, "7", 1001, 1010);
    drain(world);
    expect_events(world, 1010);
}

/* ---- what Kafka refuses ---- */

/* A topic in place of the given one, which is empty still. */
static void replace_topic(struct world *world, char *name, int partitions, const char *cleanup_policy, const char *max_bytes)
{
    strcat(name, "2");
    make_topic(world, name, partitions, cleanup_policy, max_bytes);
}

/* Lowers max.message.bytes of a topic that is in use. */
static void alter_topic(const struct world *world, const char *name, const char *max_bytes)
{
    rd_kafka_t *client = make_client(world, RD_KAFKA_PRODUCER, NULL, 0);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_ConfigResource_set_config(resource, "max.message.bytes", max_bytes);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AlterConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_S * 1000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

/* Bytes that no compression makes fewer. The caller frees them. */
static struct slice random_bytes(size_t len)
{
    uint64_t state = 88172645463325252;
    char *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (char)state;
    }
    return (struct slice){bytes, len};
}

static void emit_large(struct world *world, enum record_topic topic, struct slice key, size_t len)
{
    struct slice value = random_bytes(len);
    struct record record;
    record_start(&record, topic, key, value);
    record_add_header(&record, SLICE("content-type"), SLICE("application/protobuf"));
    record_add_header(&record, SLICE("ce_type"), SLICE("schedules.v1.ScheduleCreated"));
    record_add_header(&record, SLICE("dead-letter-topic"), SLICE("commands"));
    record_add_header(&record, SLICE("dead-letter-partition"), SLICE("3"));
    record_add_header(&record, SLICE("dead-letter-offset"), SLICE("17"));
    emit_record(world, &record);
    free((char *)(uintptr_t)value.data);
}

static struct slice header_of(const rd_kafka_message_t *message, const char *name)
{
    struct slice value = {NULL, 0};
    const void *data = NULL;
    if (message->_private != NULL) rd_kafka_header_get_last(message->_private, name, &data, &value.len);
    value.data = data;
    return value;
}

/* The events of one key with the numbers from 1 to count, in order, once each, and behind number `after` one that tells of another. */
static void expect_events_and_one_that_is_told(const struct world *world, int count, int after)
{
    struct received received = receive(world, world->events);
    assert_int_equal(received.len, count + 1);
    for (int i = 0, number = 1; i <= count; i++) {
        char value[16];
        bool is_told = slice_equal(header_of(received.messages[i], "ce_type"), SLICE("schedules.v1.EventUnpublishable"));
        assert_int_equal(is_told, i == after);
        snprintf(value, sizeof(value), "%d", number);
        if (is_told) continue;
        assert_true(slice_equal(value_of(received.messages[i]), slice_of(value)));
        number++;
    }
    received_done(&received);
}

static void an_event_that_the_topic_does_not_take_is_told_in_its_place(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->events, 3, "delete", "20000");
    start(world);
    exec_on(world->db, "BEGIN");
    for (int number = 1; number <= 10; number++) {
        emit_event(world, "7", number);
        if (number == 4) emit_large(world, RECORD_EVENT, SLICE("7"), 30000);
    }
    exec_on(world->db, "COMMIT");
    drain(world);
    expect_events_and_one_that_is_told(world, 10, 4);
}

/* What the topic takes was read before. */
static void a_refused_event_is_found_among_its_neighbours(void **state)
{
    struct world *world = *state;
    start(world);
    alter_topic(world, world->events, "5000");
    exec_on(world->db, "BEGIN");
    for (int number = 1; number <= 300; number++) {
        emit_event(world, "7", number);
        if (number == 200) emit_large(world, RECORD_EVENT, SLICE("7"), 10000);
    }
    exec_on(world->db, "COMMIT");
    drain(world);
    expect_events_and_one_that_is_told(world, 300, 200);
}

static void small_events_fit_into_a_topic_that_takes_no_large_batches(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->events, 3, "delete", "1000");
    start(world);
    emit_events(world, "7", 1, 2000);
    drain(world);
    expect_events(world, 2000);
}

static void a_dead_letter_that_is_too_large_is_cut(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->dead_letters, 1, "delete", "20000");
    start(world);
    emit_event(world, "7", 1);
    emit_large(world, RECORD_DEAD_LETTER, SLICE("key"), 30000);
    emit_event(world, "7", 2);
    drain(world);
    expect_events(world, 2);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 1);
    assert_true(slice_equal(header_of(received.messages[0], "dead-letter-value-bytes"), SLICE("30000")));
    assert_true(received.messages[0]->len > 10000);
    received_done(&received);
}

/* A compacted topic takes no record without a key, and says so of the whole batch. */
static void a_dead_letter_whose_form_is_refused_gets_a_key(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->dead_letters, 1, "compact", "1000000");
    start(world);
    exec_on(world->db, "BEGIN");
    for (int number = 1; number <= 40; number++) {
        emit_event(world, "7", number);
        if (number % 10 == 0) emit_large(world, RECORD_DEAD_LETTER, (struct slice){NULL, 0}, 100);
    }
    exec_on(world->db, "COMMIT");
    drain(world);
    expect_events(world, 40);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 4);
    for (size_t i = 0; i < received.len; i++) {
        const rd_kafka_message_t *letter = received.messages[i];
        assert_true(slice_equal((struct slice){letter->key, letter->key_len}, SLICE("commands/3/17")));
        assert_int_equal(letter->len, 100);
    }
    received_done(&received);
}

/* librdkafka refuses it before any broker does. */
static void a_record_larger_than_the_producer_takes_is_cut(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->dead_letters, 1, "delete", "20000000");
    start(world);
    emit_large(world, RECORD_DEAD_LETTER, SLICE("key"), 17000000);
    emit_event(world, "7", 1);
    drain(world);
    expect_events(world, 1);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 1);
    assert_true(slice_equal(header_of(received.messages[0], "dead-letter-value-bytes"), SLICE("17000000")));
    assert_true(received.messages[0]->len > 15000000);
    received_done(&received);
}

static void foreign_wal_moves_the_idle_slot(void **state)
{
    struct world *world = *state;
    start(world);
    exec_on(world->admin, "CREATE TEMPORARY TABLE foreign_rows AS SELECT generate_series(1, 1000) AS n");
    exec_on(world->db, "CREATE TABLE unpublished AS SELECT generate_series(1, 50000) AS n");
    exec_on(world->db, "UPDATE unpublished SET n = n + 1");
    uint64_t lsn = query_lsn(world->db, "SELECT pg_current_wal_flush_lsn()");
    wait_for(slot_confirmed, world, lsn, "the slot has confirmed foreign WAL");
    assert_int_equal(relay_lag_bytes(world->relay), 0);
}

static void a_missing_slot_is_told_and_looked_for_again(void **state)
{
    struct world *world = *state;
    exec_on(world->db, "SELECT begin_slot_generation('%s')",
            world->name); /* as migrate does; else the name is taken for mistaken */
    drop_slot(world->db, world->name);
    world->relay = relay_start(&world->config);
    assert_non_null(world->relay);
    wait_for(has_state, world, RELAY_SLOT_LOST, "the relay says that the slot is lost");
    make_slot(world);
    wait_for(has_state, world, RELAY_ACTIVE, "the relay has found the slot");
    emit_event(world, "7", 1);
    drain(world);
    expect_events(world, 1);
}

static void begins_anew_when_the_connection_is_cut(void **state)
{
    struct world *world = *state;
    start(world);
    for (int i = 0; i < 3; i++) {
        emit_events(world, "7", i * 10 + 1, i * 10 + 5);
        exec_on(world->admin, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '%s'",
                world->name);
        emit_events(world, "7", i * 10 + 6, i * 10 + 10);
    }
    wait_for(has_state, world, RELAY_ACTIVE, "the relay is active again");
    drain(world);
    expect_events(world, 30);
}

/* Above all between the first record of a Kafka transaction and its end: librdkafka 2.0.2 could end the process there. */
static void may_be_stopped_at_any_moment(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 20; i++) {
        start(world);
        emit_events(world, "7", i * 500 + 1, i * 500 + 500);
        int64_t stop_us = clock_steady_us() + i * 200;
        while (clock_steady_us() < stop_us) continue;
        stop(world);
    }
    start(world);
    drain(world);
    expect_events(world, 10000);
}

static void stops_soon_while_kafka_is_away(void **state)
{
    struct world *world = *state;
    world->kafka.brokers = "127.0.0.1:1";
    emit_event(world, "7", 1);
    world->relay = relay_start(&world->config);
    assert_non_null(world->relay);
    char sql[256];
    char text[256] = "";
    snprintf(sql, sizeof(sql), "SELECT active FROM pg_replication_slots WHERE slot_name = '%s'", world->name);
    for (int i = 0; i < 2000 && strcmp(text, "t") != 0; i++) {
        query_text(world->admin, text, sql);
        usleep(NAP_US);
    }
    int64_t start_us = clock_steady_us();
    stop(world);
    assert_true(clock_steady_us() - start_us < 5000000);
    world->kafka.brokers = getenv("TEST_KAFKA_BROKERS");
    start(world);
    drain(world);
    expect_events(world, 1);
}

static void stops_soon_while_postgresql_is_away(void **state)
{
    struct world *world = *state;
    world->config.database_url = "host=127.0.0.1 port=1 dbname=none";
    world->relay = relay_start(&world->config);
    assert_non_null(world->relay);
    int64_t start_us = clock_steady_us();
    relay_free(world->relay);
    world->relay = NULL;
    assert_true(clock_steady_us() - start_us < 2000000);
}

int main(void)
{
    if (getenv("TEST_DATABASE_URL") == NULL || getenv("TEST_KAFKA_BROKERS") == NULL) {
        fputs("test_relay needs TEST_DATABASE_URL and TEST_KAFKA_BROKERS\n", stderr);
        return 1;
    }
    log_configure((enum log_level)(LOG_LEVEL_ERROR + (getenv("TEST_LOG") == NULL ? 1 : -2)), false);
    cmocka_set_test_filter(getenv("TEST_ONLY")); /* a name, * and ? stand for others */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(publishes_each_committed_event_once_in_commit_order),
        TEST(keeps_key_headers_and_value),
        TEST(dead_letters_go_to_their_own_topic),
        TEST(a_message_that_is_no_record_becomes_a_dead_letter),
        TEST(publishes_nothing_of_rolled_back_and_foreign_transactions),
        TEST(repeats_nothing_after_a_restart),
        TEST(skips_what_was_published_when_the_slot_goes_backwards),
        TEST(skips_exactly_up_to_the_progress_topic),
        TEST(progress_ahead_of_the_wal_is_forgotten),
        TEST(progress_of_an_earlier_slot_skips_nothing_of_the_next),
        TEST(a_standby_takes_over),
        TEST(fences_every_producer_of_a_relay_before),
        TEST(nothing_is_published_past_a_transaction_that_fails),
        TEST(draining_a_standby_ends_it_at_once),
        TEST(publishes_a_large_transaction),
        TEST(a_transaction_that_takes_long_is_published_in_parts),
        TEST(goes_on_inside_a_transaction_that_was_published_in_part),
        TEST(an_event_that_the_topic_does_not_take_is_told_in_its_place),
        TEST(a_refused_event_is_found_among_its_neighbours),
        TEST(small_events_fit_into_a_topic_that_takes_no_large_batches),
        TEST(a_dead_letter_that_is_too_large_is_cut),
        TEST(a_dead_letter_whose_form_is_refused_gets_a_key),
        TEST(a_record_larger_than_the_producer_takes_is_cut),
        TEST(foreign_wal_moves_the_idle_slot),
        TEST(a_missing_slot_is_told_and_looked_for_again),
        TEST(begins_anew_when_the_connection_is_cut),
        TEST(may_be_stopped_at_any_moment),
        TEST(stops_soon_while_kafka_is_away),
        TEST(stops_soon_while_postgresql_is_away),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
