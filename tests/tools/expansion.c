/* Expands a year of five windows a week COUNT times, as one HTTP answer would: the plan is made once. Prints the microseconds of a year.
 *
 *   expansion ZONE_FILE COUNT */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/hours.h"
#include "zone_file.h"

enum { ARENA_MAX_BYTES = 1 << 20, RANGES_OF_A_YEAR = 262 };

static const int64_t from_s = 1704063600; /* 2024-01-01 in Rome */
static const int64_t to_s = 1735686000;   /* 2025-01-01 */

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    const uint8_t days[] = {MONDAY, MONDAY + 1, MONDAY + 2, MONDAY + 3, MONDAY + 4};
    struct availability_window window = {.days = days, .days_len = 5, .start_minute = 540, .end_minute = 1020};
    const struct schedule schedule = {.windows = &window, .windows_len = 1};
    struct zone *zone = argc == 3 ? zone_file_read(argv[1]) : NULL;
    struct arena *arena = arena_new(ARENA_MAX_BYTES);
    const struct hours_plan *plan = arena == NULL ? NULL : hours_plan_new(&schedule, arena);
    if (zone == NULL || plan == NULL) return 2;
    int64_t count = strtoll(argv[2], NULL, 10);
    int64_t ranges = 0;
    double begin_us = now_us();
    for (int64_t i = 0; i < count; i++) {
        struct hours hours;
        struct hours_range range;
        hours_start(&hours, plan, zone, from_s, to_s);
        while (hours_next(&hours, &range)) ranges++;
    }
    printf("%.3f\n", (now_us() - begin_us) / (double)count);
    zone_free(zone);
    arena_free(arena);
    return ranges == count * RANGES_OF_A_YEAR ? 0 : 1;
}
