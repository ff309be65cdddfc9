/* Any allocation of the writer may fail. */
#include "failing_malloc.h"
#include "writer_support.h"

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
    tests[1].pending_write.has_key = true;
    make_write(&tests[2], 3);
    make_change(&tests[2], COMMAND_UPDATE, KEPT);
    make_write(&tests[3], 4);
    make_change(&tests[3], COMMAND_DELETE, GONE);
    make_write(&tests[4], 5);
    tests[4].pending_write.command.user_id = STRANGER;
    make_command(&tests[5], 6, &partitions[0], 0);
    tests[5].pending_write.command.schedule.windows = windows;
    tests[5].pending_write.command.schedule.windows_len = ARRAY_LEN(windows);
    tests[5].pending_write.command.schedule.overrides = overrides;
    tests[5].pending_write.command.schedule.overrides_len = ARRAY_LEN(overrides);
    make_command(&tests[6], 7, &partitions[0], 1);
    make_change(&tests[6], COMMAND_UPDATE, CHANGED);
    make_command(&tests[7], 8, &partitions[0], 2);
    tests[7].pending_write.command.user_id = STRANGER;
    tests[7].replacement = record;
    make_command(&tests[8], 9, &partitions[0], 3);
    tests[8].pending_write.kind = WRITE_RECORD;
    tests[8].pending_write.record = record;
    make_command(&tests[9], 10, &partitions[1], 0);
    make_command(&tests[10], 11, &partitions[1], 1);
    tests[10].pending_write.kind = WRITE_ENTRY;
    tests[10].pending_write.entry = SLICE("{\"type\":\"user\",\"id\":9,\"name\":\"new\"}");
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
                                          (long long)tests[i].pending_write.schedule_id),
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail_once),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
