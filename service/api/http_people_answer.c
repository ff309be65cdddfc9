/* The answer about several people: the sweep over their plans, a small piece of work at a time, and what it writes. A next answer, which the cursor
 * of `Link` names, begins with what was found last and did not fit.
 *
 * Failure modes: an answer that exceeds its maximum is refused, naming the limit to lower. */
#include <inttypes.h>
#include <stdio.h>

#include "api/http_calendar.h"
#include "api/http_people.h"
#include "codec/hours_json.h"
#include "core/instant.h"

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

/* Whether one of the first groups names the user. */
static bool is_named(const struct people_query *query, size_t groups_len, int64_t user_id)
{
    for (size_t i = 0; i < groups_len; i++) {
        if (people_group_names(&query->groups[i], user_id)) return true;
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

bool people_refuse_body(struct exchange *exchange)
{
    if (!exchange->people->body.is_too_large) {
        reply_failure(exchange, STATUS_NO_MEMORY);
        return false;
    }
    reply_errorf(exchange, 400, "The answer exceeds %d bytes, please ask with a lower limit", REPLY_BYTES_MAX);
    return false;
}

static bool finish(struct exchange *exchange)
{
    struct people *people = exchange->people;
    bool is_calendar = people->calendar != NULL;
    if (is_calendar) calendar_write(&people->body, people->calendar);
    else write_text(people, "]}}");
    if (people->body.failed) return people_refuse_body(exchange);
    http_reply_header(exchange->request, "Vary", "Accept");
    http_reply_header(exchange->request, "Cache-Control", "private, no-cache");
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

/* ---- the start ---- */

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

bool people_start_answer(struct exchange *exchange)
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
