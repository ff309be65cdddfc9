/* The world of a test of the relay: a copy of the database, a slot and topics of its own, which it drops. TEST_DATABASE_URL names a
 * superuser's database, which `schedule-service migrate` made, on a server with wal_level=logical; TEST_KAFKA_BROKERS a broker. */
#ifndef TEST_RELAY_SUPPORT_H
#define TEST_RELAY_SUPPORT_H

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

static inline void exec_on(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void exec_on(PGconn *conn, const char *format, ...)
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
static inline void query_text(PGconn *conn, char text[256], const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) fail_msg("%s: %s", sql, PQerrorMessage(conn));
    snprintf(text, 256, "%s", PQntuples(result) == 0 ? "" : PQgetvalue(result, 0, 0));
    PQclear(result);
}

static inline uint64_t query_lsn(PGconn *conn, const char *sql)
{
    char text[256];
    uint64_t lsn = 0;
    query_text(conn, text, sql);
    assert_true(lsn_parse(slice_of(text), &lsn));
    return lsn;
}

static inline PGconn *connect_to(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK) fail_msg("%s", PQerrorMessage(conn));
    PQsetNoticeProcessor(conn, NULL, NULL);
    return conn;
}

/* The given connection string with another database. */
static inline void build_url(const char *given, const char *database, char *url, size_t size)
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

static inline void database_of(const char *url, char name[NAME_LEN])
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    assert_non_null(options);
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, "dbname") == 0) snprintf(name, NAME_LEN, "%s", option->val);
    }
    PQconninfoFree(options);
}

static inline rd_kafka_t *make_client(const struct world *world, rd_kafka_type_t type,
                                      const struct kafka_property *properties, size_t len)
{
    rd_kafka_conf_t *conf = kafka_conf_new(&world->kafka, properties, len);
    assert_non_null(conf);
    rd_kafka_t *client = kafka_client_new(type, conf);
    assert_non_null(client);
    return client;
}

static inline void make_topic(const struct world *world, const char *name, int partitions, const char *cleanup_policy,
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

static inline void make_slot(struct world *world)
{
    exec_on(world->db, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", world->name);
}

static inline void drop_slot(PGconn *conn, const char *name)
{
    exec_on(conn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '%s'", name);
}

static inline int set_up(void **state)
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

static inline bool is_slot_free(const struct world *world)
{
    char text[256];
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT active FROM pg_replication_slots WHERE slot_name = '%s'", world->name);
    query_text(world->admin, text, sql);
    return strcmp(text, "t") != 0;
}

static inline int tear_down(void **state)
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

static inline void wait_for(bool (*condition)(struct world *world, uint64_t arg), struct world *world, uint64_t arg,
                            const char *what)
{
    int64_t deadline_us = clock_steady_us() + (int64_t)DEADLINE_S * 1000000;
    while (!condition(world, arg)) {
        if (clock_steady_us() > deadline_us) fail_msg("waited in vain: %s", what);
        usleep(NAP_US);
    }
}

static inline bool has_state(struct world *world, uint64_t state)
{
    return relay_state(world->relay) == (enum relay_state)state;
}

static inline bool other_has_state(struct world *world, uint64_t state)
{
    return relay_state(world->other) == (enum relay_state)state;
}

static inline bool is_done(struct world *world, uint64_t arg)
{
    (void)arg;
    return relay_is_done(world->relay);
}

static inline bool slot_is_free(struct world *world, uint64_t arg)
{
    (void)arg;
    return is_slot_free(world);
}

static inline bool slot_confirmed(struct world *world, uint64_t lsn)
{
    char sql[256];
    snprintf(sql, sizeof(sql), "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '%s'", world->name);
    return query_lsn(world->admin, sql) >= lsn;
}

static inline void start(struct world *world)
{
    world->relay = relay_start(&world->config);
    assert_non_null(world->relay);
    wait_for(has_state, world, RELAY_ACTIVE, "the relay is active");
}

static inline void stop(struct world *world)
{
    relay_free(world->relay);
    world->relay = NULL;
    wait_for(slot_is_free, world, 0, "the slot is free");
}

/* Publishes all that is committed. */
static inline void drain(struct world *world)
{
    relay_drain(world->relay);
    wait_for(is_done, world, 0, "the relay is drained");
    stop(world);
}

/* ---- writing ---- */

static inline void emit_bytes(struct world *world, struct slice bytes)
{
    const char *values[] = {RECORD_WAL_PREFIX, bytes.data};
    const int lengths[] = {0, (int)bytes.len};
    const int formats[] = {0, 1};
    PGresult *result =
        PQexecParams(world->db, "SELECT pg_logical_emit_message(true, $1, $2::bytea)", 2, NULL, values, lengths, formats, 1);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
}

static inline void emit_record(struct world *world, const struct record *record)
{
    struct buf bytes;
    buf_init(&bytes, 32 << 20);
    record_pack(&bytes, record);
    assert_false(bytes.failed);
    emit_bytes(world, buf_slice(&bytes));
    buf_done(&bytes);
}

/* An event with the number as its value. */
static inline void emit_event(struct world *world, const char *key, int number)
{
    char value[16];
    snprintf(value, sizeof(value), "%d", number);
    struct record record = {.topic = RECORD_EVENT, .key = slice_of(key), .value = slice_of(value)};
    record_add_header(&record, SLICE("ce_id"), slice_of(value));
    emit_record(world, &record);
}

static inline void emit_events(struct world *world, const char *key, int from, int to)
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

static inline rd_kafka_t *make_reader(const struct world *world)
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

static inline int partitions_of(const struct world *world, const char *topic)
{
    return topic == world->events ? 3 : topic == world->progress ? 2 : 1;
}

/* Assigns the topic from its beginning; returns where its partitions end. */
static inline rd_kafka_topic_partition_list_t *assign(const struct world *world, rd_kafka_t *reader, const char *topic)
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
static inline struct received receive(const struct world *world, const char *topic)
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

static inline void received_done(struct received *received)
{
    for (size_t i = 0; i < received->len; i++) {
        if (received->messages[i]->_private != NULL) rd_kafka_headers_destroy(received->messages[i]->_private);
        free(received->messages[i]->key);
        free(received->messages[i]->payload);
        free(received->messages[i]);
    }
    free(received->messages);
}

static inline struct slice value_of(const rd_kafka_message_t *message)
{
    return (struct slice){message->payload, message->len};
}

static inline void expect_header(const rd_kafka_message_t *message, size_t index, const char *name, struct slice value)
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
static inline void expect_events(const struct world *world, int count)
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

static inline size_t count_records(const struct world *world, const char *topic)
{
    struct received received = receive(world, topic);
    size_t len = received.len;
    received_done(&received);
    return len;
}

static inline int run_relay_tests(const char *name, const struct CMUnitTest *tests, size_t count)
{
    if (getenv("TEST_DATABASE_URL") == NULL || getenv("TEST_KAFKA_BROKERS") == NULL) {
        fprintf(stderr, "%s needs TEST_DATABASE_URL and TEST_KAFKA_BROKERS\n", name);
        return 1;
    }
    log_configure((enum log_level)(LOG_LEVEL_ERROR + (getenv("TEST_LOG") == NULL ? 1 : -2)), false);
    cmocka_set_test_filter(getenv("TEST_ONLY")); /* a name, * and ? stand for others */
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

#define RELAY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
