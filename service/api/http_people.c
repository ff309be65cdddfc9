/* The handler that answers the hours of several people. Caller and organization have passed the guards; whether the caller may ask about these
 * people is asked here, when the body has named them.
 *
 * Happy path: all schedules come with one query; then, a small piece of work at a time (http_turn.c), each is read and planned, and the answer
 * is swept from the plans (http_people_answer.c).
 *
 * Failure modes: people without hours stand in `errors` beside the others and are never free; zone data that is read again meanwhile makes the work
 * start again, for its zones are gone; more schedules at once than the API may hold: 503. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/http_calendar.h"
#include "api/http_people.h"
#include "codec/json_text.h"
#include "driver/clock.h"

enum { ARENA_BYTES_MAX = 16 << 20, SCRATCH_BYTES_MAX = 4 << 20, HELD_BYTES_MAX = 32 << 20 };

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

/* ---- the plans ---- */

static uint32_t groups_of(const struct people_query *query, int64_t user_id)
{
    uint32_t groups = query->combine == PEOPLE_GROUPS ? 0 : 1;
    for (size_t i = 0; i < query->groups_len; i++) {
        if (people_group_names(&query->groups[i], user_id)) groups |= UINT32_C(1) << i;
    }
    return groups;
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
    if (people->planned == people->len) return people_start_answer(exchange);
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
    if (people->body.failed) return people_refuse_body(exchange);
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
    int64_t team_id;
    bool names_team = json_integer_read(json_object_get(exchange->body, "teamId"), &team_id);
    if (!names_team && !guards_pass_org_admin(exchange)) return;
    if (!read_query(exchange)) return;
    if (exchange->people->query.team_id != 0) auth_team(exchange, exchange->people->query.team_id, list_people);
    else list_people(exchange);
}
