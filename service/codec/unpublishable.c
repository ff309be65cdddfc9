#include "codec/unpublishable.h"

#include <inttypes.h>
#include <jansson.h>

#include "codec/json_text.h"
#include "codec/protobuf.h"
#include "codec/schedule_json.h"
#include "schedules/v1/event_unpublishable.pb-c.h"
#include "schedules/v1/schedule_command_rejected.pb-c.h"

enum {
    KEY_BYTES_MAX = 512,
    VALUE_BYTES_MAX = 64 << 10,
    ARENA_BYTES_MAX = 48 << 20,
    VIOLATIONS_KEPT = 16,
    VIOLATIONS_BYTES = 4096,
    COMMAND_ID_BYTES = 255,
};

#define REJECTED "schedules.v1.ScheduleCommandRejected"
#define UNPUBLISHABLE "schedules.v1.EventUnpublishable"
#define LEFT_OUT "violationsLeftOut"

static bool is_json(const struct record *record)
{
    return json_text_is_type(record_header(record, SLICE("content-type")));
}

void unpublishable_init(struct unpublishable *unpublishable, const struct record *record)
{
    bool is_rejection = slice_equal(record_header(record, SLICE("ce_type")), SLICE(REJECTED));
    *unpublishable = (struct unpublishable){0};
    unpublishable->kind = record->topic == RECORD_DEAD_LETTER ? UNPUBLISHABLE_DEAD_LETTER
                          : is_rejection                      ? UNPUBLISHABLE_REJECTION
                                                              : UNPUBLISHABLE_EVENT;
    buf_init(&unpublishable->key, KEY_BYTES_MAX);
    buf_init(&unpublishable->value, VALUE_BYTES_MAX);
}

void unpublishable_done(struct unpublishable *unpublishable)
{
    buf_done(&unpublishable->key);
    buf_done(&unpublishable->value);
}

/* ---- a dead letter ---- */

static enum status add_key(struct unpublishable *unpublishable, struct record *record)
{
    static const struct slice names[] = {SLICE("dead-letter-topic"), SLICE("dead-letter-partition"),
                                         SLICE("dead-letter-offset")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (i > 0) buf_append_char(&unpublishable->key, '/');
        buf_append_slice(&unpublishable->key, record_header(record, names[i]));
    }
    if (unpublishable->key.failed) return buf_status(&unpublishable->key);
    record->key = buf_slice(&unpublishable->key);
    return STATUS_OK;
}

/* What is no larger than the topic takes was refused all the same: the half of it, then. */
static enum status reduce_dead_letter(struct unpublishable *unpublishable, struct record *record, size_t bytes_max)
{
    bool had_key = record->key.data != NULL;
    enum status status = had_key ? STATUS_OK : add_key(unpublishable, record);
    size_t bytes = record_wire_bytes(record);
    if (status != STATUS_OK || (!had_key && bytes <= bytes_max)) return status;
    if (bytes <= DEAD_LETTER_BYTES_LEAST) return STATUS_TOO_LARGE;
    size_t room = bytes > bytes_max ? bytes_max : bytes / 2;
    (void)dead_letter_cut(record, room > DEAD_LETTER_BYTES_LEAST ? room : DEAD_LETTER_BYTES_LEAST, &unpublishable->texts);
    return STATUS_OK;
}

/* ---- a rejection ---- */

/* Cut between two characters. */
static size_t id_len(const void *bytes, size_t len)
{
    const unsigned char *text = bytes;
    if (len <= COMMAND_ID_BYTES) return len;
    len = COMMAND_ID_BYTES;
    while (len > 0 && (text[len] & 0xc0) == 0x80) len--;
    return len;
}

/* Whether one more violation of so many bytes is kept. */
static bool is_kept(size_t kept, size_t bytes)
{
    return kept < VIOLATIONS_KEPT && bytes <= VIOLATIONS_BYTES;
}

static const char *left_out_text(size_t count, char text[96])
{
    snprintf(text, 96, "%zu more violations are left out, as Kafka takes no larger record", count);
    return text;
}

static size_t count_kept(Schedules__V1__Violation *const *violations, size_t len)
{
    size_t kept = 0;
    size_t bytes = 0;
    for (; kept < len; kept++) {
        const Schedules__V1__Violation *violation = violations[kept];
        bytes += violation->property.len + violation->constraint.len + violation->message.len;
        if (!is_kept(kept, bytes)) break;
    }
    return kept;
}

static ProtobufCBinaryData bytes_of(struct slice text)
{
    return (ProtobufCBinaryData){text.len, (uint8_t *)text.data};
}

static enum status reduce_protobuf(const struct record *record, struct arena *arena, struct buf *out)
{
    Schedules__V1__Violation *kept[VIOLATIONS_KEPT + 1];
    Schedules__V1__Violation note = SCHEDULES__V1__VIOLATION__INIT;
    char text[96];
    ProtobufCAllocator allocator = protobuf_allocator(arena);
    Schedules__V1__ScheduleCommandRejected *event =
        schedules__v1__schedule_command_rejected__unpack(&allocator, record->value.len, (const uint8_t *)record->value.data);
    if (event == NULL) return arena_failure(arena) == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_TOO_LARGE;
    size_t len = count_kept(event->violations, event->n_violations);
    for (size_t i = 0; i < len; i++) kept[i] = event->violations[i];
    note.constraint = bytes_of(SLICE(LEFT_OUT));
    note.message = bytes_of(slice_of(left_out_text(event->n_violations - len, text)));
    kept[len] = &note;
    event->violations = kept;
    event->n_violations = len + 1;
    event->command_id.len = id_len(event->command_id.data, event->command_id.len);
    char *to = buf_extend(out, schedules__v1__schedule_command_rejected__get_packed_size(event));
    if (to != NULL) schedules__v1__schedule_command_rejected__pack(event, (uint8_t *)to);
    return buf_status(out);
}

static size_t length_of(const json_t *object, const char *name)
{
    return json_string_length(json_object_get(object, name));
}

static json_t *keep_violations(const json_t *violations)
{
    json_t *kept = json_array();
    char text[96];
    size_t bytes = 0;
    size_t len = json_array_size(violations);
    size_t i = 0;
    for (; i < len; i++) {
        json_t *violation = json_array_get(violations, i);
        bytes += length_of(violation, "property") + length_of(violation, "constraint") + length_of(violation, "message");
        if (!is_kept(i, bytes)) break;
        json_array_append(kept, violation);
    }
    json_array_append_new(kept, json_pack("{ssssss}", "property", "", "constraint", LEFT_OUT, "message",
                                          left_out_text(len - i, text)));
    return kept;
}

static int append_text(const char *text, size_t len, void *out)
{
    buf_append(out, text, len);
    return 0;
}

static enum status reduce_json(const struct record *record, struct buf *out)
{
    struct json_fault fault;
    json_t *event = NULL;
    enum status status = json_text_parse_stored(record->value, &event, &fault);
    if (status != STATUS_OK) return status == STATUS_NO_MEMORY ? status : STATUS_TOO_LARGE;
    const json_t *id = json_object_get(event, "commandId");
    size_t len = id_len(json_string_value(id), json_string_length(id));
    bool ok = json_object_set_new(event, "commandId", json_stringn(json_string_value(id), len)) == 0 &&
              json_object_set_new(event, "violations", keep_violations(json_object_get(event, "violations"))) == 0 &&
              json_dump_callback(event, append_text, out, JSON_COMPACT) == 0;
    json_decref(event);
    return ok ? buf_status(out) : STATUS_NO_MEMORY;
}

static enum status reduce_rejection(struct unpublishable *unpublishable, struct record *record)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    if (arena == NULL) return STATUS_NO_MEMORY;
    enum status status =
        is_json(record) ? reduce_json(record, &unpublishable->value) : reduce_protobuf(record, arena, &unpublishable->value);
    arena_free(arena);
    if (status == STATUS_OK) record->value = buf_slice(&unpublishable->value);
    return status;
}

/* ---- an event ---- */

static void write_json(struct buf *out, struct slice type, size_t value_bytes, struct slice reason)
{
    buf_printf(out, "{\"type\":");
    json_write_string(out, type);
    buf_printf(out, ",\"valueBytes\":%zu,\"reason\":", value_bytes);
    json_write_string(out, reason);
    buf_append_char(out, '}');
}

static void write_protobuf(struct buf *out, struct slice type, size_t value_bytes, struct slice reason)
{
    Schedules__V1__EventUnpublishable message = SCHEDULES__V1__EVENT_UNPUBLISHABLE__INIT;
    message.type = bytes_of(type);
    message.value_bytes = (int64_t)value_bytes;
    message.reason = bytes_of(reason);
    char *to = buf_extend(out, schedules__v1__event_unpublishable__get_packed_size(&message));
    if (to != NULL) schedules__v1__event_unpublishable__pack(&message, (uint8_t *)to);
}

static enum status replace_event(struct unpublishable *unpublishable, struct record *record, struct slice reason)
{
    struct slice type = record_header(record, SLICE("ce_type"));
    buf_clear(&unpublishable->value);
    if (is_json(record)) write_json(&unpublishable->value, type, record->value.len, reason);
    else write_protobuf(&unpublishable->value, type, record->value.len, reason);
    if (unpublishable->value.failed) return buf_status(&unpublishable->value);
    for (size_t i = 0; i < record->headers_len; i++) {
        if (slice_equal(record->headers[i].name, SLICE("ce_type"))) record->headers[i].value = SLICE(UNPUBLISHABLE);
    }
    record->value = buf_slice(&unpublishable->value);
    return STATUS_OK;
}

enum status unpublishable_reduce(struct unpublishable *unpublishable, struct record *record, size_t bytes_max,
                                 struct slice reason)
{
    if (unpublishable->kind == UNPUBLISHABLE_DEAD_LETTER) return reduce_dead_letter(unpublishable, record, bytes_max);
    if (unpublishable->is_replaced) return STATUS_TOO_LARGE;
    bool is_rejection = unpublishable->kind == UNPUBLISHABLE_REJECTION;
    enum status status = is_rejection ? reduce_rejection(unpublishable, record) : STATUS_TOO_LARGE;
    if (status == STATUS_TOO_LARGE) status = replace_event(unpublishable, record, reason);
    unpublishable->is_replaced = status == STATUS_OK;
    return status;
}
