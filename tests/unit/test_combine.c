/* The hours of several people together, in zones made here; the last test compares ranges and slots with a reading of clocks minute by minute. */
#include "support.h"

#include "core/combine.h"

enum {
    MINUTE = 60,
    HOUR = 3600,
    DAY = 86400,
    PEOPLE_MAX = 5,
    DAYS = 5,
    MINUTES = DAYS * 1440,
    FOUND_MAX = 8000,
    ROUNDS = 1500
};

/* 1970-01-01 is a Thursday. */
static const uint8_t thursday[] = {THURSDAY};

static struct zone utc = {1, (int64_t[]){INT64_MIN}, (int32_t[]){0}};
/* At 02:00 of day 1 on to 03:00, at 02:00 of day 3 back to 01:00. */
static struct zone gap_and_fold = {3, (int64_t[]){INT64_MIN, DAY + 2 * HOUR, 3 * DAY + HOUR}, (int32_t[]){0, HOUR, 0}};
static struct zone east = {1, (int64_t[]){INT64_MIN}, (int32_t[]){5 * HOUR + 1800}};

/* ---- what combine finds ---- */

struct found {
    struct hours_range range;
    uint32_t free; /* bit n: person n has the slot */
};

struct team {
    struct schedule schedules[PEOPLE_MAX];
    struct availability_window windows[PEOPLE_MAX][2];
    const struct zone *zones[PEOPLE_MAX];
    uint32_t groups[PEOPLE_MAX];
    size_t len;
    struct combine_rule rule;
};

static size_t find(const struct team *team, const struct slots_rule *slots, int64_t from_s, struct found *found)
{
    struct arena *arena = make_arena();
    struct combine_person people[PEOPLE_MAX];
    struct combine_walk walks[PEOPLE_MAX];
    struct combine combine;
    enum combine_progress progress;
    size_t len = 0;
    for (size_t i = 0; i < team->len; i++) {
        people[i] = (struct combine_person){hours_plan_new(&team->schedules[i], arena), team->zones[i], team->groups[i]};
    }
    combine_start(&combine, people, team->len, &team->rule, slots, (struct hours_range){0, DAYS * DAY}, from_s, walks);
    while ((progress = combine_step(&combine, &found[len].range)) != COMBINE_END) {
        if (progress == COMBINE_MORE) continue;
        found[len].free = 0;
        for (size_t i = 0; slots != NULL && i < team->len; i++) {
            if (combine_is_free(&combine, i)) found[len].free |= 1U << i;
        }
        if (++len == FOUND_MAX) fail_msg("finds without end");
    }
    assert_int_equal(combine_step(&combine, &found[len].range), COMBINE_END); /* and it stays there */
    arena_free(arena);
    return len;
}

static void expect(const struct team *team, const struct slots_rule *slots, int64_t from_s, const struct found *want,
                   size_t want_len)
{
    static struct found got[FOUND_MAX];
    size_t len = find(team, slots, from_s, got);
    for (size_t i = 0; i < len && i < want_len; i++) {
        assert_int_equal(got[i].range.start_s, want[i].range.start_s);
        assert_int_equal(got[i].range.end_s, want[i].range.end_s);
        assert_int_equal(got[i].free, want[i].free);
    }
    assert_int_equal(len, want_len);
}

#define EXPECT(team_, slots_, from_, ...)                            \
    do {                                                             \
        static const struct found want_[] = {__VA_ARGS__};           \
        expect((team_), (slots_), (from_), want_, ARRAY_LEN(want_)); \
    } while (0)

/* ---- people of one window on day 0, in UTC ---- */

static void add(struct team *team, uint16_t start_minute, uint16_t end_minute)
{
    size_t i = team->len++;
    team->windows[i][0] = (struct availability_window){thursday, 1, start_minute, end_minute};
    team->schedules[i] = (struct schedule){.windows = team->windows[i], .windows_len = 1};
    team->zones[i] = &utc;
    team->groups[i] = 1;
}

/* A has 09:00-09:40, B 09:20-10:00. */
static void make_pair(struct team *team, uint32_t at_least)
{
    *team = (struct team){.rule = {1, {at_least}}};
    add(team, 540, 580);
    add(team, 560, 600);
}

#define RANGE(start_minute_, end_minute_, free_)                \
    {                                                           \
        {(start_minute_)*MINUTE, (end_minute_)*MINUTE}, (free_) \
    }

static void any_and_all_are_union_and_intersection(void **state)
{
    struct team team;
    (void)state;
    make_pair(&team, 1);
    EXPECT(&team, NULL, INT64_MIN, RANGE(540, 600, 0));
    make_pair(&team, 2);
    EXPECT(&team, NULL, INT64_MIN, RANGE(560, 580, 0));
}

static void one_who_comes_when_another_goes_leaves_no_gap(void **state)
{
    struct team team = {.rule = {1, {1}}};
    (void)state;
    add(&team, 540, 600);
    add(&team, 600, 660);
    EXPECT(&team, NULL, INT64_MIN, RANGE(540, 660, 0));
    team.rule.at_least[0] = 2;
    expect(&team, NULL, INT64_MIN, NULL, 0);
}

static void each_group_has_to_have_enough(void **state)
{
    struct team team = {.rule = {2, {1, 2}}};
    (void)state;
    add(&team, 540, 600);
    add(&team, 480, 720);
    add(&team, 570, 720);
    team.groups[0] = 1;
    team.groups[1] = team.groups[2] = 2;
    EXPECT(&team, NULL, INT64_MIN, RANGE(570, 600, 0));
    team.groups[1] = 3; /* is in both */
    EXPECT(&team, NULL, INT64_MIN, RANGE(570, 720, 0));
}

static void more_than_there_are_is_never_enough(void **state)
{
    struct team team;
    const struct slots_rule rule = {MINUTE, MINUTE, SLOTS_ALIGN_RANGE};
    (void)state;
    make_pair(&team, 3);
    expect(&team, NULL, INT64_MIN, NULL, 0);
    expect(&team, &rule, INT64_MIN, NULL, 0);
    team.len = 0;
    expect(&team, NULL, INT64_MIN, NULL, 0);
    expect(&team, &rule, INT64_MIN, NULL, 0);
}

static void a_slot_has_to_fit_into_one_persons_range(void **state)
{
    struct team team;
    const struct slots_rule half = {30 * MINUTE, 10 * MINUTE, SLOTS_ALIGN_RANGE};
    const struct slots_rule whole = {HOUR, 10 * MINUTE, SLOTS_ALIGN_RANGE};
    (void)state;
    make_pair(&team, 1);
    EXPECT(&team, &half, INT64_MIN, RANGE(540, 570, 1), RANGE(550, 580, 1), RANGE(560, 590, 2), RANGE(570, 600, 2));
    expect(&team, &whole, INT64_MIN, NULL, 0); /* though the union is an hour */
    EXPECT(&team, &half, 551 * MINUTE, RANGE(560, 590, 2), RANGE(570, 600, 2));
}

static void ranges_before_the_cursor_are_left_out_and_keep_their_starts(void **state)
{
    struct team team = {.rule = {1, {1}}};
    (void)state;
    add(&team, 540, 600);
    add(&team, 660, 720);
    EXPECT(&team, NULL, 541 * MINUTE, RANGE(660, 720, 0));
    EXPECT(&team, NULL, 540 * MINUTE, RANGE(540, 600, 0), RANGE(660, 720, 0));
}

/* ---- against a reading of clocks ---- */

static uint32_t seed = 18;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 1664525U + 1013904223U;
    return (uint32_t)(((uint64_t)(seed >> 8) * limit) >> 24);
}

static void make_random(struct team *team)
{
    static struct zone *const all_zones[] = {&utc, &gap_and_fold, &east};
    static const uint8_t days[] = {THURSDAY, FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY, WEDNESDAY};
    *team = (struct team){.len = 1 + random_below(PEOPLE_MAX)};
    for (size_t i = 0; i < team->len; i++) {
        team->schedules[i] = (struct schedule){.windows = team->windows[i], .windows_len = 1 + random_below(2)};
        team->zones[i] = all_zones[random_below(3)];
        team->groups[i] = 1 + random_below(3);
        for (size_t j = 0; j < team->schedules[i].windows_len; j++) {
            uint16_t start = (uint16_t)(random_below(280) * 5);
            uint16_t end = (uint16_t)(start + 5 + random_below((1439U - start) / 5) * 5);
            if (random_below(4) == 0) end = 1439;
            team->windows[i][j] = (struct availability_window){days, 1 + random_below(7), start, end};
        }
    }
    team->rule = (struct combine_rule){2, {1 + random_below(2), 1 + random_below(2)}};
}

/* Whole minutes since midnight on the clock of a person. */
static int64_t local_minute(const struct team *team, size_t person, int64_t minute)
{
    const struct zone *zone = team->zones[person];
    return minute + zone->offsets_s[zone_period_at(zone, minute * MINUTE)] / MINUTE;
}

static bool is_open(const struct team *team, size_t person, int64_t minute)
{
    int64_t local = local_minute(team, person, minute);
    uint8_t weekday = (uint8_t)((local / 1440 + 3) % 7 + 1);
    for (size_t i = 0; i < team->schedules[person].windows_len; i++) {
        const struct availability_window *window = &team->windows[person][i];
        uint16_t end = window->end_minute == 1439 ? 1440 : window->end_minute;
        for (size_t j = 0; j < window->days_len; j++) {
            if (window->days[j] == weekday && local % 1440 >= window->start_minute && local % 1440 < end) return true;
        }
    }
    return false;
}

static bool open[PEOPLE_MAX][MINUTES + 1];
static int64_t run_start[PEOPLE_MAX][MINUTES]; /* of the open minutes around this one */
static int64_t run_end[PEOPLE_MAX][MINUTES];

static void read_clocks(const struct team *team)
{
    for (size_t i = 0; i < team->len; i++) {
        for (int64_t m = 0; m < MINUTES; m++) open[i][m] = is_open(team, i, m);
        open[i][MINUTES] = false;
        for (int64_t m = 0; m < MINUTES; m++) run_start[i][m] = m > 0 && open[i][m - 1] ? run_start[i][m - 1] : m;
        for (int64_t m = MINUTES - 1; m >= 0; m--) run_end[i][m] = open[i][m + 1] ? run_end[i][m + 1] : m + 1;
    }
}

static bool is_enough(const struct team *team, uint32_t free)
{
    for (size_t group = 0; group < team->rule.groups_len; group++) {
        uint32_t count = 0;
        for (size_t i = 0; i < team->len; i++) count += (free >> i & 1) && (team->groups[i] >> group & 1);
        if (count < team->rule.at_least[group]) return false;
    }
    return true;
}

/* Who has all of these minutes. */
static uint32_t free_in(const struct team *team, int64_t start, int64_t minutes)
{
    uint32_t free = 0;
    for (size_t i = 0; i < team->len; i++) {
        if (open[i][start] && run_end[i][start] >= start + minutes) free |= 1U << i;
    }
    return free;
}

static size_t ranges_by_minutes(const struct team *team, struct found *ret)
{
    size_t len = 0;
    bool was_enough = false;
    for (int64_t m = 0; m <= MINUTES; m++) {
        bool enough = m < MINUTES && is_enough(team, free_in(team, m, 1));
        if (enough && !was_enough) ret[len] = (struct found){{m * MINUTE, 0}, 0};
        if (!enough && was_enough) ret[len++].range.end_s = m * MINUTE;
        was_enough = enough;
    }
    return len;
}

static bool begins_a_slot(const struct team *team, const struct slots_rule *rule, size_t person, int64_t minute)
{
    int64_t step = rule->step_s / MINUTE;
    if (!open[person][minute] || run_end[person][minute] < minute + rule->duration_s / MINUTE) return false;
    if (rule->align == SLOTS_ALIGN_RANGE) return (minute - run_start[person][minute]) % step == 0;
    return local_minute(team, person, minute) % 1440 % step == 0;
}

static size_t slots_by_minutes(const struct team *team, const struct slots_rule *rule, struct found *ret)
{
    int64_t minutes = rule->duration_s / MINUTE;
    size_t len = 0;
    for (int64_t m = 0; m < MINUTES; m++) {
        bool begins = false;
        for (size_t i = 0; i < team->len; i++) begins = begins || begins_a_slot(team, rule, i, m);
        uint32_t free = begins ? free_in(team, m, minutes) : 0;
        if (begins && is_enough(team, free)) ret[len++] = (struct found){{m * MINUTE, (m + minutes) * MINUTE}, free};
    }
    return len;
}

static void agrees_with_a_reading_of_clocks(void **state)
{
    static struct found want[FOUND_MAX];
    size_t ranges = 0;
    size_t slots = 0;
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct team team;
        int32_t duration = (int32_t)(1 + random_below(240)) * MINUTE;
        int32_t step = (int32_t)(1 + random_below(240)) * MINUTE;
        const struct slots_rule rule = {duration, step, random_below(2) == 0 ? SLOTS_ALIGN_RANGE : SLOTS_ALIGN_CLOCK};
        make_random(&team);
        read_clocks(&team);
        size_t len = ranges_by_minutes(&team, want);
        expect(&team, NULL, INT64_MIN, want, len);
        ranges += len;
        len = slots_by_minutes(&team, &rule, want);
        expect(&team, &rule, INT64_MIN, want, len);
        slots += len;
    }
    assert_true(ranges > ROUNDS);
    assert_true(slots > ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_and_all_are_union_and_intersection),
        cmocka_unit_test(one_who_comes_when_another_goes_leaves_no_gap),
        cmocka_unit_test(each_group_has_to_have_enough),
        cmocka_unit_test(more_than_there_are_is_never_enough),
        cmocka_unit_test(a_slot_has_to_fit_into_one_persons_range),
        cmocka_unit_test(ranges_before_the_cursor_are_left_out_and_keep_their_starts),
        cmocka_unit_test(agrees_with_a_reading_of_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
