/* The query of the HTTP API's lists. */
#include "support.h"

#include <math.h>

#include "api/http_query.h"

static void assert_value(const char *target, const char *name, const char *want)
{
    struct arena *arena = make_arena();
    struct slice copy = exact_copy(slice_of(target));
    struct slice value;
    assert_true(query_value(copy, slice_of(name), arena, &value));
    if (want == NULL) assert_null(value.data);
    else assert_text(value, want);
    free_copy(copy);
    arena_free(arena);
}

static void finds_a_parameter_by_its_name(void **state)
{
    (void)state;
    assert_value("/v2/schedules?take=5", "take", "5");
    assert_value("/v2/schedules?a=1&take=5&b", "take", "5");
    assert_value("/v2/schedules?take=5=6", "take", "5=6");
    assert_value("/v2/schedules?take", "take", "");
    assert_value("/v2/schedules?take=&b=1", "take", "");
    assert_value("/v2/schedules?t%61ke=5", "take", "5");
    assert_value("/v2/schedules?&&take=5&", "take", "5");
    assert_value("/v2/schedules?=x&take=5", "take", "5");
}

static void finds_nothing_where_there_is_none(void **state)
{
    (void)state;
    assert_value("/v2/schedules", "take", NULL);
    assert_value("/v2/schedules?", "take", NULL);
    assert_value("", "take", NULL);
    assert_value("/v2/take=5", "take", NULL);
    assert_value("/v2/schedules?Take=5&taken=5&take[]=5&tak=5", "take", NULL);
    assert_value("/v2/schedules#?take=5", "take", NULL);
    assert_value("/v2/schedules?a=1#&take=5", "take", NULL);
}

static void takes_the_first_of_several(void **state)
{
    (void)state;
    assert_value("/?take=5&take=6", "take", "5");
    assert_value("/?take=&take=6", "take", "");
}

static void decodes_forms_and_leaves_what_is_malformed(void **state)
{
    (void)state;
    assert_value("/?a=%35+%2B%c3%A4", "a", "5 +\xc3\xa4");
    assert_value("/?a=%", "a", "%");
    assert_value("/?a=%3", "a", "%3");
    assert_value("/?a=%3g%zz5", "a", "%3g%zz5");
}

static void tells_when_the_arena_is_full(void **state)
{
    struct arena *arena = arena_new(8);
    struct slice value;
    (void)state;
    assert_false(query_value(SLICE("/?a-name-that-is-too-long=1"), SLICE("a"), arena, &value));
    arena_free(arena);
}

static void assert_number(const char *text, double want)
{
    assert_true(query_number(slice_of(text)) == want);
}

static void reads_the_digits_at_the_front(void **state)
{
    (void)state;
    assert_number("5", 5);
    assert_number("05", 5);
    assert_number("+5", 5);
    assert_number("-5", -5);
    assert_number(" \t\n5", 5);
    assert_number("5.9", 5);
    assert_number("5abc", 5);
    assert_number("1e3", 1);
    assert_number("0x10", 0);
    assert_number("-0", 0);
    assert_number("9007199254740992", 9007199254740992);
    assert_number("9007199254740993", 9007199254740992);
    assert_number("99999999999999999999", 1e20);
    assert_number("000000000000000000000000000000000000000000000000000000005", 5);
}

static void reads_more_digits_than_a_double_holds_as_infinity(void **state)
{
    char digits[400];
    (void)state;
    memset(digits, '9', sizeof(digits));
    assert_true(query_number((struct slice){digits, sizeof(digits)}) == INFINITY);
    assert_true(query_number((struct slice){digits, 309}) == INFINITY);
    assert_true(isfinite(query_number((struct slice){digits, 308})));
    digits[0] = '-';
    assert_true(query_number((struct slice){digits, sizeof(digits)}) == -INFINITY);
}

static void reads_no_number_where_there_is_none(void **state)
{
    static const char *const texts[] = {"",    " ",   "abc", "a5",  "-",        "+",       "--5",
                                        "+-5", "- 5", ".5",  "NaN", "Infinity", "\xd9\xa5"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) assert_true(isnan(query_number(slice_of(texts[i]))));
}

static void assert_page(const char *target, int64_t take, int64_t skip)
{
    struct arena *arena = make_arena();
    struct violations violations = {0};
    struct page page;
    json_t *values;
    assert_int_equal(query_page(slice_of(target), arena, &page, &values, &violations), STATUS_OK);
    assert_true(page.take == take);
    assert_true(page.skip == skip);
    assert_int_equal(violations.len, 0);
    json_decref(values);
    arena_free(arena);
}

static void begins_behind_the_cursor(void **state)
{
    struct arena *arena = make_arena();
    struct violations violations = {0};
    struct page page;
    json_t *values;
    (void)state;
    assert_int_equal(query_page(SLICE("/v2/x?cursor=9223372036854775807"), arena, &page, &values, &violations), STATUS_OK);
    assert_true(page.cursor == INT64_MAX);
    json_decref(values);
    assert_int_equal(query_page(SLICE("/v2/x?take=1"), arena, &page, &values, &violations), STATUS_OK);
    assert_true(page.cursor == 0);
    json_decref(values);
    arena_free(arena);
}

static void gives_the_page_that_is_asked_for(void **state)
{
    (void)state;
    assert_page("/v2/x", 250, 0);
    assert_page("/v2/x?take=&skip=", 250, 0);
    assert_page("/v2/x?take=1&skip=7", 1, 7);
    assert_page("/v2/x?skip=7&take=250", 250, 7);
    assert_page("/v2/x?take=5.9&skip=%205", 5, 5);
    assert_page("/v2/x?take=5&take=0", 5, 0);
    assert_page("/v2/x?skip=-0&eventTypeId=abc", 250, 0);
    assert_page("/v2/x?skip=10000&cursor=", 250, 10000);
    assert_page("/v2/x?skip=10000.9", 250, 10000);
}

/* The violations, then the values that were read. */
static void assert_refused(const char *target, const char *want_violations, const char *want_values)
{
    struct arena *arena = make_arena();
    struct violations violations = {0};
    struct page page;
    struct buf text;
    json_t *values;
    buf_init(&text, 1 << 16);
    assert_int_equal(query_page(slice_of(target), arena, &page, &values, &violations), STATUS_INVALID);
    render_violations(&text, &violations);
    assert_buf(&text, want_violations);
    char *dumped = json_dumps(values, JSON_COMPACT);
    assert_string_equal(dumped, want_values);
    free(dumped);
    buf_done(&text);
    json_decref(values);
    arena_free(arena);
}

#define TAKE_MAX_ "take max: take must not be greater than 250\n"
#define TAKE_MIN_ "take min: take must not be less than 1\n"
#define TAKE_NUMBER_ "take isNumber: take must be a number conforming to the specified constraints\n"
#define SKIP_MAX_ "skip max: skip must not be greater than 10000\n"
#define CURSOR_ "cursor isCursor: cursor must be one that an answer gave\n"
#define SKIP_MIN_ "skip min: skip must not be less than 0\n"
#define SKIP_NUMBER_ "skip isNumber: skip must be a number conforming to the specified constraints\n"

static void names_every_rule_that_is_broken(void **state)
{
    (void)state;
    assert_refused("/?take=0", TAKE_MIN_, "{\"take\":0}");
    assert_refused("/?take=-0", TAKE_MIN_, "{\"take\":0}");
    assert_refused("/?take=0x10", TAKE_MIN_, "{\"take\":0}");
    assert_refused("/?take=251&skip=3", TAKE_MAX_, "{\"take\":251,\"skip\":3}");
    assert_refused("/?take=99999999999999999999", TAKE_MAX_, "{\"take\":1e20}");
    assert_refused("/?take=abc", TAKE_MAX_ TAKE_MIN_ TAKE_NUMBER_, "{\"take\":null}");
    assert_refused("/?take=%20", TAKE_MAX_ TAKE_MIN_ TAKE_NUMBER_, "{\"take\":null}");
    assert_refused("/?skip=-1", SKIP_MIN_, "{\"skip\":-1}");
    assert_refused("/?skip=10001", SKIP_MAX_, "{\"skip\":10001}");
    assert_refused("/?skip=99999999999999999999", SKIP_MAX_, "{\"skip\":1e20}");
    assert_refused("/?cursor=x", CURSOR_, "{}");
    assert_refused("/?cursor=0", CURSOR_, "{}");
    assert_refused("/?cursor=-5", CURSOR_, "{}");
    assert_refused("/?cursor=9223372036854775808&take=7", CURSOR_, "{\"take\":7}");
    assert_refused("/?skip=x", SKIP_MAX_ SKIP_MIN_ SKIP_NUMBER_, "{\"skip\":null}");
    assert_refused("/?skip=-1&take=0", TAKE_MIN_ SKIP_MIN_, "{\"take\":0,\"skip\":-1}");
}

static void refuses_a_number_without_end(void **state)
{
    char target[420] = "/?skip=";
    (void)state;
    memset(target + 7, '9', 400);
    assert_refused(target, SKIP_MAX_ SKIP_NUMBER_, "{\"skip\":null}");
}

static void leaves_out_every_parameter_of_a_name(void **state)
{
    static const struct {
        const char *target;
        const char *want;
    } cases[] = {
        {"/a?x=1&cursor=2&y=3&%63ursor=4", "/a?x=1&y=3"}, {"/a?cursor=2", "/a"}, {"/a", "/a"}, {"/a?x=1#part", "/a?x=1"},
        {"/a?cursors=1&&cursor", "/a?cursors=1&"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = make_arena();
        struct slice copy = exact_copy(slice_of(cases[i].target));
        assert_text(query_without(copy, SLICE("cursor"), arena), cases[i].want);
        free_copy(copy);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_parameter_by_its_name),
        cmocka_unit_test(finds_nothing_where_there_is_none),
        cmocka_unit_test(takes_the_first_of_several),
        cmocka_unit_test(decodes_forms_and_leaves_what_is_malformed),
        cmocka_unit_test(tells_when_the_arena_is_full),
        cmocka_unit_test(reads_the_digits_at_the_front),
        cmocka_unit_test(reads_more_digits_than_a_double_holds_as_infinity),
        cmocka_unit_test(reads_no_number_where_there_is_none),
        cmocka_unit_test(gives_the_page_that_is_asked_for),
        cmocka_unit_test(begins_behind_the_cursor),
        cmocka_unit_test(names_every_rule_that_is_broken),
        cmocka_unit_test(refuses_a_number_without_end),
        cmocka_unit_test(leaves_out_every_parameter_of_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
