/* A full batch is sent while the one before it is under way. TEST_DATABASE_URL as in test_writer.c. */
#include "store/batch.h"
#include "writer_support.h"

enum { COUNT = 2 * BATCH_ROWS_MAX + 100 };

static struct test_write tests[COUNT];

static void make_all(struct partition *partition)
{
    for (size_t i = 0; i < COUNT; i++) make_command(&tests[i], 1000 + i, partition, (int64_t)i);
}

/* Until two batches are under way, of which the first is held up. */
static PGconn *send_two(struct world *world)
{
    PGconn *blocker = block_writes();
    submit(world, tests, COUNT);
    RUN_UNTIL(world->base, world->partition.sent_batches == 2 && blocked_writers(world) == 1);
    return blocker;
}

static int done_in_all(void)
{
    int done = 0;
    for (size_t i = 0; i < COUNT; i++) done += tests[i].done;
    return done;
}

static void see_order(void *ctx, const struct record *record)
{
    size_t *seen = ctx;
    char id[24];
    snprintf(id, sizeof(id), "%lld", (long long)tests[*seen].pending_write.schedule_id);
    if (slice_equal(header_named(record, "ce_subject"), slice_of(id))) (*seen)++;
}

/* Each once, and in the order of the offsets. */
static void expect_all_stored(struct world *world)
{
    RUN_UNTIL(world->base, writer_pending(world->writer) == 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].done, 1);
        assert_int_equal(tests[i].status, STATUS_OK);
    }
    assert_int_equal(stored_offset(world, 0), COUNT);
    assert_true(partition_is_idle(&world->partition));
    assert_int_equal(world->partition.sent_batches, 0);
    size_t seen = 0;
    assert_int_equal(emitted_records(world->db, world->slot, see_order, &seen), COUNT);
    assert_int_equal(seen, COUNT);
}

static void end_first_statement(struct world *world, const char *by)
{
    assert_int_equal(query_number(world->db,
                                  "SELECT count(%s(pid)) FROM pg_stat_activity WHERE datname = current_database() AND "
                                  "application_name = 'schedule-service writer' AND wait_event_type = 'Lock'",
                                  by),
                     1);
}

static void a_full_batch_is_sent_behind_the_one_under_way(void **state)
{
    struct world *world = *state;
    make_all(&world->partition);
    PGconn *blocker = send_two(world);
    release(blocker);
    expect_all_stored(world);
    assert_int_equal(rows(world), COUNT);
}

static void a_batch_that_is_not_full_waits_for_the_one_under_way(void **state)
{
    struct world *world = *state;
    make_all(&world->partition);
    PGconn *blocker = block_writes();
    submit(world, tests, BATCH_ROWS_MAX);
    RUN_UNTIL(world->base, blocked_writers(world) == 1);
    submit(world, tests + BATCH_ROWS_MAX, BATCH_ROWS_MAX - 1);
    for (int turn = 0; turn < 20; turn++) event_base_loop(world->base, EVLOOP_ONCE);
    assert_int_equal(world->partition.sent_batches, 1);
    submit(world, tests + 2 * BATCH_ROWS_MAX - 1, COUNT - 2 * BATCH_ROWS_MAX + 1);
    RUN_UNTIL(world->base, world->partition.sent_batches == 2);
    release(blocker);
    expect_all_stored(world);
}

static void what_was_sent_behind_a_failed_batch_is_stored_after_it(void **state)
{
    struct world *world = *state;
    make_all(&world->partition);
    PGconn *blocker = send_two(world);
    end_first_statement(world, "pg_cancel_backend");
    RUN_UNTIL(world->base, world->partition.hold.is_alone);
    assert_int_equal(done_in_all(), 0);
    assert_int_equal(stored_offset(world, 0), 0);
    release(blocker);
    expect_all_stored(world);
    assert_int_equal(rows(world), COUNT);
}

static void a_connection_lost_with_two_batches_loses_and_repeats_nothing(void **state)
{
    struct world *world = *state;
    make_all(&world->partition);
    PGconn *blocker = send_two(world);
    end_first_statement(world, "pg_terminate_backend");
    RUN_UNTIL(world->base, world->partition.hold.is_alone);
    release(blocker);
    expect_all_stored(world);
    assert_int_equal(rows(world), COUNT);
}

/* Both batches are committed, and nobody tells. */
static void two_commits_of_unknown_outcome_make_no_second_row(void **state)
{
    struct world *world = *state;
    make_all(&world->partition);
    PGconn *blocker = send_two(world);
    assert_true(deafen(world, blocker) > 0);
    RUN_UNTIL(world->base, world->partition.sent_batches == 0);
    release(blocker);
    WAIT_UNTIL(rows(world) >= BATCH_ROWS_MAX); /* committed, and the writer was not told */
    RUN_UNTIL(world->base, writer_pending(world->writer) == 0);
    assert_int_equal(done_in_all(), COUNT);
    assert_int_equal(stored_offset(world, 0), COUNT);
    expect_rows_and_events(world, COUNT);
}

static void a_refusal_in_the_first_batch_costs_the_second_nothing(void **state)
{
    struct world *world = *state;
    struct buf record;
    make_record_bytes(&record);
    make_all(&world->partition);
    tests[100].pending_write.command.user_id = STRANGER;
    tests[100].replacement = buf_slice(&record);
    PGconn *blocker = send_two(world);
    release(blocker);
    RUN_UNTIL(world->base, writer_pending(world->writer) == 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].done, 1);
        assert_int_equal(tests[i].status, STATUS_OK);
        assert_int_equal(tests[i].refused, i == 100);
    }
    assert_int_equal(rows(world), COUNT - 1);
    assert_int_equal(stored_offset(world, 0), COUNT);
    buf_done(&record);
}

/* What another consumer has stored meanwhile is dropped, in whatever batch it is. */
static void an_offset_that_moved_on_under_two_batches_drops_what_is_below(void **state)
{
    enum { STORED = BATCH_ROWS_MAX + 10 };
    struct world *world = *state;
    make_all(&world->partition);
    execute(world->db, "UPDATE command_offsets SET next_offset = %d WHERE topic = 'commands' AND partition = 0", STORED);
    submit(world, tests, COUNT);
    RUN_UNTIL(world->base, writer_pending(world->writer) == 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].done, 1);
        assert_int_equal(tests[i].status, i < STORED ? STATUS_DUPLICATE : STATUS_OK);
    }
    assert_int_equal(rows(world), COUNT - STORED);
    assert_int_equal(stored_offset(world, 0), COUNT);
}

static void a_revoked_partition_ends_both_batches(void **state)
{
    struct world *world = *state;
    make_all(&world->partition);
    PGconn *blocker = send_two(world);
    size_t waiting = world->partition.waiting.len;
    writer_drop_partition(world->writer, &world->partition);
    assert_int_equal(done_in_all(), waiting);
    end_first_statement(world, "pg_cancel_backend");
    RUN_UNTIL(world->base, writer_pending(world->writer) == 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].done, 1);
        assert_int_equal(tests[i].status, STATUS_OFFSET_MOVED);
    }
    release(blocker);
    assert_true(partition_is_idle(&world->partition));
    assert_int_equal(world->partition.sent_batches, 0);
    assert_int_equal(rows(world), 0);
}

/* Of two partitions of one connection one stands still in front of full batches: the other goes on. */
static void a_row_in_the_way_holds_back_no_other_partition(void **state)
{
    static struct test_write others[COUNT];
    struct world *world = *state;
    struct partition other = {.topic = "commands", .number = 2};
    execute(world->db, "CREATE OR REPLACE FUNCTION in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                       "IF NEW.name = 'in the way' THEN RAISE 'so it is'; END IF; RETURN NEW; END $$");
    execute(world->db, "CREATE TRIGGER in_the_way BEFORE INSERT ON schedules FOR EACH ROW EXECUTE FUNCTION in_the_way()");
    make_all(&world->partition);
    for (size_t i = 0; i < COUNT; i++) make_command(&others[i], 10000 + i, &other, (int64_t)i);
    tests[10].pending_write.command.schedule.name = SLICE("in the way");
    for (size_t i = 0; i < COUNT; i++) {
        submit(world, &tests[i], 1);
        submit(world, &others[i], 1);
    }
    RUN_UNTIL(world->base, stored_offset(world, 2) == COUNT && partition_is_waiting(&world->partition));
    assert_int_equal(stored_offset(world, 0), 10);
    execute(world->db, "DROP FUNCTION in_the_way CASCADE");
    RUN_UNTIL(world->base, writer_pending(world->writer) == 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(tests[i].done, 1);
        assert_int_equal(tests[i].status, STATUS_OK);
        assert_int_equal(others[i].done, 1);
        assert_int_equal(others[i].status, STATUS_OK);
    }
    assert_int_equal(stored_offset(world, 0), COUNT);
    assert_int_equal(rows(world), 2 * COUNT);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest all[] = {
        TEST(a_full_batch_is_sent_behind_the_one_under_way),
        TEST(a_batch_that_is_not_full_waits_for_the_one_under_way),
        TEST(what_was_sent_behind_a_failed_batch_is_stored_after_it),
        TEST(a_connection_lost_with_two_batches_loses_and_repeats_nothing),
        TEST(two_commits_of_unknown_outcome_make_no_second_row),
        TEST(a_refusal_in_the_first_batch_costs_the_second_nothing),
        TEST(an_offset_that_moved_on_under_two_batches_drops_what_is_below),
        TEST(a_revoked_partition_ends_both_batches),
        TEST(a_row_in_the_way_holds_back_no_other_partition),
    };
    return run_each_in_a_process(argc, argv, all, ARRAY_LEN(all));
}
