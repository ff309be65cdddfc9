#include "app/commands/handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/database.h"
#include "codec/hours_json.h"
#include "codec/schedule_document.h"
#include "core/instant.h"
#include "driver/zone_files.h"

enum { ARENA_MAX_BYTES = 64 << 20, ANSWER_MAX_BYTES = 256 << 20, DAYS_MAX = 366 };

static const int64_t day_s = 86400;

struct arguments {
    const char *from;
    const char *to;
    const char *time_zone; /* NULL: the schedule's */
};

struct run {
    struct arguments arguments;
    struct arena *arena;
    struct zone_files *zones;
    const struct zone *zone; /* the schedule's */
    const struct zone *view; /* of dates and local texts */
    char *input;
};

/* ---- when ---- */

/* Both as instants. *ret_s: how long that is. */
static bool read_instants(const struct arguments *arguments, struct hours_range *ret_range, int64_t *ret_s)
{
    if (!instant_parse(slice_of(arguments->from), &ret_range->start_s)) return false;
    if (!instant_parse(slice_of(arguments->to), &ret_range->end_s)) return false;
    *ret_s = ret_range->end_s - ret_range->start_s;
    return true;
}

/* Both as dates, which begin when a clock in the zone reads them first. *ret_s counts each as 24 hours. */
static bool read_dates(const struct arguments *arguments, const struct zone *view, struct hours_range *ret_range,
                       int64_t *ret_s)
{
    struct date from;
    struct date to;
    if (!date_parse(slice_of(arguments->from), &from) || !date_parse(slice_of(arguments->to), &to)) return false;
    *ret_range = (struct hours_range){zone_day_start_s(view, days_of(from)), zone_day_start_s(view, days_of(to))};
    *ret_s = (days_of(to) - days_of(from)) * day_s;
    return true;
}

/* The exit code; 2 after saying what is wrong. */
static int read_range(const struct arguments *arguments, const struct zone *view, struct hours_range *ret_range)
{
    int64_t min_s = days_of((struct date){ZONE_YEAR_MIN, 1, 1}) * day_s;
    int64_t max_s = days_of((struct date){ZONE_YEAR_MAX + 1, 1, 1}) * day_s;
    int64_t len_s;
    if (!read_instants(arguments, ret_range, &len_s) && !read_dates(arguments, view, ret_range, &len_s)) {
        database_fail("--from and --to must both be date-times with an offset, or both dates");
    } else if (len_s <= 0) {
        database_fail("--to must be later than --from");
    } else if (ret_range->start_s < min_s || ret_range->end_s > max_s) {
        database_fail("--from and --to must be of the years 1900 to 2200");
    } else if (len_s > DAYS_MAX * day_s) {
        database_fail("--to must be at most 366 days behind --from");
    } else {
        return 0;
    }
    return 2;
}

/* ---- the schedule ---- */

static bool read_input(struct run *run, struct slice *ret_bytes)
{
    run->input = malloc(SCHEDULE_DOCUMENT_BYTES_MAX + 1);
    size_t len = run->input == NULL ? 0 : fread(run->input, 1, SCHEDULE_DOCUMENT_BYTES_MAX + 1, stdin);
    *ret_bytes = (struct slice){run->input, len};
    return len > 0 && len <= SCHEDULE_DOCUMENT_BYTES_MAX;
}

static int read_schedule(struct run *run, struct stored_schedule *ret_stored)
{
    struct slice bytes;
    struct violations violations = {0};
    const char *reason = "it takes too much memory";
    if (!read_input(run, &bytes)) return database_fail("standard input must hold one schedule, of at most 4 MiB");
    enum status status =
        schedule_document_read(bytes, zone_files_names(run->zones), run->arena, ret_stored, &violations, &reason);
    if (status == STATUS_OK) return 0;
    if (status != STATUS_INVALID) return database_fail("standard input is no schedule: %s", reason);
    for (size_t i = 0; i < violations.len; i++) {
        database_fail("standard input is no schedule: %.*s", (int)violations.items[i].message.len,
                      violations.items[i].message.data);
    }
    return 1;
}

/* ---- the answer ---- */

static int print_hours(const struct run *run, const struct stored_schedule *stored, struct slice view_name,
                       struct hours_range within)
{
    struct buf out;
    const struct hours_answer answer = {
        .zone_data = slice_of(zone_files_version(run->zones)),
        .time_zone = view_name,
        .view = run->view,
        .within = within,
        .plan = hours_plan_new(&stored->schedule, run->arena),
        .zone = run->zone,
        .schedule_id = stored->id,
        .version = stored->version,
        .cursor_s = INT64_MIN,
        .limit = INT64_MAX,
    };
    if (answer.plan == NULL) return database_fail("out of memory");
    buf_init(&out, ANSWER_MAX_BYTES);
    (void)hours_write_json(&out, &answer);
    buf_append_char(&out, '\n');
    bool written = !out.failed && fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    buf_done(&out);
    return written ? 0 : database_fail("the answer cannot be written");
}

static int run_with_zones(struct run *run)
{
    struct stored_schedule stored = {0};
    struct hours_range within;
    int code = read_schedule(run, &stored);
    if (code != 0) return code;
    struct slice view_name = stored.schedule.time_zone;
    if (run->arguments.time_zone != NULL)
        view_name = time_zone_find(zone_files_names(run->zones), slice_of(run->arguments.time_zone));
    if (view_name.data == NULL) {
        database_fail("%s is no IANA time zone", run->arguments.time_zone);
        return 2;
    }
    run->zone = zone_files_find(run->zones, stored.schedule.time_zone);
    run->view = zone_files_find(run->zones, view_name);
    if (run->zone == NULL || run->view == NULL) return 1;
    code = read_range(&run->arguments, run->view, &within);
    return code != 0 ? code : print_hours(run, &stored, view_name, within);
}

int hours_command(const struct command_call *call)
{
    const char *tzdata = getenv("TZDATA");
    struct run run = {.arguments = {call->values[OPT_FROM], call->values[OPT_TO], call->values[OPT_TIME_ZONE]}};
    run.arena = arena_new(ARENA_MAX_BYTES);
    run.zones = zone_files_new(tzdata != NULL && tzdata[0] != '\0' ? tzdata : TZDATA_PATH);
    int code = run.arena == NULL || run.zones == NULL ? 1 : run_with_zones(&run);
    zone_files_free(run.zones);
    arena_free(run.arena);
    free(run.input);
    return code;
}
