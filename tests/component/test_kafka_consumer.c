/* What becomes of the messages that the Kafka consumer takes, how consumers share them, and how many it takes at once. */
#include "kafka_consumer_support.h"

#include <jansson.h>

#include "consumer/kafka_consumer_state.h"
#include "failing_malloc.h"

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

static void completes_every_message_by_exactly_one_outcome(void **state)
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
    start_consumer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 12);
    RUN_UNTIL(world->base, kafka_consumer_pending(world->consumer) == 0);
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
        struct remote consumer = remote_start(world);
        WAIT_UNTIL(stored_offsets(world) == (int64_t)(round + 1) * 400);
        if (round == 1) remote_kill(&consumer);
        else remote_stop(&consumer);
    }
    expect_rows_and_events(world, 1200);
    /* The group's own offsets were committed when the last consumer left. */
    rd_kafka_t *client =
        make_client(world, RD_KAFKA_CONSUMER, (const struct kafka_property[]){{"group.id", world->topic}}, 1);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, world->topic, 0);
    assert_int_equal(rd_kafka_committed(client, list, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(list->elems[0].offset, 600);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(client);
}

static void two_consumers_split_the_partitions_and_store_nothing_twice(void **state)
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

static void takes_no_more_than_its_maximum_while_the_database_is_busy(void **state)
{
    enum { COUNT = 20000, MORE_THAN_ITS_MAXIMUM = 6000 };
    struct world *world = *state;
    make_topic(world, 1);
    produce_commands(world, 0, 1, COUNT);
    close_producer(world);
    PGconn *blocker = connect_to(getenv("TEST_DATABASE_URL"));
    execute(blocker, "BEGIN; LOCK TABLE schedules IN ACCESS EXCLUSIVE MODE");
    start_consumer(world);
    /* Full when nothing more is taken for four seconds: it has paused meanwhile, and polls for the group's sake. */
    size_t taken = 0;
    int64_t since_us = clock_steady_us();
    while (taken == 0 || clock_steady_us() - since_us < 4000000) {
        event_base_loop(world->base, EVLOOP_ONCE);
        assert_true(kafka_consumer_pending(world->consumer) < MORE_THAN_ITS_MAXIMUM);
        if (kafka_consumer_pending(world->consumer) == taken) continue;
        taken = kafka_consumer_pending(world->consumer);
        since_us = clock_steady_us();
    }
    execute(blocker, "COMMIT");
    PQfinish(blocker);
    RUN_UNTIL(world->base, stored_offset(world, 0) == COUNT);
    expect_rows_and_events(world, COUNT);
}

/* Each round completes a good command, one that the database refuses, one that breaks rules and one that is none, while one more of
 * the allocations fails than in the round before. */
static void each_allocation_may_fail_once(void **state)
{
    enum { MESSAGES = 4 };
    struct world *world = *state;
    struct seen seen = {0};
    size_t rounds = 0;
    json_set_alloc_funcs(failing_malloc_never, free); /* see tests/unit/test_allocation.c */
    make_topic(world, 1);
    start_consumer(world);
    for (bool failed = true; failed; rounds++) {
        produce_command(world, 0, 2 * rounds, USER, "good");
        produce_command(world, 0, 2 * rounds + 1, STRANGER, "stranger");
        produce(world, 0, SLICE("{\"name\":5}"), "content-type", "application/json");
        produce(world, 0, SLICE("{\"na"), "content-type", "application/json");
        failing_malloc_arm(rounds + 1);
        RUN_UNTIL(world->base, stored_offset(world, 0) == (int64_t)(rounds + 1) * MESSAGES);
        RUN_UNTIL(world->base, kafka_consumer_pending(world->consumer) == 0);
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

/* More than the consumer takes at once wait behind the one. */
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
    start_consumer(world);
    RUN_UNTIL(world->base,
              stored_offset(world, 0) == 5 && kafka_consumer_pending(world->consumer) == 1); /* the rest was given back */
    produce_commands(world, 1, COUNT + 2, COUNT - 1);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, 1) == COUNT);
    assert_int_equal(rows(world), COUNT + 5);
    RUN_UNTIL(world->base, kafka_consumer_pending(world->consumer) == 1);
    execute(world->db, "DROP FUNCTION in_the_way CASCADE");
    RUN_UNTIL(world->base, stored_offset(world, 0) == COUNT);
    expect_rows_and_events(world, 2 * COUNT);
}

static void a_consumer_that_ends_does_not_wait_for_a_partition_that_waits(void **state)
{
    struct world *world = *state;
    make_topic(world, 1);
    execute(world->db, "INSERT INTO command_offsets VALUES ('%s', 0, 0)", world->topic);
    produce_commands(world, 0, 1, 3);
    close_producer(world);
    PGconn *holder = connect_to(getenv("TEST_DATABASE_URL"));
    execute(holder, "BEGIN; LOCK TABLE schedules IN ACCESS EXCLUSIVE MODE");
    start_consumer(world);
    RUN_UNTIL(world->base, metric_value("schedule_partitions_waiting{purpose=\"commands\"}") == 1);
    stop_consumer(world);
    PQfinish(holder);
    assert_int_equal(rows(world), 0);
    assert_int_equal(stored_offset(world, 0), 0);
}

/* They come when the group is being left: librdkafka may answer nothing any more then. */
static void an_assignment_that_waits_for_its_offsets_ends_with_the_consumer(void **state)
{
    struct world *world = *state;
    make_topic(world, 1);
    start_consumer(world);
    RUN_UNTIL(world->base, world->consumer->is_loading);
    kafka_consumer_drain(world->consumer);
    RUN_UNTIL(world->base, world->consumer->partitions[0].fetching || rd_kafka_consumer_closed(world->consumer->client));
    assert_false(world->consumer->partitions[0].fetching);
    stop_consumer(world);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", "TEST_KAFKA_BROKERS", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(completes_every_message_by_exactly_one_outcome),
        TEST(continues_where_it_stopped),
        TEST(two_consumers_split_the_partitions_and_store_nothing_twice),
        TEST(takes_no_more_than_its_maximum_while_the_database_is_busy),
        TEST(a_partition_that_waits_takes_no_room_from_others),
        TEST(a_consumer_that_ends_does_not_wait_for_a_partition_that_waits),
        TEST(an_assignment_that_waits_for_its_offsets_ends_with_the_consumer),
        TEST(each_allocation_may_fail_once),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
