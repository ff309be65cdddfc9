#include "api/http_webhook_input.h"

#include <string.h>

#include "core/instant.h"

enum { EVENT_ID_MAX = 64 };

/* The reference's, and ours, which are the ones that happen here. */
static const char *const triggers[] = {
    "BOOKING_CREATED",
    "BOOKING_PAYMENT_INITIATED",
    "BOOKING_PAID",
    "BOOKING_RESCHEDULED",
    "BOOKING_REQUESTED",
    "BOOKING_CANCELLED",
    "BOOKING_REJECTED",
    "BOOKING_NO_SHOW_UPDATED",
    "FORM_SUBMITTED",
    "MEETING_ENDED",
    "MEETING_STARTED",
    "RECORDING_READY",
    "INSTANT_MEETING",
    "RECORDING_TRANSCRIPTION_GENERATED",
    "OOO_CREATED",
    "AFTER_HOSTS_CAL_VIDEO_NO_SHOW",
    "AFTER_GUESTS_CAL_VIDEO_NO_SHOW",
    "FORM_SUBMITTED_NO_EVENT",
    "ROUTING_FORM_FALLBACK_HIT",
    "DELEGATION_CREDENTIAL_ERROR",
    "WRONG_ASSIGNMENT_REPORT",
    "SCHEDULE_CREATED",
    "SCHEDULE_UPDATED",
    "SCHEDULE_DELETED",
};
static const char delegation_trigger[] = "DELEGATION_CREDENTIAL_ERROR";

enum { TRIGGERS = sizeof(triggers) / sizeof(triggers[0]) };

/* The reading of one body. */
struct reading {
    const json_t *body;
    struct arena *arena;
    struct violations *violations;
};

static void refuse(struct reading *reading, const char *property, const char *constraint, struct slice message)
{
    violations_add(reading->violations, reading->arena, slice_of(property), slice_of(constraint), message);
}

/* A member that is not null. */
static const json_t *member_of(const struct reading *reading, const char *name)
{
    const json_t *member = json_object_get(reading->body, name);
    return json_is_null(member) ? NULL : member;
}

static struct slice text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && slice_equal(text_of(value), slice_of(text));
}

/* ---- triggers ---- */

/* The position of a trigger; TRIGGERS: it is none. */
static size_t trigger_of(const json_t *value)
{
    size_t i = 0;
    while (i < TRIGGERS && !is_text(value, triggers[i])) i++;
    return i;
}

/* Of a value that is no list the value itself is looked at, as in the reference. */
static bool are_triggers(const json_t *value)
{
    if (!json_is_array(value)) return trigger_of(value) < TRIGGERS;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (trigger_of(json_array_get(value, i)) == TRIGGERS) return false;
    }
    return true;
}

static struct slice trigger_list(struct arena *arena)
{
    struct slice list = SLICE("each value in triggers must be one of the following values: ");
    for (size_t i = 0; i < TRIGGERS && list.data != NULL; i++) {
        list = arena_printf(arena, "%s%s%s", list.data, i == 0 ? "" : ", ", triggers[i]);
    }
    return list;
}

/* Each once, in the order of the list above. */
static struct slice as_array(const json_t *value, struct arena *arena)
{
    bool wanted[TRIGGERS] = {false};
    struct slice array = SLICE("{");
    for (size_t i = 0; i < json_array_size(value); i++) wanted[trigger_of(json_array_get(value, i))] = true;
    for (size_t i = 0; i < TRIGGERS && array.data != NULL; i++) {
        if (wanted[i]) array = arena_printf(arena, "%s%s%s", array.data, array.len == 1 ? "" : ",", triggers[i]);
    }
    return array.data == NULL ? array : arena_printf(arena, "%s}", array.data);
}

/* Data NULL: not given, or refused. */
static struct slice read_triggers(struct reading *reading, bool is_optional)
{
    const json_t *value = member_of(reading, "triggers");
    if (value == NULL && is_optional) return (struct slice){NULL, 0};
    bool are_known = are_triggers(value);
    if (!are_known) refuse(reading, "triggers", "isEnum", trigger_list(reading->arena));
    if (!json_is_array(value)) refuse(reading, "triggers", "isArray", SLICE("triggers must be an array"));
    if (!are_known || !json_is_array(value)) return (struct slice){NULL, 0};
    return as_array(value, reading->arena);
}

/* ---- the other fields ---- */

/* Bodies have one form. */
static void read_template(struct reading *reading)
{
    const json_t *value = member_of(reading, "payloadTemplate");
    if (value == NULL) return;
    if (!json_is_string(value)) {
        refuse(reading, "payloadTemplate", "isString", SLICE("payloadTemplate must be a string"));
    } else {
        refuse(reading, "payloadTemplate", "isNull", SLICE("payloadTemplate must be null, templates are not supported"));
    }
}

static void read_active(struct reading *reading, bool is_optional, struct webhook_input *input)
{
    const json_t *value = member_of(reading, "active");
    if (value == NULL && is_optional) return;
    if (!json_is_boolean(value)) refuse(reading, "active", "isBoolean", SLICE("active must be a boolean value"));
    input->has_active = true;
    input->is_active = json_is_true(value);
}

/* What is no URL is checked behind all other rules: it has an error of its own. */
static void read_url(struct reading *reading, bool is_optional, struct webhook_input *input)
{
    const json_t *value = member_of(reading, "subscriberUrl");
    if (value == NULL && is_optional) return;
    if (!json_is_string(value)) refuse(reading, "subscriberUrl", "isString", SLICE("subscriberUrl must be a string"));
    else input->url = text_of(value);
}

/* An empty one is none. Null is no value in a create; in a change it takes the secret away. */
static void read_secret(struct reading *reading, bool is_change, struct webhook_input *input)
{
    const json_t *value = json_object_get(reading->body, "secret");
    if (value == NULL) return;
    input->has_secret = is_change;
    if (json_is_null(value)) return;
    if (!json_is_string(value)) {
        refuse(reading, "secret", "isString", SLICE("secret must be a string"));
        return;
    }
    input->has_secret = true;
    input->secret = text_of(value);
    if (input->secret.len == 0 || webhook_secret_is_usable(input->secret)) return;
    if (input->secret.len > WEBHOOK_SECRET_BYTES_MAX) {
        refuse(reading, "secret", "maxLength",
               arena_printf(reading->arena, "secret must be shorter than or equal to %d bytes", WEBHOOK_SECRET_BYTES_MAX));
    } else {
        refuse(reading, "secret", "isBase64", SLICE("secret must be base64 behind whsec_"));
    }
}

static struct slice read_word(struct reading *reading, const char *name, const char *const *words, const char *message)
{
    const json_t *value = member_of(reading, name);
    if (value == NULL) return (struct slice){NULL, 0};
    for (; *words != NULL; words++) {
        if (is_text(value, *words)) return slice_of(*words);
    }
    refuse(reading, name, "isEnum", slice_of(message));
    return (struct slice){NULL, 0};
}

static enum status end_reading(const struct reading *reading)
{
    if (reading->violations->out_of_memory || arena_failure(reading->arena) != STATUS_OK)
        return arena_failure(reading->arena);
    return reading->violations->len > 0 ? STATUS_INVALID : STATUS_OK;
}

enum status webhook_input_read(const json_t *body, bool is_change, struct arena *arena, struct webhook_input *ret_input,
                               struct violations *violations)
{
    static const char *const versions[] = {"2021-10-20", NULL};
    static const char *const formats[] = {"cal", "standard", NULL};
    struct reading reading = {body, arena, violations};
    struct webhook_input input = {.has_active = false};
    read_template(&reading);
    read_active(&reading, is_change, &input);
    read_url(&reading, is_change, &input);
    input.triggers = read_triggers(&reading, is_change);
    read_secret(&reading, is_change, &input);
    (void)read_word(&reading, "version", versions, "version must be one of the following values: 2021-10-20");
    input.format = read_word(&reading, "format", formats, "format must be one of the following values: cal, standard");
    if (input.triggers.data != NULL) input.has_delegation_trigger = strstr(input.triggers.data, delegation_trigger) != NULL;
    *ret_input = input;
    return end_reading(&reading);
}

/* ---- replays ---- */

/* "<schedule id>.<version>" */
static bool is_event_id(struct slice text)
{
    size_t dots = 0;
    if (text.len == 0 || text.len > EVENT_ID_MAX || text.data[0] == '.' || text.data[text.len - 1] == '.') return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '.') dots++;
        else if (text.data[i] < '0' || text.data[i] > '9') return false;
    }
    return dots == 1;
}

/* Data NULL where it is not given, or refused; then *ret_instant is unchanged. */
static struct slice read_instant(struct reading *reading, const char *name, int64_t *ret_instant)
{
    const json_t *value = member_of(reading, name);
    if (value == NULL) return (struct slice){NULL, 0};
    if (json_is_string(value) && instant_parse(text_of(value), ret_instant)) return text_of(value);
    refuse(reading, name, "isInstant", arena_printf(reading->arena, "%s must be a time such as 2026-01-31T08:00:00Z", name));
    return (struct slice){NULL, 0};
}

enum status replay_input_read(const json_t *body, struct arena *arena, struct replay_input *ret_input,
                              struct violations *violations)
{
    struct reading reading = {body, arena, violations};
    struct replay_input input = {.from_time = {NULL, 0}};
    const json_t *from = member_of(&reading, "from");
    int64_t from_s = INT64_MIN;
    int64_t to_s = INT64_MAX;
    if (json_is_string(from) && is_event_id(text_of(from))) {
        input.from_event = text_of(from);
    } else if (json_is_string(from) && instant_parse(text_of(from), &from_s)) {
        input.from_time = text_of(from);
    } else {
        refuse(&reading, "from", "isInstant",
               SLICE("from must be a time such as 2026-01-31T08:00:00Z, or the id of an event such as 17.3"));
    }
    input.to_time = read_instant(&reading, "to", &to_s);
    if (from_s >= to_s) refuse(&reading, "to", "isAfter", SLICE("to must be after from"));
    input.triggers = read_triggers(&reading, true);
    *ret_input = input;
    return end_reading(&reading);
}
