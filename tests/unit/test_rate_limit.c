/* Fixed windows, blocks, several limits at once, and a table that never grows. */
#include "support.h"

#include <string.h>

#include "core/rate_limit.h"

enum { SECOND = 1000000, TRACKERS = 8 };

static const struct rate_limits three_a_second = {{{"default", 3, SECOND, 5 * SECOND}}, 1};

struct id {
    uint8_t bytes[RATE_TRACKER_ID_LEN];
};

static struct id id_of(uint32_t number)
{
    struct id id = {0};
    memcpy(id.bytes + 8, &number, sizeof(number)); /* all of one set */
    return id;
}

static int setup(void **state)
{
    *state = rate_limiter_new(TRACKERS);
    return *state == NULL;
}

static int teardown(void **state)
{
    rate_limiter_free(*state);
    return 0;
}

static struct rate_verdict hit(struct rate_limiter *limiter, uint32_t number, const struct rate_limits *limits,
                               int64_t now_us)
{
    struct rate_verdict verdict;
    struct id id = id_of(number);
    rate_limiter_hit(limiter, id.bytes, limits, now_us, &verdict);
    return verdict;
}

static bool peek(struct rate_limiter *limiter, uint32_t number, int64_t now_us, struct rate_verdict *verdict)
{
    struct id id = id_of(number);
    return rate_limiter_peek(limiter, id.bytes, now_us, verdict);
}

static void assert_usage(const struct rate_verdict *verdict, size_t index, int64_t remaining, int64_t reset_us)
{
    assert_true(index < verdict->len);
    assert_int_equal(verdict->usages[index].remaining, remaining);
    assert_int_equal(verdict->usages[index].reset_us, reset_us);
}

static void as_many_as_the_limit_pass_and_the_next_is_refused(void **state)
{
    for (int64_t i = 0; i < 3; i++) {
        struct rate_verdict passed = hit(*state, 1, &three_a_second, 100 + i);
        assert_false(passed.is_refused);
        assert_usage(&passed, 0, 2 - i, SECOND - i);
        assert_int_equal(passed.usages[0].requests, 3);
        assert_string_equal(passed.usages[0].name, "default");
    }
    struct rate_verdict refused = hit(*state, 1, &three_a_second, 103);
    assert_true(refused.is_refused);
    assert_usage(&refused, 0, 0, 5 * SECOND);
}

static void a_window_counts_from_its_first_request(void **state)
{
    hit(*state, 1, &three_a_second, 0);
    hit(*state, 1, &three_a_second, SECOND - 2);
    hit(*state, 1, &three_a_second, SECOND - 1);
    struct rate_verdict next = hit(*state, 1, &three_a_second, SECOND);
    assert_false(next.is_refused);
    assert_usage(&next, 0, 2, SECOND);
}

static void a_block_lasts_its_time_however_often_it_is_tried(void **state)
{
    for (int64_t i = 0; i < 4; i++) hit(*state, 1, &three_a_second, i);
    for (int64_t now_us = 4; now_us < 3 + 5 * SECOND; now_us += SECOND / 3) {
        struct rate_verdict refused = hit(*state, 1, &three_a_second, now_us);
        assert_true(refused.is_refused);
        assert_usage(&refused, 0, 0, 3 + 5 * SECOND - now_us);
    }
    assert_true(hit(*state, 1, &three_a_second, 2 + 5 * SECOND).is_refused);
    struct rate_verdict open = hit(*state, 1, &three_a_second, 3 + 5 * SECOND);
    assert_false(open.is_refused);
    assert_usage(&open, 0, 2, SECOND);
}

static void trackers_do_not_count_for_each_other(void **state)
{
    for (int64_t i = 0; i < 4; i++) hit(*state, 1, &three_a_second, i);
    struct rate_verdict other = hit(*state, 2, &three_a_second, 5);
    assert_false(other.is_refused);
    assert_usage(&other, 0, 2, SECOND);
}

static void refuses_only_when_every_limit_is_blocked(void **state)
{
    static const struct rate_limits two = {
        {{"short", 1, SECOND, 2 * SECOND}, {"long", 3, 100 * SECOND, 50 * SECOND}},
        2,
    };
    assert_false(hit(*state, 1, &two, 0).is_refused);
    struct rate_verdict half = hit(*state, 1, &two, 1); /* short is blocked until 2 s */
    assert_false(half.is_refused);
    assert_usage(&half, 0, 0, 2 * SECOND);
    assert_usage(&half, 1, 1, 100 * SECOND - 1);
    assert_false(hit(*state, 1, &two, 2).is_refused);
    assert_true(hit(*state, 1, &two, 3).is_refused);
    assert_false(hit(*state, 1, &two, 1 + 2 * SECOND).is_refused); /* short is open again, long is not */
}

static void a_changed_limit_keeps_its_count_and_a_new_one_begins(void **state)
{
    static const struct rate_limits changed = {
        {{"other", 9, SECOND, SECOND}, {"default", 5, SECOND, SECOND}},
        2,
    };
    hit(*state, 1, &three_a_second, 0);
    hit(*state, 1, &three_a_second, 1);
    struct rate_verdict verdict = hit(*state, 1, &changed, 2);
    assert_usage(&verdict, 0, 8, SECOND);
    assert_usage(&verdict, 1, 2, SECOND - 2);
}

static void without_limits_nothing_is_counted(void **state)
{
    static const struct rate_limits none = {.len = 0};
    struct rate_verdict verdict = hit(*state, 1, &none, 0);
    assert_false(verdict.is_refused);
    assert_int_equal(verdict.len, 0);
    assert_false(peek(*state, 1, 0, &verdict));
}

static void peeking_counts_nothing_and_knows_live_ones_only(void **state)
{
    struct rate_verdict verdict;
    assert_false(peek(*state, 1, 0, &verdict));
    hit(*state, 1, &three_a_second, 0);
    for (int i = 0; i < 10; i++) assert_true(peek(*state, 1, SECOND - 1, &verdict));
    assert_false(verdict.is_refused);
    assert_usage(&verdict, 0, 2, 1);
    assert_false(peek(*state, 1, SECOND, &verdict));
    for (int64_t i = 0; i < 4; i++) hit(*state, 1, &three_a_second, SECOND);
    assert_true(peek(*state, 1, 6 * SECOND - 1, &verdict));
    assert_true(verdict.is_refused);
    assert_false(peek(*state, 1, 6 * SECOND, &verdict));
}

static void the_least_recently_seen_gives_way(void **state)
{
    struct rate_verdict verdict;
    for (uint32_t i = 0; i < TRACKERS; i++) hit(*state, i, &three_a_second, i);
    assert_true(peek(*state, 0, 100, &verdict)); /* seen again: now 1 is the oldest */
    hit(*state, 99, &three_a_second, 101);
    assert_false(peek(*state, 1, 102, &verdict));
    for (uint32_t i = 0; i < TRACKERS; i++) {
        if (i != 1) assert_true(peek(*state, i, 102, &verdict));
    }
    assert_true(peek(*state, 99, 102, &verdict));
}

int main(void)
{
#define TEST(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(as_many_as_the_limit_pass_and_the_next_is_refused),
        TEST(a_window_counts_from_its_first_request),
        TEST(a_block_lasts_its_time_however_often_it_is_tried),
        TEST(trackers_do_not_count_for_each_other),
        TEST(refuses_only_when_every_limit_is_blocked),
        TEST(a_changed_limit_keeps_its_count_and_a_new_one_begins),
        TEST(without_limits_nothing_is_counted),
        TEST(peeking_counts_nothing_and_knows_live_ones_only),
        TEST(the_least_recently_seen_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
