/* The bytes of a TZif file; what it says must be periods in order, each day must begin once, and a walk over it must end. */
#include "core/hours.h"
#include "core/zone.h"
#include "fuzz.h"

static void check_hours(const struct zone *zone)
{
    static const uint8_t days[] = {MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY};
    static const struct availability_window windows[] = {{days, 7, 90, 150}, {days, 7, 1380, 1439}};
    const struct schedule schedule = {.windows = windows, .windows_len = 2};
    struct arena *arena = arena_new(1 << 16);
    const struct hours_plan *plan = arena == NULL ? NULL : hours_plan_new(&schedule, arena);
    struct hours hours;
    struct hours_range range;
    int64_t last_s = INT64_MIN;
    if (plan != NULL) {
        hours_start(&hours, plan, zone, 1700000000, 1700000000 + 40 * 86400);
        while (hours_next(&hours, &range)) {
            MUST(range.start_s > last_s && range.end_s > range.start_s);
            last_s = range.end_s;
        }
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zone *zone = zone_new(slice_of_input(data, size));
    if (zone == NULL) return 0;
    MUST(zone->len > 0 && zone->starts_s[0] == INT64_MIN);
    for (size_t i = 1; i < zone->len; i++) {
        MUST(zone->starts_s[i] > zone->starts_s[i - 1] && zone->offsets_s[i] != zone->offsets_s[i - 1]);
        MUST(zone_period_at(zone, zone->starts_s[i]) == i);
    }
    for (int32_t day = 19000; day < 19040; day++) MUST(zone_day_start_s(zone, day) <= zone_day_start_s(zone, day + 1));
    check_hours(zone);
    zone_free(zone);
    return 0;
}
