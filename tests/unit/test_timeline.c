/* What a server has of the timelines before its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "relay/timeline.h"

static void an_ancestor_ends_where_it_was_left(void **state)
{
    (void)state;
    struct timeline_history history = {.timeline = 5};
    assert_true(timeline_history_read(SLICE("1\t0/3000098\tno recovery target specified\n\n"
                                            "# by hand\n"
                                            "3\t16/B374D848\tbefore 2024-05-20 17:00:00+00\n"),
                                      &history));
    assert_int_equal(timeline_end(&history, 1), 0x3000098);
    assert_int_equal(timeline_end(&history, 3), 0x16B374D848);
    assert_true(timeline_end(&history, 5) == UINT64_MAX);
    assert_int_equal(timeline_end(&history, 2), 0); /* a branch that this server does not come from */
    assert_int_equal(timeline_end(&history, 6), 0);
}

static void the_first_timeline_has_no_ancestors(void **state)
{
    (void)state;
    struct timeline_history history = {.timeline = 1};
    assert_true(timeline_history_read(SLICE(""), &history));
    assert_true(timeline_end(&history, 1) == UINT64_MAX);
    assert_int_equal(timeline_end(&history, 2), 0);
}

static void the_newest_ancestors_are_kept(void **state)
{
    (void)state;
    char text[16384];
    size_t len = 0;
    const unsigned int count = TIMELINE_ANCESTORS_MAX + 10;
    for (unsigned int i = 1; i <= count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%u\t0/%X\tx\n", i, i * 16);
    struct timeline_history history = {.timeline = count + 1};
    assert_true(timeline_history_read((struct slice){text, len}, &history));
    assert_int_equal(history.ancestors_len, TIMELINE_ANCESTORS_MAX);
    assert_int_equal(timeline_end(&history, count), count * 16);
    assert_int_equal(timeline_end(&history, 11), 11 * 16);
    assert_int_equal(timeline_end(&history, 10), 0);
}

static void what_is_no_history_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"x\t0/10\t", "0\t0/10\t", "4294967296\t0/10\t", "1",
                                        "1\t",       "1\t0x10\t", "\t0/10\t",           "-1\t0/10\t"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct timeline_history history = {.timeline = 2};
        assert_false(timeline_history_read(slice_of(texts[i]), &history));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ancestor_ends_where_it_was_left),
        cmocka_unit_test(the_first_timeline_has_no_ancestors),
        cmocka_unit_test(the_newest_ancestors_are_kept),
        cmocka_unit_test(what_is_no_history_is_refused),
    };
    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
