#include "api/http_hours_query.h"

#include <inttypes.h>

#include "api/http_path.h"
#include "api/http_query.h"
#include "codec/json_text.h"
#include "core/instant.h"

enum { DAY_S = 86400, MINUTE_S = 60 };

/* The reading of one query. */
struct reading {
    struct slice target;
    const json_t *body; /* NULL: of the target */
    struct arena *arena;
    struct violations *violations;
    bool out_of_memory;
};

/* What a parameter is in a body. */
enum form { TEXT, NUMBER, BOOLEAN };

/* A member as a target would have it; of another form it is "", which nothing takes. Null counts as absent. */
static struct slice member_of(struct reading *reading, const char *name, enum form form)
{
    const json_t *member = json_object_get(reading->body, name);
    struct slice value = SLICE("");
    if (member == NULL || json_is_null(member)) return (struct slice){NULL, 0};
    if (form == TEXT && json_is_string(member)) {
        return (struct slice){json_string_value(member), json_string_length(member)};
    }
    if (form == BOOLEAN && json_is_boolean(member)) return json_is_true(member) ? SLICE("true") : SLICE("false");
    int64_t number;
    if (form == NUMBER && json_integer_read(member, &number)) {
        value = arena_printf(reading->arena, "%" PRId64, number);
        if (value.data == NULL) reading->out_of_memory = true;
    }
    return value;
}

/* The value of a parameter; data is NULL when it is not there. */
static struct slice value_of(struct reading *reading, const char *name, enum form form)
{
    struct slice value = {NULL, 0};
    if (reading->body != NULL) return member_of(reading, name, form);
    if (!query_value(reading->target, slice_of(name), reading->arena, &value)) reading->out_of_memory = true;
    return value;
}

static void refuse(struct reading *reading, const char *name, const char *constraint, struct slice message)
{
    violations_add(reading->violations, reading->arena, slice_of(name), slice_of(constraint), message);
}

/* ---- single parameters; one that is absent leaves what stands there ---- */

static void read_number(struct reading *reading, const char *name, int64_t least, int64_t most, int64_t *value)
{
    struct slice text = value_of(reading, name, NUMBER);
    int64_t number;
    if (text.data == NULL) return;
    if (path_int(text, &number) && number >= least && number <= most) *value = number;
    else if (most == INT64_MAX) refuse(reading, name, "isInt", arena_printf(reading->arena, "%s must be an integer", name));
    else {
        refuse(reading, name, "isInt",
               arena_printf(reading->arena, "%s must be an integer from %" PRId64 " to %" PRId64, name, least, most));
    }
}

/* One of two words; sets whether it is the first. */
static void read_word(struct reading *reading, const char *name, enum form form, const char *first, const char *second,
                      bool *is_first)
{
    struct slice text = value_of(reading, name, form);
    if (text.data == NULL) return;
    if (slice_equal(text, slice_of(first))) *is_first = true;
    else if (slice_equal(text, slice_of(second))) *is_first = false;
    else refuse(reading, name, "isIn", arena_printf(reading->arena, "%s must be %s or %s", name, first, second));
}

static void read_zone(struct reading *reading, const struct time_zones *names, struct slice *time_zone)
{
    struct slice text = value_of(reading, "timeZone", TEXT);
    if (text.data == NULL) return;
    *time_zone = time_zone_find(names, text);
    if (time_zone->data == NULL) refuse(reading, "timeZone", "isTimeZone", SLICE("timeZone must be a valid IANA time-zone"));
}

/* ---- from and to ---- */

static bool read_moment(struct reading *reading, const char *name, bool *ret_is_date, int64_t *ret_moment)
{
    struct slice text = value_of(reading, name, TEXT);
    struct date date;
    *ret_is_date = text.data != NULL && date_parse(text, &date);
    if (*ret_is_date) *ret_moment = days_of(date);
    if (*ret_is_date || (text.data != NULL && instant_parse(text, ret_moment))) return true;
    refuse(reading, name, "isDateTime",
           arena_printf(reading->arena,
                        "%s must be a date (2024-03-10) or a date-time with offset (2024-03-10T09:00:00-05:00)", name));
    return false;
}

static void read_span(struct reading *reading, struct hours_query *query)
{
    const int32_t first_day = days_of((struct date){ZONE_YEAR_MIN, 1, 1});
    const int32_t last_day = days_of((struct date){ZONE_YEAR_MAX + 1, 1, 1});
    bool to_is_date = false;
    bool has_from = read_moment(reading, "from", &query->is_dates, &query->from);
    bool has_to = read_moment(reading, "to", &to_is_date, &query->to);
    int64_t unit = query->is_dates ? 1 : DAY_S;
    if (!has_from || !has_to) return;
    if (query->is_dates != to_is_date) {
        refuse(reading, "to", "isSameForm", SLICE("from and to must both be dates, or both be date-times with offset"));
    } else if (query->to <= query->from) {
        refuse(reading, "to", "isAfter", SLICE("to must be after from"));
    } else if (query->from < first_day * unit || query->to > last_day * unit) {
        refuse(reading, "from", "years",
               arena_printf(reading->arena, "from and to must be within the years %d to %d", ZONE_YEAR_MIN, ZONE_YEAR_MAX));
    } else if (query->to - query->from > HOURS_DAYS_MAX * unit) {
        refuse(reading, "to", "days", arena_printf(reading->arena, "to must be at most %d days after from", HOURS_DAYS_MAX));
    }
}

static void read_cursor(struct reading *reading, int64_t *cursor_s)
{
    struct slice text = value_of(reading, "cursor", TEXT);
    if (text.data == NULL || instant_parse(text, cursor_s)) return;
    refuse(reading, "cursor", "isCursor", SLICE("cursor must be one of a Link header of this query"));
}

static void read_slots(struct reading *reading, struct hours_query *query)
{
    bool by_range = true;
    int64_t duration = 0;
    read_number(reading, "duration", 1, HOURS_SLOT_MINUTES_MAX, &duration);
    int64_t step = duration;
    read_number(reading, "step", 1, HOURS_SLOT_MINUTES_MAX, &step);
    read_word(reading, "align", TEXT, "range", "clock", &by_range);
    query->has_slots = value_of(reading, "duration", NUMBER).data != NULL;
    if (!query->has_slots &&
        (value_of(reading, "step", NUMBER).data != NULL || value_of(reading, "align", TEXT).data != NULL)) {
        refuse(reading, "duration", "isDefined", SLICE("duration must be given with step or align"));
    }
    query->slots = (struct slots_rule){(int32_t)duration * MINUTE_S, (int32_t)step * MINUTE_S,
                                       by_range ? SLOTS_ALIGN_RANGE : SLOTS_ALIGN_CLOCK};
}

/* What only a target has. */
static void read_place(struct reading *reading, struct hours_query *query)
{
    read_number(reading, "scheduleId", INT64_MIN, INT64_MAX, &query->schedule_id);
    query->has_schedule = value_of(reading, "scheduleId", NUMBER).data != NULL;
    read_cursor(reading, &query->cursor_s);
}

enum status hours_query_read(struct slice target, const json_t *body, const struct time_zones *names, struct arena *arena,
                             struct hours_query *ret_query, struct violations *violations)
{
    struct reading reading = {.target = target, .body = body, .arena = arena, .violations = violations};
    struct hours_query query = {.limit = HOURS_RANGES_MAX, .cursor_s = INT64_MIN};
    size_t earlier = violations->len;
    read_span(&reading, &query);
    read_zone(&reading, names, &query.time_zone);
    read_slots(&reading, &query);
    read_word(&reading, "explain", BOOLEAN, "true", "false", &query.explain);
    read_number(&reading, "limit", 1, HOURS_RANGES_MAX, &query.limit);
    if (body == NULL) read_place(&reading, &query);
    if (reading.out_of_memory || violations->out_of_memory) return STATUS_NO_MEMORY;
    if (violations->len > earlier) return STATUS_INVALID;
    *ret_query = query;
    return STATUS_OK;
}

int64_t hours_query_days(const struct hours_query *query)
{
    int64_t unit = query->is_dates ? 1 : DAY_S;
    return (query->to - query->from + unit - 1) / unit;
}

struct hours_range hours_query_range(const struct hours_query *query, const struct zone *view)
{
    if (!query->is_dates) return (struct hours_range){query->from, query->to};
    return (struct hours_range){zone_day_start_s(view, (int32_t)query->from), zone_day_start_s(view, (int32_t)query->to)};
}
