/* The handlers that answer a schedule's hours as instants. Caller, organization and user have passed the guards. */
#include <inttypes.h>
#include <stdio.h>

#include "api/http_calendar.h"
#include "api/http_exchange.h"
#include "api/http_hours_query.h"
#include "api/http_query.h"
#include "codec/hours_json.h"
#include "core/instant.h"
#include "driver/calendar.h"
#include "driver/clock.h"

/* Sets the exchange's hours_query. False when it was answered. */
static bool read_query(struct exchange *exchange)
{
    struct violations violations = {0};
    const struct time_zones *names = zone_files_names(exchange->api->config.zones);
    struct hours_query *query = arena_alloc(exchange->arena, sizeof(*query));
    enum status status = STATUS_NO_MEMORY;
    if (query != NULL) status = hours_query_read(exchange->target, NULL, names, exchange->arena, query, &violations);
    exchange->hours_query = query;
    if (status == STATUS_INVALID) reply_violations(exchange, &violations);
    else if (status != STATUS_OK) reply_failure(exchange, status);
    if (status != STATUS_OK || !wants_calendar(exchange)) return status == STATUS_OK;
    struct slice limit = {NULL, 0};
    if (query_value(exchange->target, SLICE("limit"), exchange->arena, &limit)) {
        return check_calendar(exchange, query, limit.data != NULL);
    }
    reply_failure(exchange, STATUS_NO_MEMORY);
    return false;
}

/* ---- what does not change while the schedule, the zone data and the query are the same ---- */

/* Sets the ETag, and answers 304 to who has it; then returns true. */
static bool reply_not_modified(struct exchange *exchange, const struct schedule_row *row)
{
    char etag[ETAG_SIZE];
    bool is_calendar = wants_calendar(exchange); /* which says when it was made: no two have the same bytes */
    struct slice all = arena_printf(exchange->arena, "%" PRId64 ".%" PRId64 " %s %s %d", row->id, row->version,
                                    zone_files_version(exchange->api->config.zones), exchange->target.data, is_calendar);
    if (all.data == NULL) return false;
    etag_of_bytes(all, etag);
    struct slice shown = arena_printf(exchange->arena, "%s%s", is_calendar ? "W/" : "", etag);
    if (shown.data == NULL) return false;
    http_reply_header(exchange->request, "ETag", shown.data);
    http_reply_header(exchange->request, "Vary", "Accept");
    http_reply_header(exchange->request, "Cache-Control", "private, no-cache");
    if (!if_none_match_has(http_request_header(exchange->request, "If-None-Match"), etag)) return false;
    reply_bytes(exchange, 304, NULL, SLICE(""));
    return true;
}

/* ---- the answer ---- */

static const struct zone *find_zone(struct exchange *exchange, const struct schedule_row *row, struct slice name)
{
    struct zone_files *zones = exchange->api->config.zones;
    const struct zone *zone = zone_files_find(zones, name);
    if (zone != NULL) return zone;
    reply_errorf(exchange, 409, "The time zone %.*s of schedule %" PRId64 " is not in the zone data %s", (int)name.len,
                 name.data, row->id, zone_files_version(zones));
    return NULL;
}

/* Returns as hours_write_json. */
static int64_t write_json(struct buf *body, const struct hours_answer *answer)
{
    buf_printf(body, "{\"status\":\"success\",\"data\":");
    int64_t next_s = hours_write_json(body, answer);
    buf_append_char(body, '}');
    return next_s;
}

/* Returns the start of the range beyond the limit. */
static int64_t add_hours(struct calendar *calendar, const struct hours_answer *answer)
{
    struct hours hours;
    struct hours_range range;
    int64_t shown = 0;
    hours_start(&hours, answer->plan, answer->zone, answer->within.start_s, answer->within.end_s);
    while (hours_next(&hours, &range)) {
        if (range.start_s < answer->cursor_s) continue;
        if (shown++ == answer->limit) return range.start_s;
        calendar_add_free(calendar, range.start_s, range.end_s);
    }
    return INT64_MAX;
}

/* Returns as hours_write_json. */
static int64_t write_calendar(struct buf *body, const struct hours_answer *answer)
{
    char uid[CALENDAR_UID_SIZE];
    struct calendar *calendar = calendar_new(clock_wall_us() / 1000000);
    if (calendar == NULL) {
        buf_fail(body, STATUS_NO_MEMORY);
        return INT64_MAX;
    }
    snprintf(uid, sizeof(uid), "schedule-%" PRId64, answer->schedule_id);
    calendar_begin(calendar, uid, answer->cursor_s > answer->within.start_s ? answer->cursor_s : answer->within.start_s);
    int64_t next_s = add_hours(calendar, answer);
    calendar_end(calendar, next_s == INT64_MAX ? answer->within.end_s : next_s);
    calendar_write(body, calendar);
    calendar_free(calendar);
    return next_s;
}

static void reply_answer(struct exchange *exchange, const struct hours_answer *answer)
{
    struct buf body;
    char cursor[INSTANT_TEXT_MAX];
    bool is_calendar = wants_calendar(exchange);
    buf_init(&body, REPLY_BYTES_MAX);
    int64_t next_s = (is_calendar ? write_calendar : write_json)(&body, answer);
    if (next_s != INT64_MAX) reply_next_link(exchange, exchange->target, "%s", instant_format_utc(next_s, cursor).data);
    reply_text(exchange, 200, is_calendar ? CALENDAR_TYPE : JSON_TYPE, &body);
    buf_done(&body);
}

static void reply_hours(struct exchange *exchange, const struct schedule_row *row)
{
    const struct hours_query *query = exchange->hours_query;
    struct schedule schedule;
    if (reply_not_modified(exchange, row)) return;
    struct slice view_name = query->time_zone.data == NULL ? row->time_zone : query->time_zone;
    const struct zone *zone = find_zone(exchange, row, row->time_zone);
    const struct zone *view = zone == NULL ? NULL : find_zone(exchange, row, view_name);
    if (view == NULL) return;
    enum status status = schedule_of_row(row, exchange->arena, &schedule);
    const struct hours_plan *plan = status == STATUS_OK ? hours_plan_new(&schedule, exchange->arena) : NULL;
    if (plan == NULL) {
        reply_failure(exchange, status == STATUS_OK ? STATUS_NO_MEMORY : status);
        return;
    }
    const struct hours_answer answer = {
        .zone_data = slice_of(zone_files_version(exchange->api->config.zones)),
        .time_zone = view_name,
        .view = view,
        .within = hours_query_range(query, view),
        .plan = plan,
        .zone = zone,
        .schedule_id = row->id,
        .owner_id = row->owner_id,
        .version = row->version,
        .slots = query->has_slots ? &query->slots : NULL,
        .explain = query->explain,
        .cursor_s = query->cursor_s,
        .limit = query->limit,
    };
    reply_answer(exchange, &answer);
}

/* ---- which schedule ---- */

static void on_schedule(void *ctx, enum status status, enum schedule_access access, const struct schedule_row *row)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) reply_failure(exchange, status);
    else if (access != SCHEDULE_OWN) refuse_schedule(exchange, access);
    else reply_hours(exchange, row);
}

static void on_default(void *ctx, enum status status, enum schedule_access access, const struct schedule_row *row)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) reply_failure(exchange, status);
    else if (access == SCHEDULE_OWN) reply_hours(exchange, row);
    else reply_errorf(exchange, 404, "User with ID=%" PRId64 " has no default schedule.", exchange->user_id);
}

static void get_schedule(struct exchange *exchange)
{
    enum status status = reader_get_schedule(exchange->api->config.reader, exchange_share(exchange), exchange->scope_org_id,
                                             exchange->user_id, exchange->schedule_id, on_schedule, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

void handle_get_hours(struct exchange *exchange)
{
    if (read_query(exchange)) get_schedule(exchange);
}

static void get_default(struct exchange *exchange)
{
    enum status status = reader_get_default_schedule(exchange->api->config.reader, exchange_share(exchange),
                                                     exchange->scope_org_id, exchange->user_id, on_default, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

void handle_get_default_hours(struct exchange *exchange)
{
    if (read_query(exchange)) get_default(exchange);
}

/* Of the default schedule, or of the one that the query names. */
void handle_get_user_hours(struct exchange *exchange)
{
    if (!read_query(exchange)) return;
    exchange->schedule_id = exchange->hours_query->schedule_id;
    if (exchange->hours_query->has_schedule) get_schedule(exchange);
    else get_default(exchange);
}
