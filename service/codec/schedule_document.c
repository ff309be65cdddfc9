#include "codec/schedule_document.h"

#include "codec/json_text.h"
#include "codec/protobuf.h"
#include "codec/schedule_json.h"
#include "schedules/v1/schedule_created.pb-c.h"

/* ---- protobuf: the events have their schedule in the same field ---- */

static bool read_message(const Schedules__V1__Schedule *message, struct arena *arena, struct stored_schedule *stored,
                         struct schedule_input *ret_input, bool *utf8)
{
    stored->id = message->id;
    stored->owner_id = message->owner_id;
    stored->org_id = message->org_id;
    stored->version = message->version;
    ret_input->name = protobuf_text(&message->name, utf8);
    ret_input->time_zone = protobuf_text(&message->time_zone, utf8);
    ret_input->is_default = (struct input_bool){INPUT_GIVEN, message->is_default != 0};
    return protobuf_windows(message->availability, message->n_availability, arena, &ret_input->availability, utf8) &&
           protobuf_overrides(message->overrides, message->n_overrides, arena, &ret_input->overrides, utf8);
}

static enum status read_protobuf(struct slice bytes, struct arena *arena, struct stored_schedule *stored,
                                 struct schedule_input *ret_input, const char **ret_reason)
{
    ProtobufCAllocator allocator = protobuf_allocator(arena);
    bool utf8 = true;
    const Schedules__V1__ScheduleCreated *event =
        schedules__v1__schedule_created__unpack(&allocator, bytes.len, (const uint8_t *)bytes.data);
    *ret_reason = "neither JSON nor the protobuf value of an event";
    if (event == NULL) return arena_failure(arena) != STATUS_OK ? arena_failure(arena) : STATUS_UNDECODABLE;
    if (event->schedule == NULL) return STATUS_UNDECODABLE;
    if (!read_message(event->schedule, arena, stored, ret_input, &utf8)) return arena_failure(arena);
    return utf8 ? STATUS_OK : STATUS_UNDECODABLE;
}

/* ---- JSON ---- */

/* The value itself, or the schedule inside of an answer or event. */
static const json_t *schedule_in(const json_t *value)
{
    static const char *const wrappers[] = {"data", "schedule"};
    for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
        const json_t *inner = json_object_get(value, wrappers[i]);
        if (inner != NULL) value = inner;
    }
    return value;
}

static enum status read_json(const json_t *document, const struct time_zones *zones, struct arena *arena,
                             struct stored_schedule *stored, struct violations *violations, const char **ret_reason)
{
    const json_t *value = schedule_in(document);
    struct schedule_input input;
    if (!json_is_object(value)) {
        *ret_reason = "the JSON holds no schedule";
        return STATUS_UNDECODABLE;
    }
    stored->id = json_integer_value(json_object_get(value, "id"));
    stored->owner_id = json_integer_value(json_object_get(value, "ownerId"));
    stored->org_id = json_integer_value(json_object_get(value, "orgId"));
    stored->version = json_integer_value(json_object_get(value, "version"));
    if (!schedule_input_from_json(value, arena, &input)) return arena_failure(arena);
    enum status status = schedule_check(&input, SCHEDULE_NEW, zones, arena, &stored->schedule, violations);
    if (status != STATUS_OK) return status;
    stored->schedule.name = arena_copy(arena, stored->schedule.name); /* the document goes first */
    stored->schedule.time_zone = arena_copy(arena, stored->schedule.time_zone);
    return stored->schedule.name.data == NULL || stored->schedule.time_zone.data == NULL ? arena_failure(arena) : STATUS_OK;
}

enum status schedule_document_read(struct slice bytes, const struct time_zones *zones, struct arena *arena,
                                   struct stored_schedule *ret_stored, struct violations *violations,
                                   const char **ret_reason)
{
    struct json_fault fault;
    json_t *document = NULL;
    struct schedule_input input = {0};
    *ret_stored = (struct stored_schedule){0};
    enum status status = json_text_parse(bytes, &document, &fault);
    if (status == STATUS_OK) {
        status = read_json(document, zones, arena, ret_stored, violations, ret_reason);
        json_decref(document);
        return status;
    }
    if (status != STATUS_UNDECODABLE) return status;
    status = read_protobuf(bytes, arena, ret_stored, &input, ret_reason);
    if (status != STATUS_OK) return status;
    return schedule_check(&input, SCHEDULE_NEW, zones, arena, &ret_stored->schedule, violations);
}
