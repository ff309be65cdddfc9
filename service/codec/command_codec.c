#include "codec/command_codec.h"

#include <jansson.h>

#include "codec/protobuf.h"
#include "codec/schedule_json.h"
#include "schedules/v1/create_schedule.pb-c.h"

/* ---- protobuf ---- */

static bool read_window(const Schedules__V1__AvailabilityWindow *window, struct arena *arena, struct input_item *item,
                        bool *utf8)
{
    uint8_t *days = arena_alloc(arena, window->n_days);
    if (days == NULL) return false;
    item->is_object = true;
    item->days = (struct input_days){INPUT_GIVEN, true, days, window->n_days};
    for (size_t i = 0; i < window->n_days; i++) {
        bool known = window->days[i] >= (int)MONDAY && window->days[i] <= (int)SUNDAY;
        days[i] = (uint8_t)(known ? (int)window->days[i] : (int)WEEKDAY_NONE);
        if (!known) item->days.all_valid = false;
    }
    item->start_time = protobuf_text(&window->start_time, utf8);
    item->end_time = protobuf_text(&window->end_time, utf8);
    return true;
}

static bool read_windows(const Schedules__V1__Availability *availability, struct arena *arena, struct input_list *list,
                         bool *utf8)
{
    if (availability == NULL) return true;
    struct input_item *items = arena_calloc(arena, availability->n_windows, sizeof(*items));
    if (items == NULL) return false;
    for (size_t i = 0; i < availability->n_windows; i++) {
        if (!read_window(availability->windows[i], arena, &items[i], utf8)) return false;
    }
    *list = (struct input_list){.kind = INPUT_GIVEN, .items = items, .len = availability->n_windows};
    return true;
}

static bool read_overrides(const Schedules__V1__CreateSchedule *message, struct arena *arena, struct input_list *list,
                           bool *utf8)
{
    struct input_item *items = arena_calloc(arena, message->n_overrides, sizeof(*items));
    if (items == NULL) return false;
    for (size_t i = 0; i < message->n_overrides; i++) {
        const Schedules__V1__DateOverride *override = message->overrides[i];
        items[i].is_object = true;
        items[i].date = protobuf_text(&override->date, utf8);
        items[i].start_time = protobuf_text(&override->start_time, utf8);
        items[i].end_time = protobuf_text(&override->end_time, utf8);
    }
    *list = (struct input_list){.kind = INPUT_GIVEN, .items = items, .len = message->n_overrides};
    return true;
}

static enum status decode_protobuf(struct slice bytes, struct arena *arena, struct command_input *ret_input,
                                   const char **ret_reason)
{
    ProtobufCAllocator allocator = protobuf_allocator(arena);
    const Schedules__V1__CreateSchedule *message =
        schedules__v1__create_schedule__unpack(&allocator, bytes.len, (const uint8_t *)bytes.data);
    if (message == NULL) {
        *ret_reason = "the value is not a schedules.v1.CreateSchedule";
        return STATUS_UNDECODABLE;
    }
    bool utf8 = true;
    *ret_input = (struct command_input){
        .command_id = protobuf_text(&message->command_id, &utf8),
        .org_id = message->org_id,
        .user_id = message->user_id,
        .org_id_ok = true,
        .user_id_ok = true,
        .schedule = {.name = protobuf_text(&message->name, &utf8),
                     .time_zone = protobuf_text(&message->time_zone, &utf8),
                     .is_default = {INPUT_GIVEN, message->is_default != 0}},
    };
    if (!read_windows(message->availability, arena, &ret_input->schedule.availability, &utf8) ||
        !read_overrides(message, arena, &ret_input->schedule.overrides, &utf8)) {
        return STATUS_NO_MEMORY;
    }
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

static int64_t read_id(const json_t *body, const char *name, bool may_be_absent, bool *ret_ok)
{
    const json_t *value = json_object_get(body, name);
    bool absent = value == NULL || json_is_null(value);
    *ret_ok = json_is_integer(value) || (absent && may_be_absent);
    return json_integer_value(value);
}

static enum status decode_json(struct slice bytes, struct arena *arena, struct command_input *ret_input,
                               const char **ret_reason)
{
    char reason[256];
    json_t *body = json_text_parse(bytes, reason, sizeof(reason));
    *ret_input = (struct command_input){0};
    enum status status = STATUS_OK;
    if (!json_is_object(body)) {
        *ret_reason = body == NULL ? "the value is not JSON" : "the value is not a JSON object";
        status = STATUS_UNDECODABLE;
    } else {
        ret_input->command_id = input_text_from_json(json_object_get(body, "commandId"));
        ret_input->org_id = read_id(body, "orgId", true, &ret_input->org_id_ok);
        ret_input->user_id = read_id(body, "userId", false, &ret_input->user_id_ok);
        if (!schedule_input_from_json(body, arena, &ret_input->schedule) || !copy_texts(ret_input, arena)) {
            status = STATUS_NO_MEMORY;
        }
    }
    json_decref(body);
    return status;
}

enum status command_decode(struct slice bytes, bool is_json, struct arena *arena, struct command_input *ret_input,
                           const char **ret_reason)
{
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
