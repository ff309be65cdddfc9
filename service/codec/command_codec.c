#include "codec/command_codec.h"

#include <jansson.h>

#include "codec/json_text.h"
#include "codec/protobuf.h"
#include "codec/schedule_json.h"
#include "schedules/v1/create_schedule.pb-c.h"
#include "schedules/v1/delete_schedule.pb-c.h"
#include "schedules/v1/update_schedule.pb-c.h"

static const struct command_type {
    struct slice name;
    const ProtobufCMessageDescriptor *message;
    const char *mismatch;
} types[] = {
    [COMMAND_CREATE] = {SLICE("schedules.v1.CreateSchedule"), &schedules__v1__create_schedule__descriptor,
                        "the value is not a schedules.v1.CreateSchedule"},
    [COMMAND_UPDATE] = {SLICE("schedules.v1.UpdateSchedule"), &schedules__v1__update_schedule__descriptor,
                        "the value is not a schedules.v1.UpdateSchedule"},
    [COMMAND_DELETE] = {SLICE("schedules.v1.DeleteSchedule"), &schedules__v1__delete_schedule__descriptor,
                        "the value is not a schedules.v1.DeleteSchedule"},
};

bool command_kind_of_type(struct slice type, enum command_kind *ret_kind)
{
    *ret_kind = COMMAND_CREATE;
    if (type.data == NULL) return true;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        *ret_kind = (enum command_kind)i;
        if (slice_equal(type, types[i].name)) return true;
    }
    return false;
}

/* ---- protobuf ---- */

static bool read_windows(const Schedules__V1__Availability *availability, struct arena *arena, struct input_list *list,
                         bool *utf8)
{
    return availability == NULL || protobuf_windows(availability->windows, availability->n_windows, arena, list, utf8);
}

static struct input_id id_of(int64_t number)
{
    return (struct input_id){number, true};
}

static bool read_create(const Schedules__V1__CreateSchedule *message, struct arena *arena, struct command_input *input,
                        bool *utf8)
{
    input->command_id = protobuf_text(&message->command_id, utf8);
    input->org_id = id_of(message->org_id);
    input->user_id = id_of(message->user_id);
    input->schedule.name = protobuf_text(&message->name, utf8);
    input->schedule.time_zone = protobuf_text(&message->time_zone, utf8);
    input->schedule.is_default = (struct input_bool){INPUT_GIVEN, message->is_default != 0};
    return read_windows(message->availability, arena, &input->schedule.availability, utf8) &&
           protobuf_overrides(message->overrides, message->n_overrides, arena, &input->schedule.overrides, utf8);
}

static bool read_update(const Schedules__V1__UpdateSchedule *message, struct arena *arena, struct command_input *input,
                        bool *utf8)
{
    struct schedule_input *schedule = &input->schedule;
    const Schedules__V1__DateOverrides *overrides = message->overrides;
    input->command_id = protobuf_text(&message->command_id, utf8);
    input->org_id = id_of(message->org_id);
    input->user_id = id_of(message->user_id);
    input->schedule_id = id_of(message->schedule_id);
    input->expected_version = id_of(message->expected_version);
    if (message->optional_name_case != 0) schedule->name = protobuf_text(&message->name, utf8);
    if (message->optional_time_zone_case != 0) schedule->time_zone = protobuf_text(&message->time_zone, utf8);
    if (message->optional_is_default_case != 0) {
        schedule->is_default = (struct input_bool){INPUT_GIVEN, message->is_default != 0};
    }
    return read_windows(message->availability, arena, &schedule->availability, utf8) &&
           (overrides == NULL ||
            protobuf_overrides(overrides->overrides, overrides->n_overrides, arena, &schedule->overrides, utf8));
}

static bool read_delete(const Schedules__V1__DeleteSchedule *message, struct command_input *input, bool *utf8)
{
    input->command_id = protobuf_text(&message->command_id, utf8);
    input->org_id = id_of(message->org_id);
    input->user_id = id_of(message->user_id);
    input->schedule_id = id_of(message->schedule_id);
    input->expected_version = id_of(message->expected_version);
    return true;
}

static bool read_message(const ProtobufCMessage *message, struct arena *arena, struct command_input *input, bool *utf8)
{
    switch (input->kind) {
    case COMMAND_UPDATE: return read_update((const Schedules__V1__UpdateSchedule *)message, arena, input, utf8);
    case COMMAND_DELETE: return read_delete((const Schedules__V1__DeleteSchedule *)message, input, utf8);
    case COMMAND_CREATE: break;
    }
    return read_create((const Schedules__V1__CreateSchedule *)message, arena, input, utf8);
}

static enum status decode_protobuf(struct slice bytes, struct arena *arena, struct command_input *input,
                                   const char **ret_reason)
{
    ProtobufCAllocator allocator = protobuf_allocator(arena);
    const struct command_type *type = &types[input->kind];
    bool utf8 = true;
    const ProtobufCMessage *message =
        protobuf_c_message_unpack(type->message, &allocator, bytes.len, (const uint8_t *)bytes.data);
    if (message == NULL && arena_failure(arena) != STATUS_OK) return arena_failure(arena);
    if (message == NULL) {
        *ret_reason = type->mismatch;
        return STATUS_UNDECODABLE;
    }
    if (!read_message(message, arena, input, &utf8)) return arena_failure(arena);
    if (!utf8) *ret_reason = "a text is not valid UTF-8";
    return utf8 ? STATUS_OK : STATUS_UNDECODABLE;
}

/* ---- JSON ---- */

static bool copy_text(struct input_text *text, struct arena *arena)
{
    if (text->kind != INPUT_GIVEN) return true;
    text->text = arena_copy(arena, text->text);
    return text->text.data != NULL;
}

/* The parsed document goes before the input does: its text moves to the arena. */
static bool copy_texts(struct command_input *input, struct arena *arena)
{
    struct input_list *lists[] = {&input->schedule.availability, &input->schedule.overrides};
    bool ok = copy_text(&input->command_id, arena) && copy_text(&input->schedule.name, arena) &&
              copy_text(&input->schedule.time_zone, arena);
    for (size_t l = 0; l < 2; l++) {
        size_t max = l == 0 ? SCHEDULE_WINDOWS_MAX : SCHEDULE_OVERRIDES_MAX;
        for (size_t i = 0; ok && i < lists[l]->len && i < max; i++) {
            struct input_item *item = (struct input_item *)&lists[l]->items[i];
            ok = copy_text(&item->date, arena) && copy_text(&item->start_time, arena) && copy_text(&item->end_time, arena);
        }
    }
    return ok;
}

/* Absent and null stand for 0. */
static struct input_id read_id(const json_t *body, const char *name)
{
    const json_t *value = json_object_get(body, name);
    struct input_id id;
    id.is_usable = json_integer_read(value, &id.value) || value == NULL || json_is_null(value);
    return id;
}

static bool read_body(const json_t *body, struct arena *arena, struct command_input *input)
{
    input->command_id = input_text_from_json(json_object_get(body, "commandId"));
    input->org_id = read_id(body, "orgId");
    input->user_id = read_id(body, "userId");
    input->schedule_id = read_id(body, "scheduleId");
    input->expected_version = read_id(body, "expectedVersion");
    if (input->kind != COMMAND_DELETE && !schedule_input_from_json(body, arena, &input->schedule)) return false;
    return copy_texts(input, arena);
}

static enum status decode_json(struct slice bytes, struct arena *arena, struct command_input *input, const char **ret_reason)
{
    struct json_fault fault;
    json_t *body = NULL;
    enum status status = json_text_parse(bytes, &body, &fault);
    if (status == STATUS_UNDECODABLE) *ret_reason = fault.what;
    if (status != STATUS_OK) return status;
    if (!json_is_object(body)) {
        *ret_reason = "the value is not a JSON object";
        status = STATUS_UNDECODABLE;
    } else if (!read_body(body, arena, input)) {
        status = arena_failure(arena);
    }
    json_decref(body);
    return status;
}

enum status command_decode(struct slice bytes, enum command_kind kind, bool is_json, struct arena *arena,
                           struct command_input *ret_input, const char **ret_reason)
{
    *ret_input = (struct command_input){.kind = kind};
    if (bytes.len == 0) {
        *ret_reason = "the value is empty";
        return STATUS_UNDECODABLE;
    }
    if (bytes.len > COMMAND_BYTES_MAX) {
        *ret_reason = "the value is longer than 1 MiB";
        return STATUS_UNDECODABLE;
    }
    if (is_json) return decode_json(bytes, arena, ret_input, ret_reason);
    if (bytes.data[0] == 0 && !confluent_unframe(&bytes)) {
        *ret_reason = "the value begins as Confluent's wire format and is none";
        return STATUS_UNDECODABLE;
    }
    return decode_protobuf(bytes, arena, ret_input, ret_reason);
}
