#include "core/hours.h"

#include <stdlib.h>

enum { MINUTE_S = 60, DAY_S = 86400, LAST_MINUTE = 23 * 60 + 59, WEEKDAYS = 7 };

/* A window or override of one date. */
struct item {
    int32_t day; /* of an override; of a window its weekday, 0 Monday */
    int32_t start_s;
    int32_t end_s; /* equal to start_s: nothing */
    size_t index;
};

struct hours_plan {
    const struct item *windows;          /* by weekday and start */
    size_t weekday_starts[WEEKDAYS + 1]; /* a weekday's are from its number to the next one's */
    const struct item *overrides;        /* by day and start */
    size_t overrides_len;
};

/* ---- the plan ---- */

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    if (x->day != y->day) return x->day < y->day ? -1 : 1;
    if (x->start_s != y->start_s) return x->start_s < y->start_s ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static struct item item_of(int32_t day, uint16_t start_minute, uint16_t end_minute, size_t index)
{
    bool to_midnight = end_minute == LAST_MINUTE && start_minute < LAST_MINUTE;
    int32_t end_s = to_midnight ? DAY_S : end_minute * MINUTE_S;
    return (struct item){day, start_minute * MINUTE_S, end_s, index};
}

static size_t count_days(const struct schedule *schedule)
{
    size_t count = 0;
    for (size_t i = 0; i < schedule->windows_len; i++) count += schedule->windows[i].days_len;
    return count;
}

static bool plan_windows(struct hours_plan *plan, const struct schedule *schedule, struct arena *arena)
{
    struct item *items = arena_calloc(arena, count_days(schedule), sizeof(*items));
    size_t len = 0;
    if (items == NULL) return false;
    for (size_t i = 0; i < schedule->windows_len; i++) {
        const struct availability_window *window = &schedule->windows[i];
        for (size_t j = 0; j < window->days_len; j++) {
            items[len++] = item_of(window->days[j] - MONDAY, window->start_minute, window->end_minute, i);
        }
    }
    qsort(items, len, sizeof(*items), compare_items);
    for (size_t i = 0; i < len; i++) plan->weekday_starts[items[i].day + 1]++;
    for (int i = 0; i < WEEKDAYS; i++) plan->weekday_starts[i + 1] += plan->weekday_starts[i];
    plan->windows = items;
    return true;
}

static bool plan_overrides(struct hours_plan *plan, const struct schedule *schedule, struct arena *arena)
{
    struct item *items = arena_calloc(arena, schedule->overrides_len, sizeof(*items));
    if (items == NULL) return false;
    for (size_t i = 0; i < schedule->overrides_len; i++) {
        const struct date_override *override = &schedule->overrides[i];
        items[i] = item_of(days_of(override->date), override->start_minute, override->end_minute, i);
    }
    qsort(items, schedule->overrides_len, sizeof(*items), compare_items);
    plan->overrides = items;
    plan->overrides_len = schedule->overrides_len;
    return true;
}

const struct hours_plan *hours_plan_new(const struct schedule *schedule, struct arena *arena)
{
    struct hours_plan *plan = arena_calloc(arena, 1, sizeof(*plan));
    if (plan == NULL || !plan_windows(plan, schedule, arena) || !plan_overrides(plan, schedule, arena)) return NULL;
    return plan;
}

/* The overrides of this day or a later one begin here. */
static size_t overrides_from(const struct hours_plan *plan, int32_t day)
{
    size_t low = 0;
    size_t high = plan->overrides_len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (plan->overrides[middle].day < day) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* ---- the walk: periods of the zone, in each the days that its clocks read, in each the day's items ---- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The part of the period that is walked. */
static struct hours_range part_of_period(const struct hours *hours)
{
    return (struct hours_range){later(hours->zone->starts_s[hours->period], hours->within.start_s),
                                earlier(zone_period_end_s(hours->zone, hours->period), hours->within.end_s)};
}

static void enter_period(struct hours *hours, size_t period)
{
    hours->period = period;
    hours->day = day_of_reading(part_of_period(hours).start_s + hours->zone->offsets_s[period]);
    hours->item = 0;
}

/* The day's item-th item, NULL behind the last. */
static const struct item *item_at(const struct hours_plan *plan, int32_t day, size_t item, enum hours_source *ret_source)
{
    size_t first = overrides_from(plan, day);
    *ret_source = HOURS_OF_OVERRIDE;
    if (first < plan->overrides_len && plan->overrides[first].day == day) {
        bool is_there = first + item < plan->overrides_len && plan->overrides[first + item].day == day;
        return is_there ? &plan->overrides[first + item] : NULL;
    }
    int weekday = weekday_of(day);
    *ret_source = HOURS_OF_WINDOW;
    bool is_there = plan->weekday_starts[weekday] + item < plan->weekday_starts[weekday + 1];
    return is_there ? &plan->windows[plan->weekday_starts[weekday] + item] : NULL;
}

void hours_start(struct hours *hours, const struct hours_plan *plan, const struct zone *zone, int64_t from_s, int64_t to_s)
{
    *hours = (struct hours){.plan = plan, .zone = zone, .within = {from_s, to_s}};
    enter_period(hours, zone_period_at(zone, from_s));
}

bool hours_next_piece(struct hours *hours, struct hours_piece *ret_piece)
{
    for (;;) {
        struct hours_range part = part_of_period(hours);
        int64_t midnight_s = (int64_t)hours->day * DAY_S - hours->zone->offsets_s[hours->period];
        enum hours_source source;
        if (part.start_s >= part.end_s) return false;
        if (midnight_s >= part.end_s) {
            if (part.end_s >= hours->within.end_s) return false;
            enter_period(hours, hours->period + 1);
            continue;
        }
        const struct item *item = item_at(hours->plan, hours->day, hours->item++, &source);
        if (item == NULL) {
            hours->day++;
            hours->item = 0;
            continue;
        }
        struct hours_range range = {later(part.start_s, midnight_s + item->start_s),
                                    earlier(part.end_s, midnight_s + item->end_s)};
        if (range.start_s >= range.end_s) continue;
        *ret_piece = (struct hours_piece){range, source, item->index, hours->day};
        return true;
    }
}

static bool is_empty(const struct hours_range *range)
{
    return range->start_s >= range->end_s;
}

bool hours_next(struct hours *hours, struct hours_range *ret_range)
{
    struct hours_piece piece;
    if (is_empty(&hours->waiting.range) && !hours_next_piece(hours, &hours->waiting)) return false;
    struct hours_range range = hours->waiting.range;
    hours->waiting = (struct hours_piece){0};
    while (hours_next_piece(hours, &piece)) {
        if (piece.range.start_s > range.end_s) {
            hours->waiting = piece;
            break;
        }
        range.end_s = later(range.end_s, piece.range.end_s);
    }
    *ret_range = range;
    return true;
}
