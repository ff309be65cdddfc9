/* The directory's rules and keys. */
#include "zones.h"

#include "core/directory.h"

#define GIVEN(literal_)              \
    {                                \
        INPUT_GIVEN, SLICE(literal_) \
    }
#define TYPE_FAULT \
    "type isIn: type must be one of the following values: organization, user, membership, team, team-membership\n"
#define ID_FAULT(name_) name_ " isPositive: " name_ " must be a positive integer of at most 18 digits\n"
#define NAME_FAULT "name isString: name must be a string\n"
#define ROLE_FAULT "role isIn: role must be one of the following values: OWNER, ADMIN, MEMBER\n"

static struct directory_input user_input(void)
{
    return (struct directory_input){.type = GIVEN("user"), .ids[DIRECTORY_ID] = {5, true}, .name = GIVEN("Ada")};
}

static struct directory_input membership_input(void)
{
    return (struct directory_input){
        .type = GIVEN("membership"),
        .ids = {[DIRECTORY_ORG_ID] = {1, true}, [DIRECTORY_USER_ID] = {5, true}},
        .role = GIVEN("ADMIN"),
    };
}

static struct directory_entry expect_at(const struct directory_input *input, const char *want, int line)
{
    struct arena *arena = make_arena();
    struct directory_entry entry = {0};
    struct violations violations = {0};
    struct buf text;
    buf_init(&text, 1 << 20);
    enum status status = directory_check(input, zones, arena, &entry, &violations);
    render_violations(&text, &violations);
    expect_bytes_at(buf_slice(&text), slice_of(want), __FILE__, line);
    assert_int_equal(status, want[0] == '\0' ? STATUS_OK : STATUS_INVALID);
    buf_done(&text);
    arena_free(arena);
    return entry; /* its texts are the input's, the zones' and static */
}

#define EXPECT(input_, want_) expect_at((input_), (want_), __LINE__)

static void takes_an_entry_of_each_type(void **state)
{
    (void)state;
    static const char *const names[] = {"organization", "user", "membership", "team", "team-membership"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct directory_input input = {
            .type = {INPUT_GIVEN, slice_of(names[i])},
            .ids = {{1, true}, {2, true}, {3, true}, {DIRECTORY_ID_MAX, true}},
            .name = GIVEN(""),
            .role = GIVEN("OWNER"),
        };
        struct directory_entry entry = EXPECT(&input, "");
        assert_text(directory_type_name(entry.type), names[i]);
    }
}

static void keeps_only_what_the_type_has(void **state)
{
    (void)state;
    struct directory_input input = user_input();
    input.ids[DIRECTORY_ORG_ID] = (struct input_id){7, false};
    input.role = (struct input_text)GIVEN("KING");
    struct directory_entry entry = EXPECT(&input, "");
    assert_int_equal(entry.ids[DIRECTORY_ID], 5);
    assert_int_equal(entry.ids[DIRECTORY_ORG_ID], 0);
    assert_null(entry.role.data);
    assert_null(entry.time_zone.data);
}

static void gives_the_time_zone_in_its_iana_spelling(void **state)
{
    (void)state;
    struct directory_input input = user_input();
    input.time_zone = (struct input_text)GIVEN("europe/ROME");
    assert_text(EXPECT(&input, "").time_zone, "Europe/Rome");
}

static void rejects_what_is_no_zone(void **state)
{
    (void)state;
    static const struct input_text bad[] = {GIVEN("Mars/Base"), GIVEN(""), {INPUT_OTHER, {NULL, 0}}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct directory_input input = user_input();
        input.time_zone = bad[i];
        EXPECT(&input, "timeZone isTimeZone: timeZone must be a valid IANA time-zone\n");
    }
}

static void rejects_types_that_are_none(void **state)
{
    (void)state;
    static const struct input_text bad[] = {
        GIVEN("User"), GIVEN(""), GIVEN("users"), {INPUT_ABSENT, {NULL, 0}}, {INPUT_OTHER, {NULL, 0}}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct directory_input input = user_input();
        input.type = bad[i];
        EXPECT(&input, TYPE_FAULT);
    }
}

static void rejects_ids_out_of_range(void **state)
{
    (void)state;
    static const struct input_id bad[] = {
        {0, true}, {-1, true}, {DIRECTORY_ID_MAX + 1, true}, {INT64_MAX, true}, {5, false}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct directory_input input = membership_input();
        input.ids[DIRECTORY_USER_ID] = bad[i];
        EXPECT(&input, ID_FAULT("userId"));
    }
}

static void rejects_roles_that_are_none(void **state)
{
    (void)state;
    static const struct input_text bad[] = {GIVEN("admin"), GIVEN(""), {INPUT_ABSENT, {NULL, 0}}, {INPUT_OTHER, {NULL, 0}}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct directory_input input = membership_input();
        input.role = bad[i];
        EXPECT(&input, ROLE_FAULT);
    }
}

static void lists_every_fault_at_once(void **state)
{
    (void)state;
    struct directory_input input = {.type = GIVEN("team"), .remove = {INPUT_OTHER, false}, .key = GIVEN("team/1")};
    EXPECT(&input, "remove isBoolean: remove must be a boolean value\n" ID_FAULT("id") ID_FAULT("orgId") NAME_FAULT);
    input = (struct directory_input){.type = GIVEN("team-membership")};
    EXPECT(&input, ID_FAULT("teamId") ID_FAULT("userId") ROLE_FAULT);
}

static void holds_names_to_the_rule_of_names(void **state)
{
    (void)state;
    struct directory_input input = user_input();
    input.name = (struct input_text)GIVEN("a\0b");
    EXPECT(&input, "name matches: name must not contain the character NUL\n");
    char longest[SCHEDULE_NAME_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    input.name.text = (struct slice){longest, SCHEDULE_NAME_MAX};
    EXPECT(&input, "");
    input.name.text.len++;
    EXPECT(&input, "name maxLength: name must be shorter than or equal to 255 characters\n");
}

static void asks_of_a_removal_only_what_identifies_it(void **state)
{
    (void)state;
    struct directory_input input = {.type = GIVEN("team"), .remove = {INPUT_GIVEN, true}, .ids[DIRECTORY_ID] = {3, true}};
    struct directory_entry entry = EXPECT(&input, "");
    assert_true(entry.is_removal);
    assert_int_equal(entry.ids[DIRECTORY_ID], 3);
    input.type = (struct input_text)GIVEN("membership");
    EXPECT(&input, ID_FAULT("orgId") ID_FAULT("userId"));
}

static void rejects_a_key_that_is_not_the_entrys(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",       "membership/5/1", "membership/1/05", "membership/1/5/",
                                        "user/5", "membership/1"};
    struct directory_input input = membership_input();
    input.key = (struct input_text)GIVEN("membership/1/5");
    EXPECT(&input, "");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        input.key.text = slice_of(wrong[i]);
        EXPECT(&input, "key equals: key must be membership/1/5\n");
    }
}

static void formats_and_parses_the_keys_of_each_type(void **state)
{
    (void)state;
    static const char *const keys[] = {"organization/1",         "user/5", "membership/1/5", "team/3", "team-membership/3/5",
                                       "user/999999999999999999"};
    struct arena *arena = make_arena();
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct slice key = exact_copy(slice_of(keys[i]));
        struct directory_input input;
        assert_true(directory_key_parse(key, &input));
        struct directory_entry entry = EXPECT(&input, "");
        assert_true(entry.is_removal);
        assert_text(directory_key_format(&entry, arena), keys[i]);
        free_copy(key);
    }
    arena_free(arena);
}

static void parses_no_other_key(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/",
                                      "user",
                                      "user/",
                                      "user//5",
                                      "user/0",
                                      "user/05",
                                      "user/-5",
                                      "user/+5",
                                      "user/ 5",
                                      "user/5x",
                                      "user/5/",
                                      "user/5/6",
                                      "User/5",
                                      "membership/1",
                                      "membership/1/",
                                      "membership/1/5/6",
                                      "user/1000000000000000000",
                                      "user/99999999999999999999999",
                                      "schedule/5",
                                      "5"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice key = exact_copy(slice_of(bad[i]));
        struct directory_input input;
        if (directory_key_parse(key, &input)) fail_msg("took %s", bad[i]);
        free_copy(key);
    }
    struct directory_input input;
    assert_false(directory_key_parse((struct slice){NULL, 0}, &input));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_an_entry_of_each_type),
        cmocka_unit_test(keeps_only_what_the_type_has),
        cmocka_unit_test(gives_the_time_zone_in_its_iana_spelling),
        cmocka_unit_test(rejects_what_is_no_zone),
        cmocka_unit_test(rejects_types_that_are_none),
        cmocka_unit_test(rejects_ids_out_of_range),
        cmocka_unit_test(rejects_roles_that_are_none),
        cmocka_unit_test(lists_every_fault_at_once),
        cmocka_unit_test(holds_names_to_the_rule_of_names),
        cmocka_unit_test(asks_of_a_removal_only_what_identifies_it),
        cmocka_unit_test(rejects_a_key_that_is_not_the_entrys),
        cmocka_unit_test(formats_and_parses_the_keys_of_each_type),
        cmocka_unit_test(parses_no_other_key),
    };
    return cmocka_run_group_tests(tests, zones_set_up, zones_tear_down);
}
