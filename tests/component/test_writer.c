/* The writer against a real PostgreSQL: TEST_DATABASE_URL names a database of its own that `schedule-service migrate` made. */
#include "failing_malloc.h"
#include "writer_support.h"

static const uint8_t days[] = {MONDAY, SUNDAY};
static const struct availability_window windows[] = {{days, 2, 540, 1020}};
static const struct date_override overrides[] = {{{2024, 5, 20}, 1080, 1260}};

static void make_record_bytes(struct buf *out)
{
    struct record record = {.topic = RECORD_EVENT, .key = SLICE("1"), .value = SLICE("rejected")};
    buf_init(out, 1000);
    record_add_header(&record, SLICE("ce_id"), SLICE("replacement"));
    record_pack(out, &record);
}

static void count_replacements(void *ctx, const struct record *record)
{
    *(int *)ctx += slice_equal(header_named(record, "ce_id"), SLICE("replacement"));
}

static int replacements(struct world *world)
{
    int count = 0;
    emitted_records(world->db, world->slot, count_replacements, &count);
    return count;
}

/* ---- storing ---- */

static void stores_http_writes_with_all_their_columns(void **state)
{
    struct world *world = *state;
    struct test_write tests[3];
    for (size_t i = 0; i < 3; i++) make_write(&tests[i], i + 1);
    tests[1].write.command.org_id = 0;
    tests[1].write.command.schedule.name = SLICE("Caf\xc3\xa9 \"x\"\n");
    tests[1].write.command.schedule.windows = windows;
    tests[1].write.command.schedule.windows_len = 1;
    tests[1].write.command.schedule.overrides = overrides;
    tests[1].write.command.schedule.overrides_len = 1;
    tests[1].write.traceparent = SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    store(world, tests, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tests[i].status, STATUS_OK);
        assert_true(tests[i].write.schedule_id > 0);
        assert_true(i == 0 || tests[i].write.schedule_id > tests[i - 1].write.schedule_id);
    }
    EXPECT_QUERY(world->db,
                 "f|478|Caf\xc3\xa9 "
                 "\"x\"\n|Europe/Rome|1|[{\"days\":[\"Monday\",\"Sunday\"],\"startTime\":\"09:00\",\"endTime\":\"17:00\"}]|"
                 "[{\"date\":\"2024-05-20\",\"startTime\":\"18:00\",\"endTime\":\"21:00\"}]",
                 "SELECT concat_ws('|', org_id IS NOT NULL, owner_id, name, time_zone, version, availability, overrides) "
                 "FROM schedules "
                 "WHERE id = %lld",
                 (long long)tests[1].write.schedule_id);
    EXPECT_QUERY(world->db, "7|478|work|[]|[]",
                 "SELECT concat_ws('|', org_id, owner_id, name, availability, overrides) FROM schedules "
                 "WHERE id = %lld",
                 (long long)tests[0].write.schedule_id);
    EXPECT_QUERY(world->db, "t",
                 "SELECT bool_and(created_at = updated_at AND now() - created_at < '1 minute') FROM schedules");
    expect_rows_and_events(world, 3);
}

static void stores_commands_and_moves_their_offset(void **state)
{
    struct world *world = *state;
    struct test_write tests[10];
    for (size_t i = 0; i < 10; i++) make_command(&tests[i], i + 1, &world->partition, (int64_t)(i * 3 + 2)); /* with gaps */
    store(world, tests, 10);
    for (size_t i = 0; i < 10; i++) assert_int_equal(tests[i].status, STATUS_OK);
    assert_int_equal(stored_offset(world, 0), 30);
    assert_int_equal(world->partition.next_offset, 30);
    assert_int_equal(stored_offset(world, 1), 0);
    expect_rows_and_events(world, 10);
}

static void stores_partitions_of_both_lanes_and_http_at_once(void **state)
{
    enum { EACH = 1500 };
    struct world *world = *state;
    struct partition partitions[3];
    struct test_write *tests = calloc(4 * EACH, sizeof(*tests));
    for (int p = 0; p < 3; p++) partitions[p] = (struct partition){.topic = "commands", .number = p};
    for (size_t i = 0; i < EACH; i++) {
        for (size_t p = 0; p < 3; p++) make_command(&tests[4 * i + p], 4 * i + p, &partitions[p], (int64_t)i);
        make_write(&tests[4 * i + 3], 4 * i + 3);
    }
    store(world, tests, 4 * EACH);
    for (size_t i = 0; i < 4 * EACH; i++) assert_int_equal(tests[i].status, STATUS_OK);
    for (int p = 0; p < 3; p++) assert_int_equal(stored_offset(world, p), EACH);
    assert_int_equal(rows(world), 4 * EACH);
    assert_int_equal(emitted_records(world->db, world->slot, NULL, NULL), 4 * EACH);
    free(tests);
}

static void emits_a_record_and_stores_no_row(void **state)
{
    struct world *world = *state;
    struct test_write tests[3];
    struct buf bytes;
    make_record_bytes(&bytes);
    for (size_t i = 0; i < 3; i++) make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
    tests[1].write.kind = WRITE_RECORD;
    tests[1].write.record = buf_slice(&bytes);
    store(world, tests, 3);
    for (size_t i = 0; i < 3; i++) assert_int_equal(tests[i].status, STATUS_OK);
    assert_int_equal(rows(world), 2);
    assert_int_equal(emitted_records(world->db, world->slot, NULL, NULL), 3);
    assert_int_equal(replacements(world), 1);
    assert_int_equal(stored_offset(world, 0), 3);
    buf_done(&bytes);
}

/* ---- duplicates and refusals ---- */

static void a_repeated_command_gets_the_original_id(void **state)
{
    struct world *world = *state;
    struct test_write first;
    struct test_write again[3];
    make_write(&first, 1);
    store(world, &first, 1);
    make_write(&again[0], 1);
    make_write(&again[1], 2);
    make_command(&again[2], 1, &world->partition, 0);
    store(world, again, 3);
    assert_int_equal(first.status, STATUS_OK);
    assert_int_equal(again[0].status, STATUS_DUPLICATE);
    assert_int_equal(again[0].write.schedule_id, first.write.schedule_id);
    assert_int_equal(again[1].status, STATUS_OK);
    assert_int_equal(again[2].status, STATUS_DUPLICATE);
    assert_int_equal(again[2].write.schedule_id, first.write.schedule_id);
    assert_int_equal(stored_offset(world, 0), 1);
    expect_rows_and_events(world, 2);
}

static void a_command_twice_in_one_batch_makes_one_row(void **state)
{
    struct world *world = *state;
    struct test_write tests[4];
    for (size_t i = 0; i < 4; i++) make_command(&tests[i], i % 2 + 1, &world->partition, (int64_t)i);
    store(world, tests, 4);
    assert_int_equal(tests[0].status, STATUS_OK);
    assert_int_equal(tests[1].status, STATUS_OK);
    for (size_t i = 2; i < 4; i++) {
        assert_int_equal(tests[i].status, STATUS_DUPLICATE);
        assert_int_equal(tests[i].write.schedule_id, tests[i - 2].write.schedule_id);
    }
    expect_rows_and_events(world, 2);
}

static void other_content_under_a_used_id_is_refused_and_its_neighbours_stored(void **state)
{
    struct world *world = *state;
    struct test_write first;
    struct test_write tests[5];
    make_write(&first, 3);
    store(world, &first, 1);
    for (size_t i = 0; i < 5; i++) make_write(&tests[i], i + 1);
    tests[2].write.command.schedule.name = SLICE("other");
    store(world, tests, 5);
    for (size_t i = 0; i < 5; i++) assert_int_equal(tests[i].status, i == 2 ? STATUS_CONFLICT : STATUS_OK);
    assert_int_equal(tests[2].refused, 1);
    assert_int_equal(tests[2].refusal, STATUS_CONFLICT);
    EXPECT_QUERY(world->db, "work", "SELECT name FROM schedules WHERE id = %lld", (long long)first.write.schedule_id);
    expect_rows_and_events(world, 5);
}

static void other_content_within_one_batch_is_refused_too(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    make_write(&tests[0], 1);
    make_write(&tests[1], 1);
    tests[1].write.command.schedule.is_default = true;
    store(world, tests, 2);
    assert_int_equal(tests[0].status, STATUS_OK);
    assert_int_equal(tests[1].status, STATUS_CONFLICT);
    expect_rows_and_events(world, 1);
}

static void what_comes_after_a_refused_create_is_judged_by_its_neighbours(void **state)
{
    struct world *world = *state;
    struct test_write first;
    struct test_write tests[6];
    const uint64_t numbers[] = {11, 10, 12, 10, 13, 10}; /* creates with changes between them, which end a statement */
    const enum status expected[] = {STATUS_NOT_A_MEMBER, STATUS_OK, STATUS_OK, STATUS_CONFLICT, STATUS_OK, STATUS_DUPLICATE};
    make_write(&first, 1);
    store(world, &first, 1);
    for (size_t i = 0; i < 6; i++) make_command(&tests[i], numbers[i], &world->partition, (int64_t)i);
    tests[0].write.command.user_id = STRANGER;
    tests[3].write.command.schedule.name = SLICE("other");
    make_change(&tests[2], COMMAND_UPDATE, first.write.schedule_id);
    make_change(&tests[4], COMMAND_UPDATE, first.write.schedule_id);
    store(world, tests, 6);
    for (size_t i = 0; i < 6; i++) assert_int_equal(tests[i].status, expected[i]);
    EXPECT_QUERY(world->db, "work", "SELECT name FROM schedules WHERE id = %lld", (long long)tests[1].write.schedule_id);
}

static void the_first_with_an_id_is_the_original_in_a_large_batch_too(void **state)
{
    enum { COUNT = 400 };
    struct world *world = *state;
    static struct test_write tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        make_command(&tests[i], 1000 - i / 4, &world->partition, (int64_t)i);
        if (i % 4 != 0) tests[i].write.command.schedule.name = SLICE("other");
    }
    store(world, tests, COUNT);
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(tests[i].status, i % 4 == 0 ? STATUS_OK : STATUS_CONFLICT);
    EXPECT_QUERY(world->db, "work", "SELECT string_agg(DISTINCT name, ',') FROM schedules");
    expect_rows_and_events(world, COUNT / 4);
}

static void many_conflicts_in_one_batch_are_all_refused(void **state)
{
    enum { COUNT = 300 };
    struct world *world = *state;
    static struct test_write first[COUNT];
    static struct test_write tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        make_write(&first[i], 10 + i);
        make_write(&tests[i], 10 + COUNT - 1 - i); /* in the opposite order */
        if (i % 3 != 0) tests[i].write.command.schedule.name = SLICE("other");
    }
    store(world, first, COUNT);
    store(world, tests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].status, i % 3 == 0 ? STATUS_DUPLICATE : STATUS_CONFLICT);
        assert_int_equal(tests[i].refused, i % 3 == 0 ? 0 : 1);
    }
    expect_rows_and_events(world, COUNT);
}

static void strangers_are_refused_and_their_neighbours_stored(void **state)
{
    struct world *world = *state;
    struct test_write tests[6];
    for (size_t i = 0; i < 6; i++) make_write(&tests[i], i + 1);
    tests[1].write.command.user_id = STRANGER;
    tests[2].write.command.org_id = ORG + 1;
    tests[3].write.command.org_id = 0;
    tests[3].write.command.user_id = STRANGER;
    tests[4].write.command.org_id = 0;
    store(world, tests, 6);
    for (size_t i = 0; i < 6; i++) assert_int_equal(tests[i].status, i >= 1 && i <= 3 ? STATUS_NOT_A_MEMBER : STATUS_OK);
    expect_rows_and_events(world, 3);
}

static void a_refused_command_is_replaced_by_its_record(void **state)
{
    struct world *world = *state;
    struct test_write tests[5];
    struct buf bytes;
    make_record_bytes(&bytes);
    for (size_t i = 0; i < 5; i++) {
        make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
        tests[i].replacement = buf_slice(&bytes);
    }
    tests[0].write.command.user_id = STRANGER;
    tests[4].write.command.command_id = tests[3].write.command.command_id;
    tests[4].write.command.schedule.name = SLICE("other");
    store(world, tests, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(tests[i].status, STATUS_OK);
        assert_int_equal(tests[i].refused, i == 0 || i == 4);
    }
    assert_int_equal(tests[0].refusal, STATUS_NOT_A_MEMBER);
    assert_int_equal(tests[4].refusal, STATUS_CONFLICT);
    assert_int_equal(rows(world), 3);
    assert_int_equal(emitted_records(world->db, world->slot, NULL, NULL), 5);
    assert_int_equal(replacements(world), 2);
    assert_int_equal(stored_offset(world, 0), 5);
    buf_done(&bytes);
}

static void a_poison_row_is_found_by_halving_and_its_neighbours_stored(void **state)
{
    enum { COUNT = 100 };
    struct world *world = *state;
    static struct test_write tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) make_write(&tests[i], i + 1);
    tests[17].write.command.schedule.name = SLICE("a\0b");
    tests[63].write.command.schedule.name = SLICE("\xff\xfe");
    tests[99].write.command.schedule.time_zone = SLICE("");
    store(world, tests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        bool poison = i == 17 || i == 63 || i == 99;
        assert_int_equal(tests[i].status, poison ? STATUS_UNSTORABLE : STATUS_OK);
        assert_int_equal(tests[i].refused, poison);
    }
    expect_rows_and_events(world, COUNT - 3);
}

static void a_poison_command_is_replaced_and_nothing_is_skipped(void **state)
{
    enum { COUNT = 40 };
    struct world *world = *state;
    static struct test_write tests[COUNT];
    struct buf bytes;
    make_record_bytes(&bytes);
    for (size_t i = 0; i < COUNT; i++) {
        make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
        tests[i].replacement = buf_slice(&bytes);
    }
    tests[0].write.command.schedule.name = SLICE("a\0b");
    tests[21].write.command.schedule.name = SLICE("a\0b");
    store(world, tests, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].status, STATUS_OK);
        assert_int_equal(tests[i].refused, i == 0 || i == 21);
    }
    assert_int_equal(tests[21].refusal, STATUS_UNSTORABLE);
    assert_int_equal(rows(world), COUNT - 2);
    assert_int_equal(replacements(world), 2);
    assert_int_equal(stored_offset(world, 0), COUNT);
    buf_done(&bytes);
}

/* ---- the compare-and-set ---- */

static void what_another_consumer_settled_is_dropped(void **state)
{
    struct world *world = *state;
    struct test_write tests[10];
    execute(world->db, "UPDATE command_offsets SET next_offset = 6 WHERE partition = 0");
    for (size_t i = 0; i < 10; i++) make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
    store(world, tests, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(tests[i].status, i < 6 ? STATUS_DUPLICATE : STATUS_OK);
        if (i < 6) assert_int_equal(tests[i].write.schedule_id, 0);
    }
    assert_int_equal(stored_offset(world, 0), 10);
    expect_rows_and_events(world, 4);
}

static void an_offset_that_moved_back_ends_the_partitions_commands(void **state)
{
    struct world *world = *state;
    struct test_write tests[6];
    struct partition other = {.topic = "commands", .number = 2}; /* of the same lane */
    world->partition.next_offset = 100;
    execute(world->db, "UPDATE command_offsets SET next_offset = 50 WHERE partition = 0");
    for (size_t i = 0; i < 4; i++) make_command(&tests[i], i + 1, &world->partition, 100 + (int64_t)i);
    for (size_t i = 4; i < 6; i++) make_command(&tests[i], i + 1, &other, (int64_t)i);
    store(world, tests, 6);
    for (size_t i = 0; i < 6; i++) assert_int_equal(tests[i].status, i < 4 ? STATUS_OFFSET_MOVED : STATUS_OK);
    assert_int_equal(world->partition.next_offset, 50);
    assert_int_equal(stored_offset(world, 0), 50);
    assert_int_equal(stored_offset(world, 2), 6);
    expect_rows_and_events(world, 2);
}

static void an_offset_row_that_vanished_ends_the_partitions_commands(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    execute(world->db, "DELETE FROM command_offsets WHERE partition = 0");
    for (size_t i = 0; i < 2; i++) make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
    store(world, tests, 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(tests[i].status, STATUS_OFFSET_MOVED);
    expect_rows_and_events(world, 0);
}

static void a_command_read_twice_is_stored_once(void **state)
{
    struct world *world = *state;
    struct test_write tests[6];
    for (size_t i = 0; i < 6; i++) make_command(&tests[i], i + 1, &world->partition, (int64_t)(i % 3));
    store(world, tests, 6);
    for (size_t i = 0; i < 6; i++) assert_int_equal(tests[i].status, i < 3 ? STATUS_OK : STATUS_DUPLICATE);
    assert_int_equal(stored_offset(world, 0), 3);
    expect_rows_and_events(world, 3);
}

static void a_revoked_partition_ends_its_queued_commands(void **state)
{
    struct world *world = *state;
    struct test_write tests[4];
    struct partition other = {.topic = "commands", .number = 1};
    for (size_t i = 0; i < 2; i++) make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
    for (size_t i = 2; i < 4; i++) make_command(&tests[i], i + 1, &other, (int64_t)i);
    submit(world, tests, 4);
    writer_drop_partition(world->writer, &world->partition);
    assert_int_equal(settled, 2);
    RUN_UNTIL(world->base, settled == 4);
    for (size_t i = 0; i < 4; i++) assert_int_equal(tests[i].status, i < 2 ? STATUS_OFFSET_MOVED : STATUS_OK);
    expect_rows_and_events(world, 2);
}

/* ---- lost connections ---- */

static void make_mixed(struct world *world, struct test_write *tests, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (i % 2 == 0) make_write(&tests[i], i + 1);
        else make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
    }
}

static void a_connection_killed_in_the_middle_is_retried(void **state)
{
    enum { COUNT = 60 };
    struct world *world = *state;
    static struct test_write tests[COUNT];
    make_mixed(world, tests, COUNT);
    PGconn *blocker = block_writes();
    submit(world, tests, COUNT);
    for (int kills = 0; kills < 3; kills++) {
        RUN_UNTIL(world->base, blocked_writers(world) == 2);
        execute(world->db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                           "AND application_name = 'schedule-service writer'");
        RUN_UNTIL(world->base, blocked_writers(world) == 0);
    }
    assert_int_equal(settled, 0);
    release(blocker);
    RUN_UNTIL(world->base, settled == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].status, STATUS_OK);
        assert_int_equal(tests[i].done, 1);
    }
    assert_int_equal(stored_offset(world, 0), COUNT);
    expect_rows_and_events(world, COUNT);
}

static void a_commit_of_unknown_outcome_makes_no_second_row(void **state)
{
    enum { COUNT = 60 };
    struct world *world = *state;
    static struct test_write tests[COUNT];
    make_mixed(world, tests, COUNT);
    RUN_UNTIL(world->base,
              query_number(world->db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                                      "application_name = 'schedule-service writer' AND state = 'idle'") == CONNECTIONS);
    PGconn *blocker = block_writes();
    submit(world, tests, COUNT);
    RUN_UNTIL(world->base, blocked_writers(world) == 2);
    assert_int_equal(deafen(world, blocker), CONNECTIONS);
    RUN_UNTIL(world->base, !writer_http_is_ready(world->writer)); /* while the server still waits for the lock */
    release(blocker);
    WAIT_UNTIL(rows(world) == COUNT); /* committed, and the writer was not told */
    assert_int_equal(settled, 0);
    RUN_UNTIL(world->base, settled == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].status, STATUS_DUPLICATE);
        bool is_http = i % 2 == 0;
        assert_int_equal(tests[i].write.schedule_id > 0,
                         is_http); /* a command's offset tells, an HTTP write's id is read back */
    }
    assert_int_equal(stored_offset(world, 0), COUNT);
    expect_rows_and_events(world, COUNT);
}

static void a_cancelled_statement_is_retried(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    make_mixed(world, tests, 2);
    PGconn *blocker = block_writes();
    submit(world, tests, 2);
    RUN_UNTIL(world->base, blocked_writers(world) == 2);
    execute(world->db, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND application_name = 'schedule-service writer'"); /* 57014 */
    RUN_UNTIL(world->base, blocked_writers(world) == 0);
    release(blocker);
    RUN_UNTIL(world->base, settled == 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(tests[i].status, STATUS_OK);
    expect_rows_and_events(world, 2);
}

/* ---- default schedules ---- */

static int64_t default_of(struct world *world, int64_t user_id)
{
    return query_number(world->db, "SELECT schedule_id FROM default_schedules WHERE owner_id = %lld", (long long)user_id);
}

static void the_later_default_of_one_batch_wins(void **state)
{
    struct world *world = *state;
    struct test_write tests[5];
    for (size_t i = 0; i < 5; i++) make_write(&tests[i], i + 1);
    tests[0].write.command.schedule.is_default = true;
    tests[1].write.command.schedule.is_default = true;
    tests[2].write.command.schedule.is_default = true;
    tests[2].write.command.user_id = OTHER_USER;
    store(world, tests, 5);
    assert_int_equal(default_of(world, USER), tests[1].write.schedule_id);
    assert_int_equal(default_of(world, OTHER_USER), tests[2].write.schedule_id);
}

static void only_a_new_default_schedule_moves_the_default(void **state)
{
    struct world *world = *state;
    struct test_write tests[4];
    make_write(&tests[0], 1);
    store(world, &tests[0], 1);
    assert_int_equal(default_of(world, USER), -1); /* not even a user's first */
    for (size_t i = 1; i < 3; i++) {
        make_write(&tests[i], i + 1);
        tests[i].write.command.schedule.is_default = true;
        store(world, &tests[i], 1);
        assert_int_equal(default_of(world, USER), tests[i].write.schedule_id);
    }
    make_write(&tests[3], 2); /* the older one again */
    tests[3].write.command.schedule.is_default = true;
    store(world, &tests[3], 1);
    assert_int_equal(tests[3].status, STATUS_DUPLICATE);
    assert_int_equal(default_of(world, USER), tests[2].write.schedule_id);
}

/* ---- changes ---- */

static int64_t stored_schedule(struct world *world, uint64_t number)
{
    struct test_write test;
    make_write(&test, number);
    store(world, &test, 1);
    assert_int_equal(test.status, STATUS_OK);
    return test.write.schedule_id;
}

static void make_rename(struct test_write *test, uint64_t number, int64_t schedule_id, struct slice name)
{
    make_write(test, number);
    make_change(test, COMMAND_UPDATE, schedule_id);
    test->write.command.schedule.fields = SCHEDULE_NAME;
    test->write.command.schedule.name = name;
}

/* "C1 U2 D3 " for the events in their order. */
static void see_kind(void *ctx, const struct record *record)
{
    char *kinds = ctx;
    size_t len = strlen(kinds);
    struct slice type = header_named(record, "ce_type");
    struct slice id = header_named(record, "ce_id");
    const char *version = memchr(id.data, '.', id.len);
    assert_non_null(version);
    snprintf(kinds + len, NAME_LEN - len, "%c%c ", type.data[strlen("schedules.v1.Schedule")], version[1]);
}

static void expect_events(struct world *world, const char *want)
{
    char kinds[NAME_LEN] = "";
    emitted_records(world->db, world->slot, see_kind, kinds);
    assert_string_equal(kinds, want);
}

static void an_update_sets_what_it_names_and_lends_the_state(void **state)
{
    struct world *world = *state;
    struct test_write test;
    int64_t id = stored_schedule(world, 1);
    make_rename(&test, 2, id, SLICE("new"));
    store(world, &test, 1);
    assert_int_equal(test.status, STATUS_OK);
    assert_non_null(strstr(test.state, "\"name\" : \"new\""));
    assert_non_null(strstr(test.state, "\"version\" : 2"));
    EXPECT_QUERY(world->db, "new|Europe/Rome|2", "SELECT concat_ws('|', name, time_zone, version) FROM schedules");
    expect_events(world, "C1 U2 ");
}

static void a_delete_leaves_no_row_and_remembers_its_commands(void **state)
{
    struct world *world = *state;
    struct test_write tests[3];
    int64_t id = stored_schedule(world, 1);
    for (size_t i = 0; i < 2; i++) {
        make_write(&tests[i], 2);
        make_change(&tests[i], COMMAND_DELETE, id);
    }
    make_write(&tests[2], 1); /* the create once more */
    store(world, tests, 3);
    assert_int_equal(tests[0].status, STATUS_OK);
    assert_int_equal(tests[1].status, STATUS_DUPLICATE);
    assert_int_equal(tests[2].status, STATUS_DUPLICATE);
    assert_int_equal(tests[2].write.schedule_id, id);
    assert_int_equal(rows(world), 0);
    expect_events(world, "C1 D2 ");
}

/* ---- a create that is repeated while its schedule is being deleted ---- */

/* Sends what deletes all schedules of the user in one transaction; end_query() waits for its end. */
static void send_deletes(PGconn *db)
{
    char sql[512];
    snprintf(
        sql, sizeof(sql),
        "SELECT change_schedule(1, true, id, gen_random_uuid(), command_digest, %d, %d, NULL, NULL, NULL, NULL, NULL, NULL,"
        " NULL, now()) FROM schedules WHERE owner_id = %d ORDER BY id",
        ORG, USER, USER);
    assert_int_equal(PQsendQuery(db, sql), 1);
}

static void end_query(PGconn *db)
{
    for (PGresult *result; (result = PQgetResult(db)) != NULL; PQclear(result)) {
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) fail_msg("%s", PQerrorMessage(db));
    }
}

static void a_create_that_waits_for_its_delete_makes_nothing(void **state)
{
    struct world *world = *state;
    struct test_write again[2];
    int64_t id = stored_schedule(world, 1);
    PGconn *deleter = connect_to(getenv("TEST_DATABASE_URL"));
    execute(deleter, "BEGIN");
    send_deletes(deleter);
    end_query(deleter);
    make_write(&again[0], 2);
    make_write(&again[1], 1);
    settled = 0;
    submit(world, again, 2);
    RUN_UNTIL(world->base, blocked_writers(world) == 1);
    release(deleter);
    RUN_UNTIL(world->base, settled == 2);
    assert_int_equal(again[0].status, STATUS_OK);
    assert_int_equal(again[1].status, STATUS_DUPLICATE);
    assert_int_equal(again[1].write.schedule_id, id);
    assert_int_equal(rows(world), 1);
    expect_events(world, "C1 D2 C1 ");
}

/* Ten thousand tries: each round's creates are repeated while they are deleted. */
static void no_schedule_comes_back_in_ten_thousand_tries(void **state)
{
    enum { ROUNDS = 500, EACH = 20 };
    struct world *world = *state;
    static struct test_write tests[EACH];
    PGconn *deleter = connect_to(getenv("TEST_DATABASE_URL"));
    for (uint64_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < EACH; i++) make_write(&tests[i], round * EACH + i + 1);
        store(world, tests, EACH);
        for (uint64_t i = 0; i < EACH; i++) make_write(&tests[i], round * EACH + i + 1);
        settled = 0;
        if (round % 2 == 0) send_deletes(deleter);
        submit(world, tests, EACH);
        if (round % 2 == 1) {
            event_base_loop(world->base, EVLOOP_ONCE);
            send_deletes(deleter);
        }
        RUN_UNTIL(world->base, settled == EACH);
        end_query(deleter);
        for (size_t i = 0; i < EACH; i++) assert_int_equal(tests[i].status, STATUS_DUPLICATE);
        assert_int_equal(rows(world), 0);
    }
    PQfinish(deleter);
}

static void one_that_came_back_under_an_earlier_build_can_be_deleted(void **state)
{
    struct world *world = *state;
    struct test_write tests[3];
    int64_t id = stored_schedule(world, 1);
    execute(world->db,
            "INSERT INTO settled_commands SELECT command_id, command_digest, id - 1, NULL, now() + '1 day' FROM schedules");
    make_write(&tests[0], 1);
    make_write(&tests[1], 2);
    make_change(&tests[1], COMMAND_DELETE, id);
    make_write(&tests[2], 1);
    for (size_t i = 0; i < 3; i++) store(world, &tests[i], 1);
    assert_int_equal(tests[0].status, STATUS_DUPLICATE);
    assert_int_equal(tests[1].status, STATUS_OK);
    assert_int_equal(tests[2].status, STATUS_DUPLICATE);
    assert_int_equal(tests[2].write.schedule_id, id);
    expect_events(world, "C1 D2 ");
}

static void changes_are_refused_for_their_reasons(void **state)
{
    static const enum status expected[] = {STATUS_NOT_FOUND,    STATUS_NOT_THE_OWNER, STATUS_NOT_FOUND,
                                           STATUS_NOT_A_MEMBER, STATUS_OTHER_VERSION, STATUS_CONFLICT};
    struct world *world = *state;
    struct test_write tests[6];
    int64_t id = stored_schedule(world, 1);
    for (size_t i = 0; i < 6; i++) make_rename(&tests[i], i + 2, id, SLICE("new"));
    tests[0].write.command.schedule_id = id + 1000000;
    tests[1].write.command.user_id = OTHER_USER;
    execute(world->db, "INSERT INTO organizations (id, name) VALUES (%d, 'other')", ORG + 1);
    execute(world->db, "INSERT INTO memberships (org_id, user_id) VALUES (%d, %d)", ORG + 1, OTHER_USER);
    tests[2].write.command.user_id = OTHER_USER;
    tests[2].write.command.org_id = ORG + 1;
    tests[3].write.command.user_id = STRANGER;
    tests[4].write.command.expected_version = 2;
    tests[5].write.command.command_id = uuid_v7(1, (const uint8_t *)"0123456789"); /* the create's */
    store(world, tests, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(tests[i].status, expected[i]);
        assert_int_equal(tests[i].refusal, expected[i]);
    }
    expect_rows_and_events(world, 1);
}

static void commands_of_all_kinds_in_one_batch_happen_in_their_order(void **state)
{
    static const enum status expected[] = {STATUS_OK, STATUS_OK, STATUS_OK, STATUS_OK, STATUS_NOT_FOUND, STATUS_OK};
    struct world *world = *state;
    struct test_write tests[6];
    int64_t id = stored_schedule(world, 1);
    make_write(&tests[0], 2);
    make_rename(&tests[1], 3, id, SLICE("b"));
    make_rename(&tests[2], 4, id, SLICE("c"));
    tests[2].write.command.expected_version = 2;
    make_write(&tests[3], 5);
    make_change(&tests[3], COMMAND_DELETE, id);
    make_rename(&tests[4], 6, id, SLICE("d"));
    make_write(&tests[5], 7);
    for (int64_t i = 0; i < 6; i++) {
        tests[i].write.partition = &world->partition;
        tests[i].write.offset = i;
        tests[i].write.deadline_us = 0;
    }
    store(world, tests, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(tests[i].status, expected[i]);
        assert_string_equal(tests[i].state, ""); /* nobody waits for the answer to a command */
    }
    assert_int_equal(rows(world), 2);
    expect_events(world, "C1 C1 U2 U3 D4 C1 ");
}

static void make_keyed(struct test_write *test, uint64_t number)
{
    make_write(test, number);
    test->write.has_key = true;
    memset(test->write.key.bytes, 'k', sizeof(test->write.key.bytes));
}

/* ---- the limit of a user's schedules ---- */

enum { SCHEDULES_MAX = 3 };

static int set_up_with_limit(void **state)
{
    set_up_without_writer(state);
    struct world *world = *state;
    world->config.schedules_max = SCHEDULES_MAX;
    world->config.lock_timeout_ms = world->config.statement_timeout_ms = 10 * DEADLINE_S * 1000;
    start_writer(world, getenv("TEST_DATABASE_URL"));
    assert_non_null(world->writer);
    return 0;
}

static void insert_past_the_service(PGconn *db, int count)
{
    execute(
        db,
        "INSERT INTO schedules SELECT id + 1000000 * i, gen_random_uuid(), command_digest, NULL, owner_id, name, time_zone, "
        "availability, overrides, 1, now(), now() FROM generate_series(1, %d) AS i, (SELECT * FROM schedules LIMIT 1) AS s",
        count);
}

static void a_batch_brings_no_user_beyond_the_limit(void **state)
{
    enum { COUNT = 12 };
    struct world *world = *state;
    struct test_write tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) make_command(&tests[i], i, &world->partition, (int64_t)i);
    for (size_t i = 0; i < COUNT; i += 3) tests[i].write.command.user_id = OTHER_USER;
    for (size_t i = 0; i < COUNT; i += 2) tests[i].write.command.org_id = 0; /* wherever they are */
    store(world, tests, COUNT);
    size_t made[2] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        bool fits = made[i % 3 == 0]++ < SCHEDULES_MAX; /* the first ones do */
        assert_int_equal(tests[i].status, fits ? STATUS_OK : STATUS_AT_LIMIT);
        assert_int_equal(tests[i].write.schedules_max, fits ? 0 : SCHEDULES_MAX);
    }
    expect_rows_and_events(world, 2 * SCHEDULES_MAX);
}

static void at_the_limit_only_what_makes_one_more_is_refused(void **state)
{
    enum { COUNT = 6 };
    static const enum status expected[COUNT] = {STATUS_OK,       STATUS_DUPLICATE, STATUS_DUPLICATE,
                                                STATUS_AT_LIMIT, STATUS_OK,        STATUS_OK};
    struct world *world = *state;
    struct test_write tests[COUNT];
    struct test_write key;
    stored_schedule(world, 1);
    int64_t id = stored_schedule(world, 2);
    make_keyed(&key, 3);
    store(world, &key, 1);
    insert_past_the_service(world->db, 5); /* from before */
    make_rename(&tests[0], 4, id, SLICE("new"));
    make_write(&tests[1], 1);
    make_keyed(&tests[2], 5);
    make_write(&tests[3], 6);
    make_write(&tests[4], 7);
    make_change(&tests[4], COMMAND_DELETE, id);
    make_write(&tests[5], 8);
    tests[5].write.command.user_id = OTHER_USER;
    for (size_t i = 0; i < COUNT; i++) {
        store(world, &tests[i], 1);
        assert_int_equal(tests[i].status, expected[i]);
    }
    assert_int_equal(rows(world), SCHEDULES_MAX + 5);
}

/* What another connection, of whichever replica, has made and not committed counts too. */
static void creates_of_one_user_are_counted_one_after_the_other(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    stored_schedule(world, 1);
    stored_schedule(world, 2);
    PGconn *other = connect_to(getenv("TEST_DATABASE_URL"));
    execute(other, "BEGIN");
    execute(other, "SELECT FROM users WHERE id = %d FOR NO KEY UPDATE", USER);
    insert_past_the_service(other, 1);
    make_write(&tests[0], 3);
    make_keyed(&tests[1], 4);
    submit(world, &tests[0], 1);
    RUN_UNTIL(world->base, blocked_writers(world) == 1);
    submit(world, &tests[1], 1);
    RUN_UNTIL(world->base, blocked_writers(world) == 2);
    release(other);
    RUN_UNTIL(world->base, tests[0].done + tests[1].done == 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(tests[i].status, STATUS_AT_LIMIT);
    assert_int_equal(rows(world), SCHEDULES_MAX);
}

static void a_new_default_gives_the_former_one_a_version(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    int64_t id = stored_schedule(world, 1);
    make_write(&tests[0], 2);
    tests[0].write.command.schedule.is_default = true;
    store(world, tests, 1);
    make_write(&tests[1], 3);
    make_change(&tests[1], COMMAND_UPDATE, id);
    tests[1].write.command.schedule = (struct schedule){.fields = SCHEDULE_IS_DEFAULT, .is_default = true};
    store(world, &tests[1], 1);
    assert_int_equal(default_of(world, USER), id);
    EXPECT_QUERY(world->db, "2|2", "SELECT string_agg(version::text, '|') FROM schedules");
    expect_events(world, "C1 C1 U2 U2 ");
}

static void a_repeated_key_gets_the_first_state(void **state)
{
    struct world *world = *state;
    struct test_write first;
    struct test_write again[2];
    struct test_write rename;
    make_keyed(&first, 1);
    store(world, &first, 1);
    make_rename(&rename, 2, first.write.schedule_id, SLICE("new"));
    store(world, &rename, 1);
    for (size_t i = 0; i < 2; i++) make_keyed(&again[i], i + 3);
    again[1].write.command.schedule.name = SLICE("other");
    store(world, again, 2);
    assert_int_equal(again[0].status, STATUS_DUPLICATE);
    assert_int_equal(again[0].write.schedule_id, first.write.schedule_id);
    assert_non_null(strstr(again[0].state, "\"name\" : \"work\""));
    assert_non_null(strstr(again[0].state, "\"version\" : 1"));
    assert_int_equal(again[1].status, STATUS_CONFLICT);
    expect_events(world, "C1 U2 ");
}

static void a_key_that_is_under_way_is_not_waited_for(void **state)
{
    struct world *world = *state;
    struct test_write test;
    PGconn *other = connect_to(getenv("TEST_DATABASE_URL"));
    execute(other, "BEGIN");
    execute(other, "SELECT pg_advisory_xact_lock(hashtextextended('6b6b6b6b-6b6b-6b6b-6b6b-6b6b6b6b6b6b', 0))");
    make_keyed(&test, 1);
    store(world, &test, 1);
    assert_int_equal(test.status, STATUS_UNDER_WAY);
    release(other);
    make_keyed(&test, 2);
    store(world, &test, 1);
    assert_int_equal(test.status, STATUS_OK);
    expect_rows_and_events(world, 1);
}

static void an_update_of_unknown_outcome_happens_once(void **state)
{
    struct world *world = *state;
    struct test_write test;
    int64_t id = stored_schedule(world, 1);
    make_rename(&test, 2, id, SLICE("new"));
    RUN_UNTIL(world->base,
              query_number(world->db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                                      "application_name = 'schedule-service writer' AND state = 'idle'") == CONNECTIONS);
    PGconn *blocker = block_writes();
    submit(world, &test, 1);
    RUN_UNTIL(world->base, blocked_writers(world) == 1);
    assert_int_equal(deafen(world, blocker), CONNECTIONS);
    RUN_UNTIL(world->base, !writer_http_is_ready(world->writer));
    release(blocker);
    WAIT_UNTIL(query_number(world->db, "SELECT version FROM schedules") == 2); /* committed, and the writer was not told */
    RUN_UNTIL(world->base, test.done == 1);
    assert_int_equal(test.status, STATUS_DUPLICATE);
    assert_non_null(strstr(test.state, "\"version\" : 2"));
    expect_events(world, "C1 U2 ");
}

/* ---- gates ---- */

static void http_writes_are_given_up_at_their_deadline(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    struct test_write command;
    int64_t start_us = clock_steady_us();
    for (size_t i = 0; i < 2; i++) {
        make_write(&tests[i], i + 1);
        tests[i].write.deadline_us = start_us + 300000;
    }
    make_command(&command, 3, &world->partition, 0);
    submit(world, &command, 1);
    submit(world, tests, 2);
    RUN_UNTIL(world->base, settled == 2);
    assert_true(clock_steady_us() - start_us >= 300000);
    for (size_t i = 0; i < 2; i++) assert_int_equal(tests[i].status, STATUS_UNAVAILABLE);
    assert_int_equal(command.done, 0); /* commands wait */
    assert_int_equal(writer_pending(world->writer), 1);
}

static void a_write_without_deadline_waits(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    make_write(&tests[0], 1);
    tests[0].write.deadline_us = 0;
    make_write(&tests[1], 2);
    tests[1].write.deadline_us = clock_steady_us() + 300000;
    submit(world, tests, 2);
    RUN_UNTIL(world->base, tests[1].done == 1);
    assert_int_equal(tests[1].status, STATUS_UNAVAILABLE);
    assert_int_equal(tests[0].done, 0);
}

static void a_full_queue_turns_http_writes_away_and_no_commands(void **state)
{
    struct world *world = *state;
    static struct test_write tests[WRITES_MAX];
    struct test_write command;
    size_t taken = 0;
    for (size_t i = 0; i < WRITES_MAX; i++) {
        make_write(&tests[i], i + 1);
        enum status status = writer_submit(world->writer, &tests[i].write);
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_OVERLOADED);
            break;
        }
        taken++;
    }
    assert_int_equal(taken, 4096);
    make_command(&command, 1, &world->partition, 0);
    submit(world, &command, 1);
    assert_int_equal(writer_pending(world->writer), taken + 1);
    assert_int_equal(settled, 0);
}

static void a_shut_writer_turns_http_away_and_keeps_commands(void **state)
{
    struct world *world = *state;
    struct test_write http;
    struct test_write command;
    make_write(&http, 1);
    make_command(&command, 2, &world->partition, 0);
    writer_open(world->writer, NULL);
    RUN_UNTIL(world->base, writer_http_is_ready(world->writer));
    assert_int_equal(writer_submit(world->writer, &http.write), STATUS_UNAVAILABLE);
    submit(world, &command, 1);
    int64_t until_us = clock_steady_us() + 200000;
    RUN_UNTIL(world->base, clock_steady_us() > until_us);
    assert_int_equal(command.done, 0);
    assert_int_equal(rows(world), 0);
    const struct position_mark mark = mark_here(world->db);
    writer_open(world->writer, &mark);
    RUN_UNTIL(world->base, command.done == 1);
    assert_int_equal(command.status, STATUS_OK);
    assert_int_equal(http.done, 0);
    expect_rows_and_events(world, 1);
}

static void rows_larger_than_a_batch_are_stored_one_by_one(void **state)
{
    enum { COUNT = 40 };
    struct world *world = *state;
    static struct test_write tests[COUNT];
    static struct availability_window many[SCHEDULE_WINDOWS_MAX];
    static uint8_t long_days[3000];
    memset(long_days, SUNDAY, sizeof(long_days));
    for (size_t i = 0; i < SCHEDULE_WINDOWS_MAX; i++)
        many[i] = (struct availability_window){long_days, sizeof(long_days), 0, 1};
    for (size_t i = 0; i < COUNT; i++) {
        make_write(&tests[i], i + 1);
        tests[i].write.command.schedule.windows = many;
        tests[i].write.command.schedule.windows_len = i % 4 == 0 ? SCHEDULE_WINDOWS_MAX : 1;
    }
    store(world, tests, COUNT);
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(tests[i].status, STATUS_OK);
    expect_rows_and_events(world, COUNT);
}

/* ---- every allocation ---- */

/* Schedules that are there already, with ids that no writer comes to. */
enum { KEPT = 2000000000, GONE, CHANGED };

enum { ONE_OF_EACH = 11 };

/* What a child says by its exit status; a test that fails exits with another. */
enum { WENT_WELL = 40, NONE_TO_FAIL };

static void make_existing(struct world *world)
{
    execute(world->db,
            "INSERT INTO schedules SELECT i, gen_random_uuid(), '0123456789abcdef', %d, %d, 'old', 'UTC', '[]', '[]', 1, "
            "now(), now() FROM generate_series(%d, %d) i",
            ORG, USER, KEPT, CHANGED);
}

/* One write of each kind: the first half over HTTP, then commands of two partitions. */
static void make_one_of_each(struct test_write tests[ONE_OF_EACH], struct partition partitions[2], struct slice record)
{
    make_write(&tests[0], 1);
    make_write(&tests[1], 2);
    tests[1].write.has_key = true;
    make_write(&tests[2], 3);
    make_change(&tests[2], COMMAND_UPDATE, KEPT);
    make_write(&tests[3], 4);
    make_change(&tests[3], COMMAND_DELETE, GONE);
    make_write(&tests[4], 5);
    tests[4].write.command.user_id = STRANGER;
    make_command(&tests[5], 6, &partitions[0], 0);
    tests[5].write.command.schedule.windows = windows;
    tests[5].write.command.schedule.windows_len = ARRAY_LEN(windows);
    tests[5].write.command.schedule.overrides = overrides;
    tests[5].write.command.schedule.overrides_len = ARRAY_LEN(overrides);
    make_command(&tests[6], 7, &partitions[0], 1);
    make_change(&tests[6], COMMAND_UPDATE, CHANGED);
    make_command(&tests[7], 8, &partitions[0], 2);
    tests[7].write.command.user_id = STRANGER;
    tests[7].replacement = record;
    make_command(&tests[8], 9, &partitions[0], 3);
    tests[8].write.kind = WRITE_RECORD;
    tests[8].write.record = record;
    make_command(&tests[9], 10, &partitions[1], 0);
    make_command(&tests[10], 11, &partitions[1], 1);
    tests[10].write.kind = WRITE_ENTRY;
    tests[10].write.entry = SLICE("{\"type\":\"user\",\"id\":9,\"name\":\"new\"}");
}

/* Each is done once, and what was said of it is so. */
static void expect_one_of_each(struct world *world, const struct test_write tests[ONE_OF_EACH])
{
    enum { CREATED = 4, CHANGES = 3, RECORDS = 2 };
    for (size_t i = 0; i < ONE_OF_EACH; i++) {
        bool is_done = tests[i].status == STATUS_OK || tests[i].status == STATUS_DUPLICATE;
        assert_int_equal(tests[i].done, 1);
        if (is_done != (i != 4)) fail_msg("write %zu: %s", i, status_text(tests[i].status));
    }
    assert_int_equal(tests[4].status, STATUS_NOT_A_MEMBER);
    assert_int_equal(tests[7].refusal, STATUS_NOT_A_MEMBER);
    assert_non_null(strstr(tests[2].state, "ScheduleUpdated"));
    if (tests[3].status == STATUS_OK)
        assert_non_null(strstr(tests[3].state, "ScheduleDeleted")); /* a repeat has none left */
    EXPECT_QUERY(world->db, "0:2 2:2",
                 "SELECT string_agg((id - %d) || ':' || version, ' ' ORDER BY id) FROM schedules "
                 "WHERE id >= %d",
                 KEPT, KEPT);
    for (size_t i = 0; i < ONE_OF_EACH; i++) {
        bool is_create = i == 0 || i == 1 || i == 5 || i == 9;
        if (is_create) {
            assert_int_equal(query_number(world->db, "SELECT count(*) FROM schedules WHERE id = %lld",
                                          (long long)tests[i].write.schedule_id),
                             1);
        }
    }
    assert_int_equal(rows(world), CREATED + 2);
    assert_int_equal(stored_offset(world, 0), 4);
    assert_int_equal(stored_offset(world, 1), 2);
    EXPECT_QUERY(world->db, "new", "SELECT name FROM users WHERE id = 9");
    assert_int_equal(emitted_records(world->db, world->slot, NULL, NULL), CREATED + CHANGES + RECORDS);
}

/* In a process of its own, as a process has one writer. */
static int store_one_of_each(size_t nth)
{
    void *state;
    struct test_write tests[ONE_OF_EACH];
    struct partition partitions[] = {{.topic = "commands", .number = 0}, {.topic = "commands", .number = 1}};
    struct buf record;
    make_record_bytes(&record);
    set_up_without_writer(&state);
    struct world *world = state;
    make_existing(world);
    make_one_of_each(tests, partitions, buf_slice(&record));
    failing_malloc_arm(nth);
    start_writer(world, getenv("TEST_DATABASE_URL"));
    if (world->writer != NULL) store(world, tests, ONE_OF_EACH);
    bool failed = failing_malloc_disarm();
    if (world->writer != NULL) expect_one_of_each(world, tests);
    else assert_true(failed);
    tear_down(&state);
    buf_done(&record);
    return failed ? WENT_WELL : NONE_TO_FAIL;
}

static void each_allocation_may_fail_once(void **state)
{
    (void)state;
    size_t nth = 0;
    for (int said = WENT_WELL; said == WENT_WELL;) {
        int status = 0;
        nth++;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) exit(store_one_of_each(nth));
        assert_int_equal(waitpid(child, &status, 0), child);
        said = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (said != WENT_WELL && said != NONE_TO_FAIL) fail_msg("without allocation %zu: wait status %d", nth, status);
    }
    print_message("%zu allocations\n", nth - 1);
    assert_true(nth > 20);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_AWAY(name) cmocka_unit_test_setup_teardown(name, set_up_away, tear_down)
#define TEST_LIMITED(name) cmocka_unit_test_setup_teardown(name, set_up_with_limit, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(stores_http_writes_with_all_their_columns),
        TEST(stores_commands_and_moves_their_offset),
        TEST(stores_partitions_of_both_lanes_and_http_at_once),
        TEST(emits_a_record_and_stores_no_row),
        TEST(a_repeated_command_gets_the_original_id),
        TEST(a_command_twice_in_one_batch_makes_one_row),
        TEST(other_content_under_a_used_id_is_refused_and_its_neighbours_stored),
        TEST(other_content_within_one_batch_is_refused_too),
        TEST(what_comes_after_a_refused_create_is_judged_by_its_neighbours),
        TEST(the_first_with_an_id_is_the_original_in_a_large_batch_too),
        TEST(many_conflicts_in_one_batch_are_all_refused),
        TEST(strangers_are_refused_and_their_neighbours_stored),
        TEST(a_refused_command_is_replaced_by_its_record),
        TEST(a_poison_row_is_found_by_halving_and_its_neighbours_stored),
        TEST(a_poison_command_is_replaced_and_nothing_is_skipped),
        TEST(what_another_consumer_settled_is_dropped),
        TEST(an_offset_that_moved_back_ends_the_partitions_commands),
        TEST(an_offset_row_that_vanished_ends_the_partitions_commands),
        TEST(a_command_read_twice_is_stored_once),
        TEST(a_revoked_partition_ends_its_queued_commands),
        TEST(a_connection_killed_in_the_middle_is_retried),
        TEST(a_commit_of_unknown_outcome_makes_no_second_row),
        TEST(a_cancelled_statement_is_retried),
        TEST(the_later_default_of_one_batch_wins),
        TEST(only_a_new_default_schedule_moves_the_default),
        TEST(an_update_sets_what_it_names_and_lends_the_state),
        TEST(a_delete_leaves_no_row_and_remembers_its_commands),
        TEST(a_create_that_waits_for_its_delete_makes_nothing),
        TEST(no_schedule_comes_back_in_ten_thousand_tries),
        TEST(one_that_came_back_under_an_earlier_build_can_be_deleted),
        TEST(changes_are_refused_for_their_reasons),
        TEST(commands_of_all_kinds_in_one_batch_happen_in_their_order),
        TEST_LIMITED(a_batch_brings_no_user_beyond_the_limit),
        TEST_LIMITED(at_the_limit_only_what_makes_one_more_is_refused),
        TEST_LIMITED(creates_of_one_user_are_counted_one_after_the_other),
        TEST(a_new_default_gives_the_former_one_a_version),
        TEST(a_repeated_key_gets_the_first_state),
        TEST(a_key_that_is_under_way_is_not_waited_for),
        TEST(an_update_of_unknown_outcome_happens_once),
        TEST_AWAY(http_writes_are_given_up_at_their_deadline),
        TEST_AWAY(a_write_without_deadline_waits),
        TEST_AWAY(a_full_queue_turns_http_writes_away_and_no_commands),
        TEST(a_shut_writer_turns_http_away_and_keeps_commands),
        TEST(rows_larger_than_a_batch_are_stored_one_by_one),
        cmocka_unit_test(each_allocation_may_fail_once),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
