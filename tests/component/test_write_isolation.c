/* What cannot go on holds back only its own: the writer against a real PostgreSQL in which somebody holds locks, or which refuses,
 * fails or delays some rows. TEST_DATABASE_URL as in test_writer.c. */
#include "writer_support.h"

enum { PARTITIONS = 3 };

static const struct slice in_the_way = {"in the way", 10};

static int set_up_isolation(void **state)
{
    set_up_without_writer(state);
    struct world *world = *state;
    execute(world->db, "DROP FUNCTION IF EXISTS in_the_way CASCADE");
    start_writer(world, getenv("TEST_DATABASE_URL"));
    assert_non_null(world->writer);
    RUN_UNTIL(world->base, writer_http_is_ready(world->writer));
    return 0;
}

/* Every write of a row of that name meets the statement. */
static void stand_in_the_way(struct world *world, const char *table, const char *statement)
{
    execute(world->db,
            "CREATE FUNCTION in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = '%s' THEN %s; END IF; "
            "RETURN NEW; END $$",
            in_the_way.data, statement);
    execute(world->db, "CREATE TRIGGER in_the_way BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION in_the_way()",
            table);
}

static void go_out_of_the_way(struct world *world)
{
    execute(world->db, "DROP FUNCTION in_the_way CASCADE");
}

/* Holds the row of the user, as a default schedule needs it. */
static PGconn *hold_user(int user_id)
{
    PGconn *holder = connect_to(getenv("TEST_DATABASE_URL"));
    execute(holder, "BEGIN");
    execute(holder, "SELECT FROM users WHERE id = %d FOR UPDATE", user_id);
    return holder;
}

static void make_partitions(struct partition partitions[PARTITIONS])
{
    for (int i = 0; i < PARTITIONS; i++) partitions[i] = (struct partition){.topic = "commands", .number = i};
}

/* Of the user whose row somebody holds. */
static void make_held(struct test_write *test)
{
    test->pending_write.command.schedule.is_default = true;
}

static void make_other(struct test_write *test)
{
    test->pending_write.command.user_id = OTHER_USER;
}

static int done_of(const struct test_write *tests, size_t len)
{
    int done = 0;
    for (size_t i = 0; i < len; i++) done += tests[i].done;
    return done;
}

/* Which of the writes come next in the order of the commits. */
struct order {
    const struct test_write *tests;
    size_t len;
    size_t seen;
};

static void see_order(void *ctx, const struct record *record)
{
    struct order *order = ctx;
    char id[24];
    if (order->seen == order->len) return;
    snprintf(id, sizeof(id), "%lld", (long long)order->tests[order->seen].pending_write.schedule_id);
    order->seen += slice_equal(header_named(record, "ce_subject"), slice_of(id));
}

/* ---- commands ---- */

static void a_lock_holds_back_only_its_partition(void **state)
{
    enum { EACH = 20 };
    struct world *world = *state;
    struct partition partitions[PARTITIONS];
    static struct test_write held[EACH];
    static struct test_write others[2 * EACH];
    PGconn *holder = hold_user(USER);
    make_partitions(partitions);
    for (size_t i = 0; i < EACH; i++) {
        make_command(&held[i], 100 + i, &partitions[0], (int64_t)i);
        make_command(&others[2 * i], 200 + i, &partitions[1], (int64_t)i);
        make_command(&others[2 * i + 1], 300 + i, &partitions[2], (int64_t)i);
        make_other(&others[2 * i]);
        make_other(&others[2 * i + 1]);
    }
    make_held(&held[4]);
    for (size_t i = 0; i < EACH; i++) {
        submit(world, &held[i], 1);
        submit(world, &others[2 * i], 2);
    }
    RUN_UNTIL(world->base, done_of(others, 2 * EACH) == 2 * EACH && done_of(held, EACH) == 4);
    RUN_UNTIL(world->base, partition_is_waiting(&partitions[0]));
    assert_false(partition_is_waiting(&partitions[1]));
    struct test_write later;
    make_command(&later, 400, &partitions[2], EACH);
    make_other(&later);
    submit(world, &later, 1);
    RUN_UNTIL(world->base, later.done == 1);
    assert_int_equal(done_of(held, EACH), 4);
    assert_int_equal(held[4].refused, 0);
    assert_int_equal(stored_offset(world, 0), 4);
    release(holder);
    RUN_UNTIL(world->base, done_of(held, EACH) == EACH);
    for (size_t i = 0; i < EACH; i++) {
        assert_int_equal(held[i].status, STATUS_OK);
    }
    assert_false(partition_is_waiting(&partitions[0]));
    assert_int_equal(stored_offset(world, 0), EACH);
    expect_rows_and_events(world, 3 * EACH + 1);
    struct order order = {held, EACH, 0};
    emitted_records(world->db, world->slot, see_order, &order);
    assert_int_equal(order.seen, EACH);
    assert_int_equal(writer_pending(world->writer), 0);
}

/* Each of these errors says nothing of the command. */
static void no_error_that_repeats_refuses_a_command(void **state)
{
    static const char *const sqlstates[] = {"40001", "40P01", "55P03", "57014", "SS003", "XX000", "P0001"};
    struct world *world = *state;
    for (size_t n = 0; n < ARRAY_LEN(sqlstates); n++) {
        char statement[64];
        struct partition partitions[PARTITIONS];
        struct test_write tests[PARTITIONS];
        snprintf(statement, sizeof(statement), "RAISE 'no' USING ERRCODE = '%s'", sqlstates[n]);
        stand_in_the_way(world, "schedules", statement);
        make_partitions(partitions);
        for (size_t i = 0; i < PARTITIONS; i++) {
            partitions[i].next_offset = (int64_t)n;
            make_command(&tests[i], PARTITIONS * n + i, &partitions[i], (int64_t)n);
        }
        tests[0].pending_write.command.schedule.name = in_the_way;
        submit(world, tests, PARTITIONS);
        RUN_UNTIL(world->base, tests[1].done + tests[2].done == 2 && partition_is_waiting(&partitions[0]));
        assert_int_equal(tests[0].done, 0);
        assert_int_equal(tests[0].refused, 0);
        go_out_of_the_way(world);
        RUN_UNTIL(world->base, tests[0].done == 1);
        assert_int_equal(tests[0].status, STATUS_OK);
    }
    expect_rows_and_events(world, PARTITIONS * ARRAY_LEN(sqlstates));
}

/* It takes longer than a batch may, and gets the time when it is alone. */
static void a_slow_row_holds_back_only_its_partition(void **state)
{
    struct world *world = *state;
    struct partition partitions[PARTITIONS];
    struct test_write tests[2 * PARTITIONS];
    stand_in_the_way(world, "schedules", "PERFORM pg_sleep(2.5)");
    make_partitions(partitions);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        make_command(&tests[i], i, &partitions[i % PARTITIONS], (int64_t)(i / PARTITIONS));
    }
    tests[0].pending_write.command.schedule.name = in_the_way;
    submit(world, tests, ARRAY_LEN(tests));
    RUN_UNTIL(world->base, done_of(tests, ARRAY_LEN(tests)) == 4);
    assert_int_equal(tests[0].done + tests[PARTITIONS].done, 0);
    RUN_UNTIL(world->base, done_of(tests, ARRAY_LEN(tests)) == (int)ARRAY_LEN(tests));
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) assert_int_equal(tests[i].status, STATUS_OK);
    expect_rows_and_events(world, ARRAY_LEN(tests));
}

static void a_revoked_partition_is_not_tried_on(void **state)
{
    struct world *world = *state;
    struct partition partitions[PARTITIONS];
    struct test_write tests[2];
    stand_in_the_way(world, "schedules", "RAISE 'no' USING ERRCODE = '40001'");
    make_partitions(partitions);
    for (size_t i = 0; i < 2; i++) make_command(&tests[i], i, &partitions[0], (int64_t)i);
    tests[0].pending_write.command.schedule.name = in_the_way;
    submit(world, tests, 2);
    RUN_UNTIL(world->base, partition_is_waiting(&partitions[0]));
    writer_drop_partition(world->writer, &partitions[0]);
    RUN_UNTIL(world->base, done_of(tests, 2) == 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(tests[i].status, STATUS_OFFSET_MOVED);
    assert_int_equal(writer_pending(world->writer), 0);
    assert_int_equal(stored_offset(world, 0), 0);
}

static void a_shortened_partition_keeps_its_first_write(void **state)
{
    struct world *world = *state;
    struct partition partitions[PARTITIONS];
    struct test_write tests[4];
    make_partitions(partitions);
    assert_int_equal(writer_shorten_partition(world->writer, &partitions[0]), -1);
    for (size_t i = 0; i < 4; i++) make_command(&tests[i], i, &partitions[0], 10 * (int64_t)i);
    submit(world, tests, 4);
    assert_int_equal(writer_shorten_partition(world->writer, &partitions[0]), 10);
    assert_int_equal(done_of(tests, 4), 3);
    for (size_t i = 1; i < 4; i++) assert_int_equal(tests[i].status, STATUS_OFFSET_MOVED);
    assert_int_equal(writer_shorten_partition(world->writer, &partitions[0]), -1);
    RUN_UNTIL(world->base, tests[0].done == 1);
    assert_int_equal(tests[0].status, STATUS_OK);
    assert_int_equal(stored_offset(world, 0), 1);
}

/* ---- the directory ---- */

static void make_entry(struct test_write *test, struct partition *partition, int64_t offset)
{
    make_command(test, 0, partition, offset);
    test->pending_write.kind = WRITE_ENTRY;
    test->pending_write.entry = offset == 0 ? SLICE("{\"type\":\"user\",\"id\":9,\"name\":\"in the way\"}")
                                            : SLICE("{\"type\":\"user\",\"id\":10,\"name\":\"in the way\"}");
}

static void an_entry_waits_for_what_it_depends_on_and_holds_back_no_command(void **state)
{
    static const char *const sqlstates[] = {"23503", "SS003"};
    struct world *world = *state;
    for (int n = 0; n < (int)ARRAY_LEN(sqlstates); n++) {
        char statement[64];
        struct partition directory = {.topic = "directory", .purpose = WRITE_DIRECTORY, .next_offset = n};
        struct partition commands = {.topic = "commands", .next_offset = n};
        struct test_write entry;
        struct test_write command;
        if (n == 0) execute(world->db, "INSERT INTO command_offsets VALUES ('directory', 0, 0)");
        snprintf(statement, sizeof(statement), "RAISE 'no' USING ERRCODE = '%s'", sqlstates[n]);
        stand_in_the_way(world, "users", statement);
        make_entry(&entry, &directory, n);
        make_command(&command, 1 + (uint64_t)n, &commands, n);
        submit(world, &entry, 1);
        RUN_UNTIL(world->base, partition_is_waiting(&directory));
        submit(world, &command, 1);
        RUN_UNTIL(world->base, command.done == 1);
        assert_int_equal(entry.done + entry.refused, 0);
        go_out_of_the_way(world);
        RUN_UNTIL(world->base, entry.done == 1);
        assert_int_equal(entry.status, STATUS_OK);
    }
}

/* ---- HTTP ---- */

static void a_lock_holds_back_only_its_owners_requests(void **state)
{
    enum { EACH = 10 };
    struct world *world = *state;
    static struct test_write held[EACH];
    static struct test_write others[EACH];
    struct test_write later[2];
    PGconn *holder = hold_user(USER);
    for (size_t i = 0; i < EACH; i++) {
        make_write(&held[i], 100 + i);
        make_held(&held[i]);
        make_write(&others[i], 200 + i);
        make_other(&others[i]);
        submit(world, &held[i], 1);
        submit(world, &others[i], 1);
    }
    RUN_UNTIL(world->base, done_of(others, EACH) == EACH);
    for (uint64_t round = 0; round < 5; round++) { /* also while it is tried again */
        for (size_t i = 0; i < 2; i++) make_write(&later[i], 300 + 2 * round + i);
        make_other(&later[1]);
        submit(world, &later[1], 1);
        RUN_UNTIL(world->base, later[1].done == 1);
        assert_int_equal(later[1].status, STATUS_OK);
    }
    assert_int_equal(done_of(held, EACH), 0);
    release(holder);
    RUN_UNTIL(world->base, done_of(held, EACH) == EACH);
    for (size_t i = 0; i < EACH; i++) assert_int_equal(held[i].status, STATUS_OK);
    assert_int_equal(rows(world), 2 * EACH + 5);
}

static void a_request_that_cannot_go_on_is_given_up_at_its_deadline(void **state)
{
    struct world *world = *state;
    struct test_write tests[3];
    int64_t start_us = clock_steady_us();
    stand_in_the_way(world, "schedules", "RAISE 'no' USING ERRCODE = '40001'");
    for (size_t i = 0; i < 3; i++) {
        make_write(&tests[i], i);
        tests[i].pending_write.command.schedule.name = in_the_way;
        tests[i].pending_write.deadline_us = start_us + 700000;
    }
    submit(world, tests, 3);
    RUN_UNTIL(world->base, done_of(tests, 3) == 3);
    assert_true(clock_steady_us() - start_us >= 700000);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tests[i].done, 1);
        assert_int_equal(tests[i].refused, 0);
        assert_int_equal(status_class(tests[i].status), STATUS_CLASS_RETRY);
    }
    assert_int_equal(writer_pending(world->writer), 0);
    go_out_of_the_way(world);
    struct test_write next;
    make_write(&next, 10);
    store(world, &next, 1);
    assert_int_equal(next.status, STATUS_OK);
    expect_rows_and_events(world, 1);
}

/* With time-outs that do not come. */
static void what_is_on_its_way_at_its_deadline_has_an_unknown_outcome(void **state)
{
    struct world *world = *state;
    struct test_write tests[3];
    PGconn *blocker = block_writes();
    for (size_t i = 0; i < 3; i++) make_write(&tests[i], i);
    tests[1].pending_write.deadline_us = clock_steady_us() + 300000;
    submit(world, tests, 3);
    RUN_UNTIL(world->base, tests[1].done == 1);
    assert_int_equal(tests[1].status, STATUS_UNKNOWN_OUTCOME);
    assert_int_equal(blocked_writers(world), 1);
    assert_int_equal(tests[0].done + tests[2].done, 0);
    release(blocker);
    RUN_UNTIL(world->base, tests[0].done == 1 && tests[2].done == 1);
    assert_int_equal(tests[0].status, STATUS_OK);
    assert_int_equal(tests[2].status, STATUS_OK);
    assert_int_equal(tests[1].done, 1);
    expect_rows_and_events(world, 3); /* it was done */
}

static void an_attempt_whose_answer_is_lost_makes_the_outcome_unknown(void **state)
{
    struct world *world = *state;
    struct test_write test;
    PGconn *blocker = block_writes();
    make_write(&test, 1);
    test.pending_write.deadline_us = clock_steady_us() + 2000000;
    submit(world, &test, 1);
    RUN_UNTIL(world->base, blocked_writers(world) == 1);
    execute(world->db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND application_name = 'schedule-service writer'");
    RUN_UNTIL(world->base, test.done == 1);
    assert_int_equal(test.status, STATUS_UNKNOWN_OUTCOME);
    release(blocker);
}

static void a_read_only_database_refuses_a_request_at_once(void **state)
{
    struct world *world = *state;
    char url[512];
    struct test_write test;
    snprintf(url, sizeof(url), "%s?options=-cdefault_transaction_read_only%%3Don", getenv("TEST_DATABASE_URL"));
    start_writer(world, url);
    assert_non_null(world->writer);
    make_write(&test, 1);
    test.pending_write.deadline_us += (int64_t)DEADLINE_S * 1000000; /* beyond what this test waits */
    submit(world, &test, 1);
    RUN_UNTIL(world->base, test.done == 1);
    assert_int_equal(test.status, STATUS_UNAVAILABLE);
}

/* ---- answers ---- */

static void states_beyond_the_maximum_are_left_out_and_nothing_fails(void **state)
{
    enum { COUNT = 12, BYTES = 900000 };
    struct world *world = *state;
    struct test_write creates[COUNT];
    struct test_write tests[COUNT];
    size_t told = 0;
    for (size_t i = 0; i < COUNT; i++) make_write(&creates[i], i);
    store(world, creates, COUNT);
    execute(world->db, "UPDATE schedules SET overrides = json_build_array(repeat('x', %d))",
            BYTES);                   /* as today's rules forbid */
    PGconn *blocker = block_writes(); /* so that they share a batch */
    for (size_t i = 0; i < COUNT; i++) {
        make_write(&tests[i], 100 + i);
        make_change(&tests[i], COMMAND_UPDATE, creates[i].pending_write.schedule_id);
    }
    submit(world, tests, COUNT);
    RUN_UNTIL(world->base, blocked_writers(world) == 1);
    release(blocker);
    RUN_UNTIL(world->base, done_of(tests, COUNT) == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].status, STATUS_OK);
        told += tests[i].state[0] != '\0';
    }
    assert_in_range(told, 4, 6); /* of 900 kB, until 4 MiB are full */
    EXPECT_QUERY(world->db, "2", "SELECT string_agg(DISTINCT version::text, ',') FROM schedules");
}

/* ---- abandoned sessions ---- */

static void the_session_of_a_lost_connection_is_ended(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    char pids[64];
    RUN_UNTIL(world->base,
              query_number(world->db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                                      "application_name = 'schedule-service writer' AND state = 'idle'") == CONNECTIONS);
    PGconn *blocker = block_writes();
    make_write(&tests[0], 1);
    make_command(&tests[1], 2, &world->partition, 0);
    submit(world, tests, 2);
    RUN_UNTIL(world->base, blocked_writers(world) == 2);
    PGresult *result =
        PQexec(world->db, "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                          "AND application_name = 'schedule-service writer'");
    snprintf(pids, sizeof(pids), "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    assert_int_equal(deafen(world, blocker), CONNECTIONS);
    RUN_UNTIL(world->base, query_number(world->db, "SELECT count(*) FROM pg_stat_activity WHERE pid IN (%s)", pids) == 0);
    assert_int_equal(done_of(tests, 2), 0);
    release(blocker);
    RUN_UNTIL(world->base, done_of(tests, 2) == 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(tests[i].status, STATUS_OK);
    expect_rows_and_events(world, 2);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_isolation, tear_down)
#define TEST_PATIENT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_lock_holds_back_only_its_partition),
        TEST(no_error_that_repeats_refuses_a_command),
        TEST(a_slow_row_holds_back_only_its_partition),
        TEST(a_revoked_partition_is_not_tried_on),
        TEST(a_shortened_partition_keeps_its_first_write),
        TEST(an_entry_waits_for_what_it_depends_on_and_holds_back_no_command),
        TEST(a_lock_holds_back_only_its_owners_requests),
        TEST(a_request_that_cannot_go_on_is_given_up_at_its_deadline),
        TEST_PATIENT(what_is_on_its_way_at_its_deadline_has_an_unknown_outcome),
        TEST_PATIENT(an_attempt_whose_answer_is_lost_makes_the_outcome_unknown),
        cmocka_unit_test_setup_teardown(a_read_only_database_refuses_a_request_at_once, set_up_without_writer, tear_down),
        TEST_PATIENT(states_beyond_the_maximum_are_left_out_and_nothing_fails),
        TEST_PATIENT(the_session_of_a_lost_connection_is_ended),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
