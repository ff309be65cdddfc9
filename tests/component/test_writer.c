/* The writer against a real PostgreSQL: what is stored and what refused, offsets, lost connections, and when writes are turned away. */
#include "writer_support.h"

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
    tests[1].pending_write.command.org_id = 0;
    tests[1].pending_write.command.schedule.name = SLICE("Caf\xc3\xa9 \"x\"\n");
    tests[1].pending_write.command.schedule.windows = windows;
    tests[1].pending_write.command.schedule.windows_len = 1;
    tests[1].pending_write.command.schedule.overrides = overrides;
    tests[1].pending_write.command.schedule.overrides_len = 1;
    tests[1].pending_write.traceparent = SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    store(world, tests, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tests[i].status, STATUS_OK);
        assert_true(tests[i].pending_write.schedule_id > 0);
        assert_true(i == 0 || tests[i].pending_write.schedule_id > tests[i - 1].pending_write.schedule_id);
    }
    EXPECT_QUERY(world->db,
                 "f|478|Caf\xc3\xa9 "
                 "\"x\"\n|Europe/Rome|1|[{\"days\":[\"Monday\",\"Sunday\"],\"startTime\":\"09:00\",\"endTime\":\"17:00\"}]|"
                 "[{\"date\":\"2024-05-20\",\"startTime\":\"18:00\",\"endTime\":\"21:00\"}]",
                 "SELECT concat_ws('|', org_id IS NOT NULL, owner_id, name, time_zone, version, availability, overrides) "
                 "FROM schedules "
                 "WHERE id = %lld",
                 (long long)tests[1].pending_write.schedule_id);
    EXPECT_QUERY(world->db, "7|478|work|[]|[]",
                 "SELECT concat_ws('|', org_id, owner_id, name, availability, overrides) FROM schedules "
                 "WHERE id = %lld",
                 (long long)tests[0].pending_write.schedule_id);
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
    tests[1].pending_write.kind = WRITE_RECORD;
    tests[1].pending_write.record = buf_slice(&bytes);
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
    assert_int_equal(again[0].pending_write.schedule_id, first.pending_write.schedule_id);
    assert_int_equal(again[1].status, STATUS_OK);
    assert_int_equal(again[2].status, STATUS_DUPLICATE);
    assert_int_equal(again[2].pending_write.schedule_id, first.pending_write.schedule_id);
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
        assert_int_equal(tests[i].pending_write.schedule_id, tests[i - 2].pending_write.schedule_id);
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
    tests[2].pending_write.command.schedule.name = SLICE("other");
    store(world, tests, 5);
    for (size_t i = 0; i < 5; i++) assert_int_equal(tests[i].status, i == 2 ? STATUS_CONFLICT : STATUS_OK);
    assert_int_equal(tests[2].refused, 1);
    assert_int_equal(tests[2].refusal, STATUS_CONFLICT);
    EXPECT_QUERY(world->db, "work", "SELECT name FROM schedules WHERE id = %lld",
                 (long long)first.pending_write.schedule_id);
    expect_rows_and_events(world, 5);
}

static void other_content_within_one_batch_is_refused_too(void **state)
{
    struct world *world = *state;
    struct test_write tests[2];
    make_write(&tests[0], 1);
    make_write(&tests[1], 1);
    tests[1].pending_write.command.schedule.is_default = true;
    store(world, tests, 2);
    assert_int_equal(tests[0].status, STATUS_OK);
    assert_int_equal(tests[1].status, STATUS_CONFLICT);
    expect_rows_and_events(world, 1);
}

static void what_comes_after_a_refused_create_is_checked_by_its_neighbours(void **state)
{
    struct world *world = *state;
    struct test_write first;
    struct test_write tests[6];
    const uint64_t numbers[] = {11, 10, 12, 10, 13, 10}; /* creates with changes between them, which end a statement */
    const enum status expected[] = {STATUS_NOT_A_MEMBER, STATUS_OK, STATUS_OK, STATUS_CONFLICT, STATUS_OK, STATUS_DUPLICATE};
    make_write(&first, 1);
    store(world, &first, 1);
    for (size_t i = 0; i < 6; i++) make_command(&tests[i], numbers[i], &world->partition, (int64_t)i);
    tests[0].pending_write.command.user_id = STRANGER;
    tests[3].pending_write.command.schedule.name = SLICE("other");
    make_change(&tests[2], COMMAND_UPDATE, first.pending_write.schedule_id);
    make_change(&tests[4], COMMAND_UPDATE, first.pending_write.schedule_id);
    store(world, tests, 6);
    for (size_t i = 0; i < 6; i++) assert_int_equal(tests[i].status, expected[i]);
    EXPECT_QUERY(world->db, "work", "SELECT name FROM schedules WHERE id = %lld",
                 (long long)tests[1].pending_write.schedule_id);
}

static void the_first_with_an_id_is_the_original_in_a_large_batch_too(void **state)
{
    enum { COUNT = 400 };
    struct world *world = *state;
    static struct test_write tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        make_command(&tests[i], 1000 - i / 4, &world->partition, (int64_t)i);
        if (i % 4 != 0) tests[i].pending_write.command.schedule.name = SLICE("other");
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
        if (i % 3 != 0) tests[i].pending_write.command.schedule.name = SLICE("other");
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
    tests[1].pending_write.command.user_id = STRANGER;
    tests[2].pending_write.command.org_id = ORG + 1;
    tests[3].pending_write.command.org_id = 0;
    tests[3].pending_write.command.user_id = STRANGER;
    tests[4].pending_write.command.org_id = 0;
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
    tests[0].pending_write.command.user_id = STRANGER;
    tests[4].pending_write.command.command_id = tests[3].pending_write.command.command_id;
    tests[4].pending_write.command.schedule.name = SLICE("other");
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
    tests[17].pending_write.command.schedule.name = SLICE("a\0b");
    tests[63].pending_write.command.schedule.name = SLICE("\xff\xfe");
    tests[99].pending_write.command.schedule.time_zone = SLICE("");
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
    tests[0].pending_write.command.schedule.name = SLICE("a\0b");
    tests[21].pending_write.command.schedule.name = SLICE("a\0b");
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

static void what_another_consumer_completed_is_dropped(void **state)
{
    struct world *world = *state;
    struct test_write tests[10];
    execute(world->db, "UPDATE command_offsets SET next_offset = 6 WHERE partition = 0");
    for (size_t i = 0; i < 10; i++) make_command(&tests[i], i + 1, &world->partition, (int64_t)i);
    store(world, tests, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(tests[i].status, i < 6 ? STATUS_DUPLICATE : STATUS_OK);
        if (i < 6) assert_int_equal(tests[i].pending_write.schedule_id, 0);
    }
    assert_int_equal(stored_offset(world, 0), 10);
    expect_rows_and_events(world, 4);
}

static void an_offset_that_moved_back_ends_the_partitions_commands(void **state)
{
    struct world *world = *state;
    struct test_write tests[6];
    struct partition other = {.topic = "commands", .number = 2}; /* of the same connection */
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
    assert_int_equal(completed, 2);
    RUN_UNTIL(world->base, completed == 4);
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
    assert_int_equal(completed, 0);
    release(blocker);
    RUN_UNTIL(world->base, completed == COUNT);
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
    assert_int_equal(completed, 0);
    RUN_UNTIL(world->base, completed == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].status, STATUS_DUPLICATE);
        bool is_http = i % 2 == 0;
        assert_int_equal(tests[i].pending_write.schedule_id > 0,
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
    RUN_UNTIL(world->base, completed == 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(tests[i].status, STATUS_OK);
    expect_rows_and_events(world, 2);
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
        tests[i].pending_write.deadline_us = start_us + 300000;
    }
    make_command(&command, 3, &world->partition, 0);
    submit(world, &command, 1);
    submit(world, tests, 2);
    RUN_UNTIL(world->base, completed == 2);
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
    tests[0].pending_write.deadline_us = 0;
    make_write(&tests[1], 2);
    tests[1].pending_write.deadline_us = clock_steady_us() + 300000;
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
        enum status status = writer_submit(world->writer, &tests[i].pending_write);
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
    assert_int_equal(completed, 0);
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
    assert_int_equal(writer_submit(world->writer, &http.pending_write), STATUS_UNAVAILABLE);
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
        tests[i].pending_write.command.schedule.windows = many;
        tests[i].pending_write.command.schedule.windows_len = i % 4 == 0 ? SCHEDULE_WINDOWS_MAX : 1;
    }
    store(world, tests, COUNT);
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(tests[i].status, STATUS_OK);
    expect_rows_and_events(world, COUNT);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_AWAY(name) cmocka_unit_test_setup_teardown(name, set_up_away, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(stores_http_writes_with_all_their_columns),
        TEST(stores_commands_and_moves_their_offset),
        TEST(stores_partitions_of_both_lanes_and_http_at_once),
        TEST(emits_a_record_and_stores_no_row),
        TEST(a_repeated_command_gets_the_original_id),
        TEST(a_command_twice_in_one_batch_makes_one_row),
        TEST(other_content_under_a_used_id_is_refused_and_its_neighbours_stored),
        TEST(other_content_within_one_batch_is_refused_too),
        TEST(what_comes_after_a_refused_create_is_checked_by_its_neighbours),
        TEST(the_first_with_an_id_is_the_original_in_a_large_batch_too),
        TEST(many_conflicts_in_one_batch_are_all_refused),
        TEST(strangers_are_refused_and_their_neighbours_stored),
        TEST(a_refused_command_is_replaced_by_its_record),
        TEST(a_poison_row_is_found_by_halving_and_its_neighbours_stored),
        TEST(a_poison_command_is_replaced_and_nothing_is_skipped),
        TEST(what_another_consumer_completed_is_dropped),
        TEST(an_offset_that_moved_back_ends_the_partitions_commands),
        TEST(an_offset_row_that_vanished_ends_the_partitions_commands),
        TEST(a_command_read_twice_is_stored_once),
        TEST(a_revoked_partition_ends_its_queued_commands),
        TEST(a_connection_killed_in_the_middle_is_retried),
        TEST(a_commit_of_unknown_outcome_makes_no_second_row),
        TEST(a_cancelled_statement_is_retried),
        TEST_AWAY(http_writes_are_given_up_at_their_deadline),
        TEST_AWAY(a_write_without_deadline_waits),
        TEST_AWAY(a_full_queue_turns_http_writes_away_and_no_commands),
        TEST(a_shut_writer_turns_http_away_and_keeps_commands),
        TEST(rows_larger_than_a_batch_are_stored_one_by_one),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
