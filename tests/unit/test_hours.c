/* Hours as instants, in zones made here: gaps, repeated hours, overrides, midnight. The real zones' cases are tests/e2e/test_hours.py's and
 * `make proof-hours`'. */
#include "support.h"

#include "core/hours.h"
#include "core/instant.h"
#include "core/slots.h"

enum { HOUR = 3600, DAY = 86400, RANGES_MAX = 64 };

/* 1970-01-01 is a Thursday. */
static const uint8_t every_day[] = {MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY};

static struct zone utc = {1, (int64_t[]){INT64_MIN}, (int32_t[]){0}};
/* At 02:00 of day 1 on to 03:00, at 02:00 of day 3 back to 01:00. */
static struct zone gap_and_fold = {3, (int64_t[]){INT64_MIN, DAY + 2 * HOUR, 3 * DAY + HOUR}, (int32_t[]){0, HOUR, 0}};
/* Day 1 is skipped. */
static struct zone skips_a_day = {2, (int64_t[]){INT64_MIN, DAY}, (int32_t[]){0, DAY}};

static void expect(const struct schedule *schedule, const struct zone *zone, int64_t from_s, int64_t to_s,
                   const struct hours_range *want, size_t want_len)
{
    struct arena *arena = make_arena();
    const struct hours_plan *plan = hours_plan_new(schedule, arena);
    struct hours hours;
    struct hours_range got;
    size_t len = 0;
    assert_non_null(plan);
    hours_start(&hours, plan, zone, from_s, to_s);
    for (; hours_next(&hours, &got); len++) {
        if (len >= want_len) fail_msg("range %zu: %lld-%lld", len, (long long)got.start_s, (long long)got.end_s);
        assert_int_equal(got.start_s, want[len].start_s);
        assert_int_equal(got.end_s, want[len].end_s);
    }
    assert_int_equal(len, want_len);
    assert_false(hours_next(&hours, &got)); /* and it stays at its end */
    arena_free(arena);
}

#define EXPECT(schedule_, zone_, from_, to_, ...)                              \
    do {                                                                       \
        static const struct hours_range want_[] = {__VA_ARGS__};               \
        expect((schedule_), (zone_), (from_), (to_), want_, ARRAY_LEN(want_)); \
    } while (0)

static struct schedule daily(struct availability_window *window, uint16_t start_minute, uint16_t end_minute)
{
    *window = (struct availability_window){every_day, 7, start_minute, end_minute};
    return (struct schedule){.windows = window, .windows_len = 1};
}

static void a_gap_takes_away_what_it_skips(void **state)
{
    struct availability_window window;
    struct schedule schedule = daily(&window, 90, 150); /* 01:30-02:30 */
    (void)state;
    EXPECT(&schedule, &gap_and_fold, DAY, 2 * DAY, {DAY + 5400, DAY + 7200});
    schedule = daily(&window, 120, 180);
    expect(&schedule, &gap_and_fold, DAY, DAY + 20 * HOUR, NULL, 0);
}

static void a_repeated_hour_counts_twice(void **state)
{
    struct availability_window window;
    struct schedule schedule = daily(&window, 60, 90); /* 01:00-01:30, inside of it */
    (void)state;
    EXPECT(&schedule, &gap_and_fold, 3 * DAY - HOUR, 4 * DAY, {3 * DAY, 3 * DAY + 1800},
           {3 * DAY + HOUR, 3 * DAY + HOUR + 1800});
    schedule = daily(&window, 60, 120);
    EXPECT(&schedule, &gap_and_fold, 3 * DAY - HOUR, 4 * DAY, {3 * DAY, 3 * DAY + 2 * HOUR});
}

static void a_skipped_day_has_no_hours(void **state)
{
    struct availability_window window;
    struct schedule schedule = daily(&window, 540, 1020);
    const struct date_override override = {{1970, 1, 2}, 540, 600};
    (void)state;
    EXPECT(&schedule, &skips_a_day, 0, 2 * DAY, {9 * HOUR, 17 * HOUR}, {DAY + 9 * HOUR, DAY + 17 * HOUR});
    schedule.overrides = &override;
    schedule.overrides_len = 1;
    EXPECT(&schedule, &skips_a_day, 0, 2 * DAY, {9 * HOUR, 17 * HOUR}, {DAY + 9 * HOUR, DAY + 17 * HOUR});
}

static void an_end_of_23_59_is_midnight_and_days_join_there(void **state)
{
    struct availability_window windows[] = {{(const uint8_t[]){THURSDAY}, 1, 22 * 60, 23 * 60 + 59},
                                            {(const uint8_t[]){FRIDAY}, 1, 0, 120},
                                            {(const uint8_t[]){FRIDAY}, 1, 23 * 60, 23 * 60 + 58}};
    struct schedule schedule = {.windows = windows, .windows_len = 3};
    (void)state;
    EXPECT(&schedule, &utc, 0, 3 * DAY, {22 * HOUR, DAY + 2 * HOUR}, {DAY + 23 * HOUR, DAY + 23 * HOUR + 58 * 60});
}

static void windows_that_touch_or_overlap_are_one(void **state)
{
    struct availability_window windows[] = {{every_day, 7, 600, 720},
                                            {every_day, 7, 540, 600},
                                            {every_day, 7, 550, 560},
                                            {every_day, 7, 700, 800},
                                            {every_day, 7, 801, 802}};
    struct schedule schedule = {.windows = windows, .windows_len = 5};
    (void)state;
    EXPECT(&schedule, &utc, 0, DAY, {540 * 60, 800 * 60}, {801 * 60, 802 * 60});
}

static void a_date_with_overrides_has_only_those(void **state)
{
    struct availability_window window;
    struct schedule schedule = daily(&window, 0, 1439);
    const struct date_override overrides[] = {{{1970, 1, 3}, 600, 600}, {{1970, 1, 2}, 840, 900}, {{1970, 1, 2}, 600, 660}};
    schedule.overrides = overrides;
    schedule.overrides_len = 3;
    (void)state;
    EXPECT(&schedule, &utc, 0, 4 * DAY, {0, DAY}, {DAY + 10 * HOUR, DAY + 11 * HOUR}, {DAY + 14 * HOUR, DAY + 15 * HOUR},
           {3 * DAY, 4 * DAY});
}

static void equal_times_of_23_59_are_none(void **state)
{
    const struct date_override override = {{1970, 1, 1}, 1439, 1439};
    struct schedule schedule = {.overrides = &override, .overrides_len = 1};
    (void)state;
    expect(&schedule, &utc, 0, DAY, NULL, 0);
}

static void is_clipped_to_what_is_asked_for(void **state)
{
    struct availability_window window;
    struct schedule schedule = daily(&window, 540, 1020);
    (void)state;
    EXPECT(&schedule, &utc, 10 * HOUR + 1, 11 * HOUR, {10 * HOUR + 1, 11 * HOUR});
    expect(&schedule, &utc, 17 * HOUR, DAY + 9 * HOUR, NULL, 0);
    EXPECT(&schedule, &utc, -DAY, 0, {-DAY + 9 * HOUR, -DAY + 17 * HOUR});
}

static void pieces_tell_their_source(void **state)
{
    struct availability_window window;
    struct schedule schedule = daily(&window, 540, 1020);
    const struct date_override overrides[] = {{{1970, 1, 3}, 0, 1}, {{1970, 1, 2}, 60, 120}};
    struct arena *arena = make_arena();
    struct hours hours;
    struct hours_piece piece;
    schedule.overrides = overrides;
    schedule.overrides_len = 2;
    (void)state;
    hours_start(&hours, hours_plan_new(&schedule, arena), &utc, 0, 2 * DAY);
    assert_true(hours_next_piece(&hours, &piece));
    assert_int_equal(piece.source, HOURS_OF_WINDOW);
    assert_int_equal(piece.day, 0);
    assert_true(hours_next_piece(&hours, &piece));
    assert_int_equal(piece.source, HOURS_OF_OVERRIDE);
    assert_int_equal(piece.index, 1);
    assert_int_equal(piece.day, 1);
    assert_false(hours_next_piece(&hours, &piece));
    arena_free(arena);
}

/* ---- slots ---- */

static void expect_slots(const struct schedule *schedule, const struct zone *zone, const struct slots_rule *rule,
                         int64_t from_s, const int64_t *starts_s, size_t len)
{
    struct arena *arena = make_arena();
    struct hours hours;
    struct slots slots;
    struct hours_range slot;
    size_t count = 0;
    hours_start(&hours, hours_plan_new(schedule, arena), zone, 0, 5 * DAY);
    slots_start(&slots, &hours, rule, from_s);
    for (; slots_next(&slots, &slot); count++) {
        if (count >= len) fail_msg("slot %zu at %lld", count, (long long)slot.start_s);
        assert_int_equal(slot.start_s, starts_s[count]);
        assert_int_equal(slot.end_s, slot.start_s + rule->duration_s);
    }
    assert_int_equal(count, len);
    arena_free(arena);
}

static void slots_lie_whole_inside_of_a_range(void **state)
{
    struct availability_window windows[] = {{(const uint8_t[]){THURSDAY}, 1, 540, 605},
                                            {(const uint8_t[]){FRIDAY}, 1, 600, 629}};
    const struct schedule schedule = {.windows = windows, .windows_len = 2};
    const struct slots_rule rule = {1800, 900, SLOTS_ALIGN_RANGE};
    (void)state;
    expect_slots(&schedule, &utc, &rule, INT64_MIN, (int64_t[]){32400, 33300, 34200}, 3);
    expect_slots(&schedule, &utc, &rule, 32401, (int64_t[]){33300, 34200}, 2); /* the grid does not depend on from where */
    expect_slots(&schedule, &utc, &rule, 34201, NULL, 0);
}

static void slots_are_aligned_to_the_clock_again_after_a_change(void **state)
{
    struct availability_window window = {(const uint8_t[]){FRIDAY}, 1, 70, 300};
    const struct schedule schedule = {.windows = &window, .windows_len = 1};
    const struct slots_rule rule = {1800, 7200, SLOTS_ALIGN_CLOCK};
    const struct slots_rule odd = {60, 50 * 60, SLOTS_ALIGN_CLOCK};
    (void)state;
    /* 02:00 is skipped; the clock reads 04:00 at 03:00 of UTC. */
    expect_slots(&schedule, &gap_and_fold, &rule, INT64_MIN, (int64_t[]){DAY + 3 * HOUR}, 1);
    /* Multiples of 50 minutes: 01:40, 03:20, 04:10. */
    expect_slots(&schedule, &gap_and_fold, &odd, INT64_MIN, (int64_t[]){DAY + 6000, DAY + 8400, DAY + 11400}, 3);
}

static void alignment_begins_anew_at_midnight(void **state)
{
    struct availability_window windows[] = {{(const uint8_t[]){THURSDAY}, 1, 23 * 60, 1439},
                                            {(const uint8_t[]){FRIDAY}, 1, 0, 60}};
    const struct schedule schedule = {.windows = windows, .windows_len = 2};
    const struct slots_rule rule = {60, 50 * 60, SLOTS_ALIGN_CLOCK}; /* 23:20, 00:00, 00:50 */
    (void)state;
    expect_slots(&schedule, &utc, &rule, INT64_MIN, (int64_t[]){84000, DAY, DAY + 3000}, 3);
}

/* ---- instants as text ---- */

static void reads_date_times_with_an_offset(void **state)
{
    static const struct {
        const char *text;
        int64_t instant_s;
    } cases[] = {
        {"1970-01-01T00:00Z", 0},
        {"2024-03-10T01:30:00-05:00", 1710052200},
        {"2024-03-10T06:30:00.000Z", 1710052200},
        {"1969-12-31T23:59:59Z", -1},
        {"0001-01-01T00:00:00+14:00", -62135596800 - 14 * HOUR},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice copy = exact_copy(slice_of(cases[i].text));
        int64_t instant_s = 7;
        assert_true(instant_parse(copy, &instant_s));
        assert_int_equal(instant_s, cases[i].instant_s);
        free_copy(copy);
    }
}

static void refuses_other_date_times(void **state)
{
    static const char *const texts[] = {
        "",
        "2024-03-10",
        "2024-03-10T06:30:00",
        "2024-03-10 06:30:00Z",
        "2024-02-30T06:30:00Z",
        "2024-03-10T24:00:00Z",
        "2024-03-10T06:30:60Z",
        "2024-03-10T06:30:00.5Z",
        "2024-03-10T06:30:00.Z",
        "2024-03-10T06:30:00+5:00",
        "2024-03-10T06:30:00+05:60",
        "2024-03-10T06:30:00Zz",
        "2024-03-10T06:30:",
        "2024-03-10T06:30:0",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct slice copy = exact_copy(slice_of(texts[i]));
        int64_t instant_s = 7;
        if (instant_parse(copy, &instant_s)) fail_msg("took \"%s\"", texts[i]);
        assert_int_equal(instant_s, 7);
        free_copy(copy);
    }
}

static void writes_what_clocks_read(void **state)
{
    char text[INSTANT_TEXT_MAX];
    (void)state;
    assert_text(instant_format_utc(1710052200, text), "2024-03-10T06:30:00Z");
    assert_text(instant_format_utc(-1, text), "1969-12-31T23:59:59Z");
    assert_text(instant_format_local(1710052200, -5 * HOUR, text), "2024-03-10T01:30:00-05:00");
    assert_text(instant_format_local(0, 5 * HOUR + 1800, text), "1970-01-01T05:30:00+05:30");
    assert_text(instant_format_local(0, -2670, text), "1969-12-31T23:15:30-00:44:30");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_takes_away_what_it_skips),
        cmocka_unit_test(a_repeated_hour_counts_twice),
        cmocka_unit_test(a_skipped_day_has_no_hours),
        cmocka_unit_test(an_end_of_23_59_is_midnight_and_days_join_there),
        cmocka_unit_test(windows_that_touch_or_overlap_are_one),
        cmocka_unit_test(a_date_with_overrides_has_only_those),
        cmocka_unit_test(equal_times_of_23_59_are_none),
        cmocka_unit_test(is_clipped_to_what_is_asked_for),
        cmocka_unit_test(pieces_tell_their_source),
        cmocka_unit_test(slots_lie_whole_inside_of_a_range),
        cmocka_unit_test(slots_are_aligned_to_the_clock_again_after_a_change),
        cmocka_unit_test(alignment_begins_anew_at_midnight),
        cmocka_unit_test(reads_date_times_with_an_offset),
        cmocka_unit_test(refuses_other_date_times),
        cmocka_unit_test(writes_what_clocks_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
