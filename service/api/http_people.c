/* The handler that answers the hours of several people. Caller and organization have passed the guards; whether the caller may ask about these
 * people is asked here, when the body has named them.
 *
 * Happy path: all schedules come with one query; then, a small piece of work at a time (http_turn.c), each is read and planned, and the hours of
 * all are swept and written down.
 *
 * Failure modes: people without hours stand in `errors` beside the others and are never free; zone data that is read again meanwhile makes the work
 * start again, for its zones are gone; more schedules at once than the API may hold: 503. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/http_calendar.h"
#include "api/http_exchange.h"
#include "api/http_people_query.h"
#include "codec/hours_json.h"
#include "core/instant.h"
#include "driver/calendar.h"
#include "driver/clock.h"

enum { ARENA_BYTES_MAX = 16 << 20, SCRATCH_BYTES_MAX = 4 << 20, HELD_BYTES_MAX = 32 << 20 };

struct person {
    struct person_row row; /* its texts are in the arena */
    const char *fault;     /* the class of why there are no hours; NULL: there are */
    struct slice message;
};

struct people {
    struct people_query query;
    struct http_api *api;
    struct arena *rows;
    size_t held_bytes;
    struct person *items;
    size_t len;
    /* what is begun again with other zone data */
    char zone_data[ZONE_VERSION_SIZE]; /* "": not begun */
    struct arena *plans;
    struct slice view_name;
    const struct zone *view;
    struct hours_range within;
    size_t planned;                             /* so many items are */
    struct combine_person combined[PEOPLE_MAX]; /* those that have hours */
    int64_t ids[PEOPLE_MAX];                    /* of the same */
    size_t combined_len;
    size_t each; /* of PEOPLE_EACH: whose hours are swept; else 0 */
    struct combine_rule rule;
    struct combine_walk walks[PEOPLE_MAX];
    struct combine combine;
    struct buf body;
    struct calendar *calendar; /* NULL: the answer is JSON */
    int64_t written;
    struct hours_range found;
    size_t explained;      /* the sources of so many people of the one that was found are written */
    const char *separator; /* before the next source */
    bool (*next)(struct exchange *exchange);
};

void people_free(struct people *people)
{
    if (people == NULL) return;
    people->api->held_bytes -= people->held_bytes;
    arena_free(people->rows);
    arena_free(people->plans);
    buf_done(&people->body);
    calendar_free(people->calendar);
    free(people);
}

static bool fail(struct exchange *exchange, enum status status)
{
    reply_failure(exchange, status);
    return false;
}

/* ---- writing ---- */

static void write_text(struct people *people, const char *text)
{
    buf_append_slice(&people->body, slice_of(text));
}

static void write_int(struct people *people, const char *before, int64_t value)
{
    write_text(people, before);
    buf_append_int(&people->body, value);
}

static void write_schedules(struct people *people)
{
    const char *before = ",\"schedules\":[{\"userId\":";
    const char *none = ",\"schedules\":[";
    for (size_t i = 0; i < people->len; i++) {
        const struct person *person = &people->items[i];
        if (person->fault != NULL) continue;
        write_int(people, before, person->row.user_id);
        write_int(people, ",\"id\":", person->row.schedule.id);
        write_int(people, ",\"version\":", person->row.schedule.version);
        before = "},{\"userId\":";
        none = "}";
    }
    write_text(people, none);
    write_text(people, "]");
}

static void write_error(struct people *people, const char **before, int64_t user_id, const char *code, struct slice message)
{
    write_int(people, *before, user_id);
    write_text(people, ",\"code\":\"");
    write_text(people, code);
    write_text(people, "\",\"message\":");
    json_write_string(&people->body, message);
    write_text(people, "}");
    *before = ",{\"userId\":";
}

static bool is_known(const struct people *people, int64_t user_id)
{
    for (size_t i = 0; i < people->len; i++) {
        if (people->items[i].row.user_id == user_id) return true;
    }
    return false;
}

static bool names_user(const struct people_group *group, int64_t user_id)
{
    for (size_t i = 0; i < group->users_len; i++) {
        if (group->users[i] == user_id) return true;
    }
    return false;
}

/* Whether one of the first groups names the user. */
static bool is_named(const struct people_query *query, size_t groups_len, int64_t user_id)
{
    for (size_t i = 0; i < groups_len; i++) {
        if (names_user(&query->groups[i], user_id)) return true;
    }
    return false;
}

/* Of the groups of a team: those who are not in it, each once. */
static void write_strangers(struct people *people, const char **before)
{
    for (size_t i = 0; i < people->query.groups_len; i++) {
        const struct people_group *group = &people->query.groups[i];
        for (size_t j = 0; j < group->users_len; j++) {
            if (is_known(people, group->users[j]) || is_named(&people->query, i, group->users[j])) continue;
            write_error(people, before, group->users[j], "NotFoundException",
                        SLICE("The user of a group is not part of the team."));
        }
    }
}

static void write_errors(struct people *people)
{
    const char *before = "{\"userId\":";
    write_text(people, ",\"errors\":[");
    for (size_t i = 0; i < people->len; i++) {
        const struct person *person = &people->items[i];
        if (person->fault != NULL) write_error(people, &before, person->row.user_id, person->fault, person->message);
    }
    write_strangers(people, &before);
    write_text(people, "]");
}

static void write_free(struct people *people)
{
    int64_t count = 0;
    write_text(people, ",\"free\":[");
    for (size_t i = 0; i < people->combine.len; i++) {
        if (combine_is_free(&people->combine, i)) write_int(people, count++ == 0 ? "" : ",", people->ids[people->each + i]);
    }
    write_int(people, "],\"freeCount\":", count);
}

/* ---- the sweep ---- */

static bool search(struct exchange *exchange);

/* What was found last was the first one too many: the next answer begins with it. */
static void add_link(struct exchange *exchange)
{
    const struct people *people = exchange->people;
    char cursor[INSTANT_TEXT_MAX];
    instant_format_utc(people->found.start_s, cursor);
    if (people->query.combine != PEOPLE_EACH) reply_next_link(exchange, exchange->target, "%s", cursor);
    else reply_next_link(exchange, exchange->target, "%" PRId64 "@%s", people->ids[people->each], cursor);
}

static bool refuse_body(struct exchange *exchange)
{
    if (!exchange->people->body.is_too_large) return fail(exchange, STATUS_NO_MEMORY);
    reply_errorf(exchange, 400, "The answer exceeds %d bytes, please ask with a lower limit", REPLY_BYTES_MAX);
    return false;
}

static bool finish(struct exchange *exchange)
{
    struct people *people = exchange->people;
    bool is_calendar = people->calendar != NULL;
    if (is_calendar) calendar_write(&people->body, people->calendar);
    else write_text(people, "]}}");
    if (people->body.failed) return refuse_body(exchange);
    http_reply_header(exchange->request, "Vary", "Accept");
    http_reply_header(exchange->request, "Cache-Control", "private, no-cache");
    http_reply_header(exchange->request, "Access-Control-Expose-Headers", "Link");
    reply_text(exchange, 200, is_calendar ? CALENDAR_TYPE : JSON_TYPE, &people->body);
    return false;
}

/* The sources of one person's part of what was found. */
static bool explain(struct exchange *exchange)
{
    struct people *people = exchange->people;
    size_t index = people->each + people->explained;
    struct hours pieces;
    struct hours_piece piece;
    if (people->explained++ == people->combine.len) {
        write_text(people, "]}");
        people->next = search;
        return true;
    }
    hours_start(&pieces, people->combined[index].plan, people->combined[index].zone, people->found.start_s,
                people->found.end_s);
    while (hours_next_piece(&pieces, &piece)) {
        write_int(people, people->separator, people->ids[index]);
        write_text(people, ",");
        hours_write_source(&people->body, &piece);
        write_text(people, "}");
        people->separator = ",{\"userId\":";
    }
    return true;
}

static bool write_found(struct exchange *exchange)
{
    struct people *people = exchange->people;
    bool is_first = people->written++ == 0;
    if (people->calendar != NULL) {
        calendar_add_free(people->calendar, people->found.start_s, people->found.end_s);
        return true;
    }
    write_text(people, is_first ? "\n" : ",\n");
    hours_write_range(&people->body, people->view, &people->found);
    if (people->query.combine == PEOPLE_EACH) write_int(people, ",\"userId\":", people->ids[people->each]);
    if (people->query.hours.has_slots) write_free(people);
    if (!people->query.hours.has_slots && people->query.hours.explain) {
        write_text(people, ",\"sources\":[");
        people->explained = 0;
        people->separator = "{\"userId\":";
        people->next = explain;
    } else {
        write_text(people, "}");
    }
    return true;
}

/* Whether the sweep is somebody's: behind the last of each there is nobody. A calendar without anybody has one that is busy, as it must not be
 * empty. */
static bool has_busy(const struct people *people)
{
    return people->query.combine != PEOPLE_EACH || people->each < people->combined_len || people->combined_len == 0;
}

/* What is free in it comes with the sweep. */
static void begin_busy(struct people *people, int64_t from_s)
{
    char uid[CALENDAR_UID_SIZE] = "people";
    if (people->query.combine == PEOPLE_EACH && people->combined_len > 0)
        snprintf(uid, sizeof(uid), "user-%" PRId64, people->ids[people->each]);
    calendar_begin(people->calendar, uid, from_s > people->within.start_s ? from_s : people->within.start_s);
}

/* Sweeps over all, or over the one whose turn of each it is. */
static void start_sweep(struct people *people)
{
    const struct people_query *query = &people->query;
    bool is_each = query->combine == PEOPLE_EACH;
    bool is_cursor = !is_each || people->each == people->combined_len || people->ids[people->each] == query->cursor_user;
    size_t len = is_each ? people->each < people->combined_len : people->combined_len;
    combine_start(&people->combine, &people->combined[people->each], len, &people->rule,
                  query->hours.has_slots ? &query->hours.slots : NULL, people->within,
                  is_cursor ? query->hours.cursor_s : INT64_MIN, people->walks);
    if (people->calendar != NULL && has_busy(people)) begin_busy(people, people->combine.from_s);
}

static bool search(struct exchange *exchange)
{
    struct people *people = exchange->people;
    switch (combine_step(&people->combine, &people->found)) {
    case COMBINE_MORE: return true;
    case COMBINE_FOUND:
        if (people->written < people->query.hours.limit) return write_found(exchange);
        if (people->calendar != NULL) calendar_end(people->calendar, people->found.start_s);
        add_link(exchange);
        return finish(exchange);
    default:
        if (people->calendar != NULL && has_busy(people)) calendar_end(people->calendar, people->within.end_s);
        if (people->query.combine != PEOPLE_EACH || people->each == people->combined_len) return finish(exchange);
        people->each++;
        start_sweep(people);
        return true;
    }
}

/* ---- the plans ---- */

static uint32_t groups_of(const struct people_query *query, int64_t user_id)
{
    uint32_t groups = query->combine == PEOPLE_GROUPS ? 0 : 1;
    for (size_t i = 0; i < query->groups_len; i++) {
        if (names_user(&query->groups[i], user_id)) groups |= UINT32_C(1) << i;
    }
    return groups;
}

static void set_rule(struct people *people)
{
    const struct people_query *query = &people->query;
    people->rule = (struct combine_rule){1, {1}};
    if (query->combine == PEOPLE_ALL) people->rule.at_least[0] = (uint32_t)people->len;
    if (query->combine == PEOPLE_AT_LEAST) people->rule.at_least[0] = (uint32_t)query->at_least;
    if (query->combine != PEOPLE_GROUPS) return;
    people->rule.groups_len = query->groups_len;
    for (size_t i = 0; i < query->groups_len; i++) people->rule.at_least[i] = (uint32_t)query->groups[i].at_least;
}

static void write_head(struct people *people)
{
    write_text(people, "{\"status\":\"success\",\"data\":");
    hours_write_head(&people->body, slice_of(people->zone_data), people->view_name, &people->within);
    write_schedules(people);
    write_errors(people);
    write_text(people, people->query.hours.has_slots ? ",\"slots\":[" : ",\"ranges\":[");
}

static bool start_answer(struct exchange *exchange)
{
    struct people *people = exchange->people;
    if (people->calendar == NULL) write_head(people);
    set_rule(people);
    while (people->query.combine == PEOPLE_EACH && people->each < people->combined_len &&
           people->ids[people->each] < people->query.cursor_user) {
        people->each++;
    }
    start_sweep(people);
    people->next = search;
    return true;
}

static void refuse_person(struct people *people, struct person *person, const char *fault, struct slice message)
{
    person->fault = fault;
    person->message = message;
    if (message.data == NULL) buf_fail(&people->body, STATUS_NO_MEMORY);
}

/* Whether the person has a schedule that can be planned; else says why not. */
static bool check_person(struct exchange *exchange, struct person *person, const struct zone *zone)
{
    struct people *people = exchange->people;
    const struct person_row *row = &person->row;
    if (!row->is_member) {
        refuse_person(people, person, "NotFoundException",
                      arena_printf(people->plans,
                                   "User with ID=%" PRId64 " is not part of the organization with ID=%" PRId64 ".",
                                   row->user_id, exchange->org_id));
    } else if (row->schedule.id == 0 && row->asked_id == 0) {
        refuse_person(people, person, "NotFoundException",
                      arena_printf(people->plans, "User with ID=%" PRId64 " has no default schedule.", row->user_id));
    } else if (row->schedule.id == 0) {
        refuse_person(people, person, "NotFoundException",
                      arena_printf(people->plans, "User with ID=%" PRId64 " has no schedule with ID=%" PRId64 ".",
                                   row->user_id, row->asked_id));
    } else if (zone == NULL) {
        refuse_person(people, person, "ConflictException",
                      arena_printf(people->plans, "The time zone %.*s of schedule %" PRId64 " is not in the zone data %s",
                                   (int)row->schedule.time_zone.len, row->schedule.time_zone.data, row->schedule.id,
                                   people->zone_data));
    } else {
        person->fault = NULL;
    }
    return person->fault == NULL;
}

static enum status plan_schedule(struct people *people, const struct schedule_row *row, const struct hours_plan **ret_plan)
{
    struct arena *scratch = arena_new(SCRATCH_BYTES_MAX);
    struct schedule schedule;
    enum status status = scratch == NULL ? STATUS_NO_MEMORY : schedule_of_row(row, scratch, &schedule);
    *ret_plan = status == STATUS_OK ? hours_plan_new(&schedule, people->plans) : NULL;
    arena_free(scratch);
    return status == STATUS_OK && *ret_plan == NULL ? STATUS_NO_MEMORY : status;
}

static bool plan_next(struct exchange *exchange)
{
    struct people *people = exchange->people;
    const struct hours_plan *plan;
    if (people->planned == people->len) return start_answer(exchange);
    struct person *person = &people->items[people->planned++];
    const struct schedule_row *row = &person->row.schedule;
    const struct zone *zone = row->id == 0 ? NULL : zone_files_find(people->api->config.zones, row->time_zone);
    if (!check_person(exchange, person, zone)) return true;
    enum status status = plan_schedule(people, row, &plan);
    if (status != STATUS_OK) return fail(exchange, status);
    people->ids[people->combined_len] = person->row.user_id;
    people->combined[people->combined_len++] =
        (struct combine_person){plan, zone, groups_of(&people->query, person->row.user_id)};
    return true;
}

static bool begin(struct exchange *exchange)
{
    struct people *people = exchange->people;
    snprintf(people->zone_data, sizeof(people->zone_data), "%s", zone_files_version(people->api->config.zones));
    arena_free(people->plans);
    people->plans = arena_new(ARENA_BYTES_MAX);
    if (people->plans == NULL) return fail(exchange, STATUS_NO_MEMORY);
    people->view_name = people->query.hours.time_zone.data == NULL ? SLICE("UTC") : people->query.hours.time_zone;
    people->view = zone_files_find(people->api->config.zones, people->view_name);
    if (people->view == NULL) {
        reply_errorf(exchange, 409, "The time zone %s is not in the zone data %s", people->view_name.data,
                     people->zone_data);
        return false;
    }
    people->within = hours_query_range(&people->query.hours, people->view);
    calendar_free(people->calendar);
    bool is_calendar = wants_calendar(exchange);
    people->calendar = is_calendar ? calendar_new(clock_wall_us() / 1000000) : NULL;
    if (is_calendar && people->calendar == NULL) return fail(exchange, STATUS_NO_MEMORY);
    buf_clear(&people->body);
    people->planned = people->combined_len = people->each = 0;
    people->written = 0;
    people->next = plan_next;
    return true;
}

static bool work(struct exchange *exchange)
{
    struct people *people = exchange->people;
    if (people->body.failed) return refuse_body(exchange);
    bool is_same = strcmp(people->zone_data, zone_files_version(people->api->config.zones)) == 0;
    return is_same ? people->next(exchange) : begin(exchange);
}

/* ---- who, and their schedules ---- */

static size_t bytes_of(const struct schedule_row *row)
{
    return sizeof(struct person) + row->time_zone.len + row->availability_json.len + row->overrides_json.len;
}

static bool keep(struct arena *arena, struct slice *text)
{
    *text = arena_copy(arena, *text);
    return text->data != NULL;
}

/* The list is only lent. */
static bool keep_rows(struct people *people, const struct people_list *list)
{
    people->rows = arena_new(ARENA_BYTES_MAX);
    people->items = people->rows == NULL ? NULL : arena_calloc(people->rows, list->len, sizeof(struct person));
    for (size_t i = 0; people->items != NULL && i < list->len; i++) {
        struct person_row *row = &people->items[i].row;
        *row = list->rows[i];
        row->schedule.name = SLICE("");
        if (!keep(people->rows, &row->schedule.time_zone) || !keep(people->rows, &row->schedule.availability_json) ||
            !keep(people->rows, &row->schedule.overrides_json)) {
            return false;
        }
    }
    people->len = list->len;
    return people->items != NULL;
}

/* False when it was answered. */
static bool check_list(struct exchange *exchange, const struct people_list *list)
{
    const struct people_query *query = &exchange->people->query;
    struct violations violations = {0};
    if (list->len > PEOPLE_MAX) {
        reply_errorf(exchange, 400, "The team with ID=%" PRId64 " has more than %d members", query->team_id, PEOPLE_MAX);
    } else if (list->is_cut) {
        reply_errorf(exchange, 400, "The schedules of these people exceed %d bytes", READER_LIST_BYTES_MAX);
    } else if (people_query_fits(query, list->len, exchange->arena, &violations)) {
        return true;
    } else {
        reply_violations(exchange, &violations);
    }
    return false;
}

static void on_people(void *ctx, enum status status, const struct people_list *list)
{
    struct exchange *exchange = ctx;
    struct people *people = exchange->people;
    struct http_api *api = exchange->api;
    size_t bytes = 0;
    for (size_t i = 0; i < list->len; i++) bytes += bytes_of(&list->rows[i].schedule);
    if (status == STATUS_OK && api->held_bytes + bytes > HELD_BYTES_MAX) status = STATUS_OVERLOADED;
    if (status != STATUS_OK) {
        reply_failure(exchange, status);
        return;
    }
    if (!check_list(exchange, list)) return;
    api->held_bytes += people->held_bytes = bytes;
    if (keep_rows(people, list)) turn_work(exchange, work);
    else reply_failure(exchange, STATUS_NO_MEMORY);
}

static void list_people(struct exchange *exchange)
{
    const struct people_query *query = &exchange->people->query;
    const struct people_key key = {query->users, query->schedules, query->users_len, query->team_id, PEOPLE_MAX + 1};
    enum status status = reader_list_people(exchange->api->config.reader, exchange_share(exchange), exchange->org_id, &key,
                                            on_people, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

/* Sets the exchange's people. False when it was answered. */
static bool read_query(struct exchange *exchange)
{
    struct violations violations = {0};
    const struct time_zones *names = zone_files_names(exchange->api->config.zones);
    struct people *people = exchange->people = calloc(1, sizeof(*people));
    if (people == NULL) return fail(exchange, STATUS_NO_MEMORY);
    people->api = exchange->api;
    buf_init(&people->body, REPLY_BYTES_MAX);
    enum status status =
        people_query_read(exchange->body, exchange->target, names, exchange->arena, &people->query, &violations);
    if (status == STATUS_INVALID) reply_violations(exchange, &violations);
    else if (status != STATUS_OK) reply_failure(exchange, status);
    if (status != STATUS_OK || !wants_calendar(exchange)) return status == STATUS_OK;
    return check_calendar(exchange, &people->query.hours, json_object_get(exchange->body, "limit") != NULL);
}

/* Without a team only the organization's admins may ask; others are refused before the rest of the body is read. */
void handle_query_people(struct exchange *exchange)
{
    if (!exchange_read_body(exchange)) return;
    bool names_team = json_is_integer(json_object_get(exchange->body, "teamId"));
    if (!names_team && !guards_pass_org_admin(exchange)) return;
    if (!read_query(exchange)) return;
    if (exchange->people->query.team_id != 0) auth_team(exchange, exchange->people->query.team_id, list_people);
    else list_people(exchange);
}
