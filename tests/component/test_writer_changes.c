/* What writes make of schedules that are there: defaults, changes, repeats, and the limit of a user's schedules. */
#include "writer_support.h"

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
    tests[0].pending_write.command.schedule.is_default = true;
    tests[1].pending_write.command.schedule.is_default = true;
    tests[2].pending_write.command.schedule.is_default = true;
    tests[2].pending_write.command.user_id = OTHER_USER;
    store(world, tests, 5);
    assert_int_equal(default_of(world, USER), tests[1].pending_write.schedule_id);
    assert_int_equal(default_of(world, OTHER_USER), tests[2].pending_write.schedule_id);
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
        tests[i].pending_write.command.schedule.is_default = true;
        store(world, &tests[i], 1);
        assert_int_equal(default_of(world, USER), tests[i].pending_write.schedule_id);
    }
    make_write(&tests[3], 2); /* the older one again */
    tests[3].pending_write.command.schedule.is_default = true;
    store(world, &tests[3], 1);
    assert_int_equal(tests[3].status, STATUS_DUPLICATE);
    assert_int_equal(default_of(world, USER), tests[2].pending_write.schedule_id);
}

/* ---- changes ---- */

static int64_t stored_schedule(struct world *world, uint64_t number)
{
    struct test_write test;
    make_write(&test, number);
    store(world, &test, 1);
    assert_int_equal(test.status, STATUS_OK);
    return test.pending_write.schedule_id;
}

static void make_rename(struct test_write *test, uint64_t number, int64_t schedule_id, struct slice name)
{
    make_write(test, number);
    make_change(test, COMMAND_UPDATE, schedule_id);
    test->pending_write.command.schedule.fields = SCHEDULE_NAME;
    test->pending_write.command.schedule.name = name;
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
    assert_int_equal(tests[2].pending_write.schedule_id, id);
    assert_int_equal(rows(world), 0);
    expect_events(world, "C1 D2 ");
}

/* ---- a create that is repeated while its schedule is being deleted ---- */

/* Sends what deletes all schedules of the user in one transaction; end_query() waits for its end. */
static void send_deletes(PGconn *db)
{
    char sql[768];
    snprintf(
        sql, sizeof(sql),
        "SELECT write_run(0, array_agg(3), array_agg(id), array_agg(gen_random_uuid()), array_agg(command_digest),"
        " array_agg(%d::bigint), array_agg(%d::bigint), array_agg(NULL::text), array_agg(NULL::text), array_agg(NULL::json),"
        " array_agg(NULL::json), array_agg(NULL::boolean), array_agg(NULL::bigint), array_agg(NULL::text),"
        " array_agg(NULL::bytea), now()) FROM schedules WHERE owner_id = %d HAVING count(*) > 0",
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
    completed = 0;
    submit(world, again, 2);
    RUN_UNTIL(world->base, blocked_writers(world) == 1);
    release(deleter);
    RUN_UNTIL(world->base, completed == 2);
    assert_int_equal(again[0].status, STATUS_OK);
    assert_int_equal(again[1].status, STATUS_DUPLICATE);
    assert_int_equal(again[1].pending_write.schedule_id, id);
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
        completed = 0;
        if (round % 2 == 0) send_deletes(deleter);
        submit(world, tests, EACH);
        if (round % 2 == 1) {
            event_base_loop(world->base, EVLOOP_ONCE);
            send_deletes(deleter);
        }
        RUN_UNTIL(world->base, completed == EACH);
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
    execute(
        world->db,
        "INSERT INTO processed_commands SELECT command_id, command_digest, id - 1, NULL, now() + '1 day' FROM schedules");
    make_write(&tests[0], 1);
    make_write(&tests[1], 2);
    make_change(&tests[1], COMMAND_DELETE, id);
    make_write(&tests[2], 1);
    for (size_t i = 0; i < 3; i++) store(world, &tests[i], 1);
    assert_int_equal(tests[0].status, STATUS_DUPLICATE);
    assert_int_equal(tests[1].status, STATUS_OK);
    assert_int_equal(tests[2].status, STATUS_DUPLICATE);
    assert_int_equal(tests[2].pending_write.schedule_id, id);
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
    tests[0].pending_write.command.schedule_id = id + 1000000;
    tests[1].pending_write.command.user_id = OTHER_USER;
    execute(world->db, "INSERT INTO organizations (id, name) VALUES (%d, 'other')", ORG + 1);
    execute(world->db, "INSERT INTO memberships (org_id, user_id) VALUES (%d, %d)", ORG + 1, OTHER_USER);
    tests[2].pending_write.command.user_id = OTHER_USER;
    tests[2].pending_write.command.org_id = ORG + 1;
    tests[3].pending_write.command.user_id = STRANGER;
    tests[4].pending_write.command.expected_version = 2;
    tests[5].pending_write.command.command_id = uuid_v7(1, (const uint8_t *)"0123456789"); /* the create's */
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
    tests[2].pending_write.command.expected_version = 2;
    make_write(&tests[3], 5);
    make_change(&tests[3], COMMAND_DELETE, id);
    make_rename(&tests[4], 6, id, SLICE("d"));
    make_write(&tests[5], 7);
    for (int64_t i = 0; i < 6; i++) {
        tests[i].pending_write.partition = &world->partition;
        tests[i].pending_write.offset = i;
        tests[i].pending_write.deadline_us = 0;
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
    test->pending_write.has_key = true;
    memset(test->pending_write.key.bytes, 'k', sizeof(test->pending_write.key.bytes));
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
    for (size_t i = 0; i < COUNT; i += 3) tests[i].pending_write.command.user_id = OTHER_USER;
    for (size_t i = 0; i < COUNT; i += 2) tests[i].pending_write.command.org_id = 0; /* wherever they are */
    store(world, tests, COUNT);
    size_t made[2] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        bool fits = made[i % 3 == 0]++ < SCHEDULES_MAX; /* the first ones do */
        assert_int_equal(tests[i].status, fits ? STATUS_OK : STATUS_AT_LIMIT);
        assert_int_equal(tests[i].pending_write.schedules_max, fits ? 0 : SCHEDULES_MAX);
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
    tests[5].pending_write.command.user_id = OTHER_USER;
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
    tests[0].pending_write.command.schedule.is_default = true;
    store(world, tests, 1);
    make_write(&tests[1], 3);
    make_change(&tests[1], COMMAND_UPDATE, id);
    tests[1].pending_write.command.schedule = (struct schedule){.fields = SCHEDULE_IS_DEFAULT, .is_default = true};
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
    make_rename(&rename, 2, first.pending_write.schedule_id, SLICE("new"));
    store(world, &rename, 1);
    for (size_t i = 0; i < 2; i++) make_keyed(&again[i], i + 3);
    again[1].pending_write.command.schedule.name = SLICE("other");
    store(world, again, 2);
    assert_int_equal(again[0].status, STATUS_DUPLICATE);
    assert_int_equal(again[0].pending_write.schedule_id, first.pending_write.schedule_id);
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

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_LIMITED(name) cmocka_unit_test_setup_teardown(name, set_up_with_limit, tear_down)
    const struct CMUnitTest tests[] = {
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
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
