/* Expands schedules, one a line on standard input: `ZONE_FILE FROM TO WINDOWS OVERRIDES`. FROM and TO are instants in seconds; WINDOWS is `-` or
 * `DAYS:START-END,...`, DAYS a bit mask with Monday as 1; OVERRIDES is `-` or `YYYY-MM-DD:START-END,...`; START and END are minutes. Prints
 * a line for each: `START-END START-END ...` in seconds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/hours.h"
#include "zone_file.h"

enum { LINE_MAX_BYTES = 1 << 16, ITEMS_MAX = 1000, ARENA_MAX_BYTES = 1 << 20 };

/* The zone of the line before is kept: lines of one zone come together. */
static const struct zone *zone_of(const char *path)
{
    static char last[512];
    static struct zone *zone;
    if (zone != NULL && strcmp(last, path) == 0) return zone;
    zone_free(zone);
    zone = zone_file_read(path);
    snprintf(last, sizeof(last), "%s", path);
    return zone;
}

static const char *next_item(const char *p)
{
    const char *comma = strchr(p, ',');
    return comma == NULL ? "" : comma + 1;
}

static size_t read_windows(const char *text, struct availability_window *windows, uint8_t (*days)[7])
{
    size_t len = 0;
    unsigned mask;
    for (const char *p = text; sscanf(p, "%u:%hu-%hu", &mask, &windows[len].start_minute, &windows[len].end_minute) == 3;
         p = next_item(p)) {
        windows[len].days = days[len];
        windows[len].days_len = 0;
        for (uint8_t day = 0; day < 7; day++) {
            if (mask & 1U << day) days[len][windows[len].days_len++] = (uint8_t)(MONDAY + day);
        }
        if (++len == ITEMS_MAX) break;
    }
    return len;
}

static size_t read_overrides(const char *text, struct date_override *overrides)
{
    size_t len = 0;
    for (const char *p = text; len < ITEMS_MAX; p = next_item(p)) {
        char date[DATE_TEXT_LEN + 1];
        if (sscanf(p, "%10s:", date) != 1 || !date_parse((struct slice){date, DATE_TEXT_LEN}, &overrides[len].date)) break;
        if (sscanf(p + DATE_TEXT_LEN, ":%hu-%hu", &overrides[len].start_minute, &overrides[len].end_minute) != 2) break;
        len++;
    }
    return len;
}

static bool expand(const char *line)
{
    static struct availability_window windows[ITEMS_MAX];
    static struct date_override overrides[ITEMS_MAX];
    static uint8_t days[ITEMS_MAX][7];
    static char path[512];
    static char window_text[LINE_MAX_BYTES];
    static char override_text[LINE_MAX_BYTES];
    int64_t from_s;
    int64_t to_s;
    if (sscanf(line, "%511s %" SCNd64 " %" SCNd64 " %65535s %65535s", path, &from_s, &to_s, window_text, override_text) !=
        5) {
        return false;
    }
    const struct zone *zone = zone_of(path);
    struct arena *arena = arena_new(ARENA_MAX_BYTES);
    const struct schedule schedule = {.windows = windows,
                                      .windows_len = read_windows(window_text, windows, days),
                                      .overrides = overrides,
                                      .overrides_len = read_overrides(override_text, overrides)};
    const struct hours_plan *plan = arena == NULL ? NULL : hours_plan_new(&schedule, arena);
    struct hours hours;
    struct hours_range range;
    if (zone == NULL || plan == NULL) return false;
    hours_start(&hours, plan, zone, from_s, to_s);
    while (hours_next(&hours, &range)) printf("%" PRId64 "-%" PRId64 " ", range.start_s, range.end_s);
    putchar('\n');
    arena_free(arena);
    return true;
}

int main(void)
{
    static char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (expand(line)) continue;
        fprintf(stderr, "hours: not understood: %s", line);
        return 1;
    }
    return 0;
}
