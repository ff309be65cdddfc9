/* Where the Kafka consumer goes on: stored offsets that are moved or outside of the log, and transactions, whose records no one is to read. */
#include "kafka_consumer_support.h"

static void reads_again_from_an_offset_that_was_set_back(void **state)
{
    struct world *world = *state;
    make_topic(world, 1);
    produce_commands(world, 0, 1, 50);
    start_consumer(world);
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
    start_consumer(world);
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
    start_consumer(world);
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
    kafka_consumer_degraded(world->consumer, &degraded);
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
    start_consumer(world);
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
    start_consumer(world);
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
    struct remote consumer = remote_start(world);
    WAIT_UNTIL(stored_offset(world, 0) == 2 && stored_offset(world, 1) == 2);
    remote_stop(&consumer);
    delete_records(world, 0, 2);
    delete_records(world, 1, 2);
    start_consumer(world);
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
    start_consumer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 1);
    RUN_UNTIL(world->base, metric_value("schedule_consumer_lag") == 1);
    for (int turns = 0; turns < 300; turns++) event_base_loop(world->base, EVLOOP_ONCE); /* many ticks */
    assert_int_equal(stored_offset(world, 0), 1);
    assert_null(rd_kafka_commit_transaction(world->producer, DEADLINE_S * 1000));
    RUN_UNTIL(world->base, stored_offset(world, 0) == 3);
    expect_rows_and_events(world, 2);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", "TEST_KAFKA_BROKERS", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(reads_again_from_an_offset_that_was_set_back),
        TEST(skips_nothing_when_the_offset_is_set_back_under_load),
        TEST(goes_on_when_its_offset_row_vanished),
        TEST(a_stored_offset_outside_of_the_log_stops_that_partition_only),
        TEST(takes_committed_transactions_only),
        TEST(goes_on_behind_control_records_that_retention_removed),
        TEST(waits_for_a_transaction_that_is_open),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
