/* The relay against a real PostgreSQL and a real Kafka: order, restarts, take-over, stopping. */
#include "relay_support.h"

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
    const struct CMUnitTest tests[] = {
        RELAY_TEST(publishes_each_committed_event_once_in_commit_order),
        RELAY_TEST(keeps_key_headers_and_value),
        RELAY_TEST(dead_letters_go_to_their_own_topic),
        RELAY_TEST(a_message_that_is_no_record_becomes_a_dead_letter),
        RELAY_TEST(publishes_nothing_of_rolled_back_and_foreign_transactions),
        RELAY_TEST(repeats_nothing_after_a_restart),
        RELAY_TEST(skips_what_was_published_when_the_slot_goes_backwards),
        RELAY_TEST(skips_exactly_up_to_the_progress_topic),
        RELAY_TEST(progress_ahead_of_the_wal_is_forgotten),
        RELAY_TEST(progress_of_an_earlier_slot_skips_nothing_of_the_next),
        RELAY_TEST(a_standby_takes_over),
        RELAY_TEST(fences_every_producer_of_a_relay_before),
        RELAY_TEST(nothing_is_published_past_a_transaction_that_fails),
        RELAY_TEST(draining_a_standby_ends_it_at_once),
        RELAY_TEST(publishes_a_large_transaction),
        RELAY_TEST(a_transaction_that_takes_long_is_published_in_parts),
        RELAY_TEST(goes_on_inside_a_transaction_that_was_published_in_part),
        RELAY_TEST(foreign_wal_moves_the_idle_slot),
        RELAY_TEST(a_missing_slot_is_told_and_looked_for_again),
        RELAY_TEST(begins_anew_when_the_connection_is_cut),
        RELAY_TEST(may_be_stopped_at_any_moment),
        RELAY_TEST(stops_soon_while_kafka_is_away),
        RELAY_TEST(stops_soon_while_postgresql_is_away),
    };
    return run_relay_tests("relay", tests, sizeof(tests) / sizeof(tests[0]));
}
