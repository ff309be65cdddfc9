#include "codec/schedule_state.h"

#include "codec/json_text.h"
#include "codec/schedule_json.h"

static bool read_type(const json_t *value, enum schedule_event_type *ret_type)
{
    static const char *const names[] = {
        [SCHEDULE_CREATED] = "ScheduleCreated",
        [SCHEDULE_UPDATED] = "ScheduleUpdated",
        [SCHEDULE_DELETED] = "ScheduleDeleted",
    };
    const char *name = json_string_value(value);
    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *ret_type = (enum schedule_event_type)i;
        return true;
    }
    return false;
}

/* A copy, as the parsed document goes first; empty for anything but text. */
static struct slice copy_text(const json_t *value, struct arena *arena)
{
    return arena_copy(arena, (struct slice){json_string_value(value), json_string_length(value)});
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* What is stored kept the rules when it was written, so checking it reads it. */
static enum status read_schedule(const json_t *value, struct arena *arena, struct schedule *ret_schedule)
{
    struct schedule_input input;
    struct violations violations = {0};
    if (!schedule_input_from_json(value, arena, &input)) return arena_failure(arena);
    enum status status = schedule_check(&input, SCHEDULE_NEW, NULL, arena, ret_schedule, &violations);
    if (status != STATUS_OK) return status == STATUS_INVALID ? STATUS_UNDECODABLE : status;
    ret_schedule->name = copy_text(json_object_get(value, "name"), arena);
    ret_schedule->time_zone = copy_text(json_object_get(value, "timeZone"), arena);
    return ret_schedule->name.data != NULL && ret_schedule->time_zone.data != NULL ? STATUS_OK : arena_failure(arena);
}

static enum status read_event(const json_t *state, struct arena *arena, struct schedule_event *event)
{
    const json_t *schedule = json_object_get(state, "schedule");
    event->stored.id = number_of(schedule, "id");
    event->stored.owner_id = number_of(schedule, "ownerId");
    event->stored.org_id = number_of(schedule, "orgId"); /* null reads as 0 */
    event->stored.version = number_of(schedule, "version");
    event->command_id = copy_text(json_object_get(state, "commandId"), arena);
    event->occurred_us = number_of(state, "occurredUs");
    event->traceparent = copy_text(json_object_get(state, "traceparent"), arena);
    if (event->command_id.data == NULL || event->traceparent.data == NULL) return arena_failure(arena);
    if (!read_type(json_object_get(state, "type"), &event->type) || event->stored.id < 1) return STATUS_UNDECODABLE;
    return read_schedule(schedule, arena, &event->stored.schedule);
}

enum status schedule_state_read(struct slice json, struct arena *arena, struct schedule_event *ret_event)
{
    struct json_fault fault;
    json_t *state = NULL;
    enum status status = json_text_parse_stored(json, &state, &fault);
    if (status == STATUS_OK) status = read_event(state, arena, ret_event);
    json_decref(state);
    return status;
}
