/* The command's own rules: its ids, and the refusals that only the database can see. */
#include "zones.h"

#include "core/command.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define ID_FAULT "commandId isUuid: commandId must be a UUID\n"
#define ORG_FAULT "orgId min: orgId must be a positive integer, or 0 for none\n"
#define USER_FAULT "userId isPositive: userId must be a positive integer\n"

static struct command_input good_input(void)
{
    return (struct command_input){
        .command_id = {INPUT_GIVEN, SLICE(ID)},
        .org_id = {7, true},
        .user_id = {478, true},
        .schedule_id = {0, true},
        .expected_version = {0, true},
        .schedule = {.name = {INPUT_GIVEN, SLICE("n")},
                     .time_zone = {INPUT_GIVEN, SLICE("UTC")},
                     .is_default = {INPUT_GIVEN, false}},
    };
}

static void expect_at(const struct command_input *input, int64_t org_id, int64_t user_id, const char *want, int line)
{
    struct arena *arena = make_arena();
    struct command command;
    struct violations violations = {0};
    struct buf text;
    buf_init(&text, 1 << 20);
    enum status status = command_check(input, zones, arena, &command, &violations);
    render_violations(&text, &violations);
    expect_bytes_at(buf_slice(&text), slice_of(want), __FILE__, line);
    assert_int_equal(status, want[0] == '\0' ? STATUS_OK : STATUS_INVALID);
    assert_int_equal(command.org_id, org_id);
    assert_int_equal(command.user_id, user_id);
    buf_done(&text);
    arena_free(arena);
}

#define EXPECT(input_, org_, user_, want_) expect_at((input_), (org_), (user_), (want_), __LINE__)

static void takes_a_good_command(void **state)
{
    (void)state;
    struct command_input input = good_input();
    EXPECT(&input, 7, 478, "");
    input.org_id.value = 0;
    EXPECT(&input, 0, 478, "");
    input.org_id.value = INT64_MAX;
    input.user_id.value = INT64_MAX;
    EXPECT(&input, INT64_MAX, INT64_MAX, "");
}

static void rejects_ids_out_of_range(void **state)
{
    (void)state;
    struct command_input input = good_input();
    input.org_id.value = -1;
    EXPECT(&input, 0, 478, ORG_FAULT);
    input.org_id.value = INT64_MIN;
    EXPECT(&input, 0, 478, ORG_FAULT);
    input.user_id.value = 0;
    EXPECT(&input, 0, 0, ORG_FAULT USER_FAULT);
    input.org_id.value = 7;
    input.user_id.value = -5;
    EXPECT(&input, 7, 0, USER_FAULT);
}

static void rejects_ids_that_could_not_be_read(void **state)
{
    (void)state;
    struct command_input input = good_input();
    input.org_id.is_usable = false;
    EXPECT(&input, 0, 478, ORG_FAULT);
    input.user_id.is_usable = false;
    EXPECT(&input, 0, 0, ORG_FAULT USER_FAULT);
}

static void rejects_a_command_id_that_is_no_uuid(void **state)
{
    static const struct input_text wrong[] = {
        {INPUT_ABSENT, {NULL, 0}}, {INPUT_OTHER, {NULL, 0}},     {INPUT_GIVEN, {"", 0}},
        {INPUT_GIVEN, {"x", 1}},   {INPUT_GIVEN, {ID "\0", 37}}, {INPUT_GIVEN, {ID, 35}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct command_input input = good_input();
        input.command_id = wrong[i];
        EXPECT(&input, 7, 478, ID_FAULT);
    }
}

static void tells_the_ids_faults_before_the_schedules(void **state)
{
    (void)state;
    struct command_input input = {0};
    EXPECT(&input, 0, 0,
           ID_FAULT ORG_FAULT USER_FAULT "name isString: name must be a string\n"
                                         "timeZone isTimeZone: timeZone must be a valid IANA time-zone\nisDefault "
                                         "isBoolean: isDefault must be a boolean value\n");
}

static void keeps_the_command_id_of_a_rejected_command(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    struct command_input input = good_input();
    struct command command;
    struct violations violations = {0};
    struct uuid wanted;
    input.user_id.value = 0;
    assert_int_equal(command_check(&input, zones, arena, &command, &violations), STATUS_INVALID);
    assert_true(uuid_parse(SLICE(ID), &wanted));
    assert_memory_equal(command.command_id.bytes, wanted.bytes, 16);
    arena_free(arena);
}

static void says_too_large_when_the_arena_is_full(void **state)
{
    (void)state;
    struct arena *arena = arena_new(16);
    struct command_input input = {0};
    struct command command;
    struct violations violations = {0};
    assert_int_equal(command_check(&input, zones, arena, &command, &violations), STATUS_TOO_LARGE);
    arena_free(arena);
}

static void a_change_names_a_schedule_and_may_name_a_version(void **state)
{
    (void)state;
    struct command_input input = good_input();
    input.kind = COMMAND_UPDATE;
    EXPECT(&input, 7, 478, "scheduleId isPositive: scheduleId must be a positive integer\n");
    input.schedule_id.value = 254;
    EXPECT(&input, 7, 478, "");
    input.expected_version.value = -1;
    EXPECT(&input, 7, 478, "expectedVersion min: expectedVersion must be a positive integer, or 0 for any\n");
    input.expected_version = (struct input_id){3, true};
    input.kind = COMMAND_DELETE;
    EXPECT(&input, 7, 478, "");
}

static void an_update_checks_only_what_it_sets(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    struct command_input input = {.kind = COMMAND_UPDATE,
                                  .command_id = {INPUT_GIVEN, SLICE(ID)},
                                  .org_id = {0, true},
                                  .user_id = {1, true},
                                  .schedule_id = {2, true},
                                  .expected_version = {9, true},
                                  .schedule = {.time_zone = {INPUT_GIVEN, SLICE("europe/rome")}}};
    struct command command;
    struct violations violations = {0};
    assert_int_equal(command_check(&input, zones, arena, &command, &violations), STATUS_OK);
    assert_int_equal(command.kind, COMMAND_UPDATE);
    assert_int_equal(command.schedule_id, 2);
    assert_int_equal(command.expected_version, 9);
    assert_int_equal(command.schedule.fields, SCHEDULE_TIME_ZONE);
    assert_text(command.schedule.time_zone, "Europe/Rome");
    arena_free(arena);
}

static void names_the_refusals_of_the_database(void **state)
{
    static const struct {
        enum status status;
        int64_t org_id;
        const char *text;
    } cases[] = {
        {STATUS_CONFLICT, 7, "commandId isUnique: commandId was used before with other content\n"},
        {STATUS_NOT_A_MEMBER, 7, "userId isUserInOrg: user with id=478 is not part of the organization with id=7.\n"},
        {STATUS_NOT_A_MEMBER, 0, "userId isUser: user with id=478 does not exist.\n"},
        {STATUS_NOT_FOUND, 0, "scheduleId exists: Schedule with ID=254 does not exist.\n"},
        {STATUS_NOT_THE_OWNER, 0, "scheduleId isOwner: User with ID=478 does not own schedule with ID=254\n"},
        {STATUS_OTHER_VERSION, 0, "expectedVersion isCurrent: the schedule's version is not 3\n"},
        {STATUS_AT_LIMIT, 0, "userId maxSchedules: user with id=478 has at most 1000 schedules.\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = make_arena();
        struct command command = {.org_id = cases[i].org_id, .user_id = 478, .schedule_id = 254, .expected_version = 3};
        struct violations violations = {0};
        struct buf text;
        buf_init(&text, 4096);
        command_refusal(&command, cases[i].status, 1000, arena, &violations);
        render_violations(&text, &violations);
        assert_buf(&text, cases[i].text);
        buf_done(&text);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_good_command),
        cmocka_unit_test(rejects_ids_out_of_range),
        cmocka_unit_test(rejects_ids_that_could_not_be_read),
        cmocka_unit_test(rejects_a_command_id_that_is_no_uuid),
        cmocka_unit_test(tells_the_ids_faults_before_the_schedules),
        cmocka_unit_test(keeps_the_command_id_of_a_rejected_command),
        cmocka_unit_test(says_too_large_when_the_arena_is_full),
        cmocka_unit_test(a_change_names_a_schedule_and_may_name_a_version),
        cmocka_unit_test(an_update_checks_only_what_it_sets),
        cmocka_unit_test(names_the_refusals_of_the_database),
    };
    return cmocka_run_group_tests(tests, zones_set_up, zones_tear_down);
}
