#include "codec/event.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec/error_json.h"
#include "codec/schedule_json.h"
#include "schedules/v1/schedule_command_rejected.pb-c.h"
#include "schedules/v1/schedule_created.pb-c.h"

enum { VALUE_MAX_BYTES = 16 << 20 };

static ProtobufCBinaryData bytes_of(struct slice text)
{
    return (ProtobufCBinaryData){text.len, (uint8_t *)text.data};
}

static struct slice number_text(struct arena *arena, int64_t number)
{
    return arena_printf(arena, "%" PRId64, number);
}

static Google__Protobuf__Timestamp timestamp_of(int64_t wall_us)
{
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    timestamp.seconds = wall_us / 1000000;
    timestamp.nanos = (int32_t)(wall_us % 1000000) * 1000;
    return timestamp;
}

static void append_packed(struct buf *out, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    char *to = buf_extend(out, len);
    if (to != NULL) protobuf_c_message_pack(message, (uint8_t *)to);
}

/* ---- the parts of a schedule as protobuf; all NULL-safe: false when the arena is full ---- */

static struct slice time_text(struct arena *arena, uint16_t minute)
{
    char text[TIME_TEXT_LEN];
    time_format(minute, text);
    return arena_copy(arena, (struct slice){text, sizeof(text)});
}

static bool fill_windows(Schedules__V1__Schedule *message, const struct schedule *schedule, struct arena *arena)
{
    size_t len = schedule->windows_len;
    Schedules__V1__AvailabilityWindow *windows = arena_calloc(arena, len, sizeof(*windows));
    message->availability = arena_calloc(arena, len, sizeof(*message->availability));
    if (windows == NULL || message->availability == NULL) return false;
    message->n_availability = len;
    for (size_t i = 0; i < len; i++) {
        const struct availability_window *window = &schedule->windows[i];
        schedules__v1__availability_window__init(&windows[i]);
        windows[i].n_days = window->days_len;
        windows[i].days = arena_calloc(arena, window->days_len, sizeof(*windows[i].days));
        windows[i].start_time = bytes_of(time_text(arena, window->start_minute));
        windows[i].end_time = bytes_of(time_text(arena, window->end_minute));
        if (windows[i].days == NULL || windows[i].start_time.data == NULL || windows[i].end_time.data == NULL) return false;
        for (size_t j = 0; j < window->days_len; j++) windows[i].days[j] = (Schedules__V1__Weekday)window->days[j];
        message->availability[i] = &windows[i];
    }
    return true;
}

static bool fill_overrides(Schedules__V1__Schedule *message, const struct schedule *schedule, struct arena *arena)
{
    size_t len = schedule->overrides_len;
    Schedules__V1__DateOverride *overrides = arena_calloc(arena, len, sizeof(*overrides));
    message->overrides = arena_calloc(arena, len, sizeof(*message->overrides));
    if (overrides == NULL || message->overrides == NULL) return false;
    message->n_overrides = len;
    for (size_t i = 0; i < len; i++) {
        const struct date_override *override = &schedule->overrides[i];
        char date[DATE_TEXT_LEN];
        date_format(override->date, date);
        schedules__v1__date_override__init(&overrides[i]);
        overrides[i].date = bytes_of(arena_copy(arena, (struct slice){date, sizeof(date)}));
        overrides[i].start_time = bytes_of(time_text(arena, override->start_minute));
        overrides[i].end_time = bytes_of(time_text(arena, override->end_minute));
        if (overrides[i].date.data == NULL || overrides[i].start_time.data == NULL || overrides[i].end_time.data == NULL) {
            return false;
        }
        message->overrides[i] = &overrides[i];
    }
    return true;
}

/* ---- ScheduleCreated, ScheduleUpdated, ScheduleDeleted ---- */

static const struct slice type_names[] = {
    [SCHEDULE_CREATED] = SLICE("schedules.v1.ScheduleCreated"),
    [SCHEDULE_UPDATED] = SLICE("schedules.v1.ScheduleUpdated"),
    [SCHEDULE_DELETED] = SLICE("schedules.v1.ScheduleDeleted"),
};

/* The three messages have the same fields, so that one's code packs them all. */
static void schedule_protobuf(struct buf *out, const struct schedule_event *event, struct arena *arena)
{
    const struct stored_schedule *stored = &event->stored;
    Schedules__V1__Schedule schedule = SCHEDULES__V1__SCHEDULE__INIT;
    Schedules__V1__ScheduleCreated message = SCHEDULES__V1__SCHEDULE_CREATED__INIT;
    Google__Protobuf__Timestamp occurred_at = timestamp_of(event->occurred_us);
    schedule.id = stored->id;
    schedule.owner_id = stored->owner_id;
    schedule.org_id = stored->org_id;
    schedule.name = bytes_of(stored->schedule.name);
    schedule.time_zone = bytes_of(stored->schedule.time_zone);
    schedule.is_default = stored->schedule.is_default;
    schedule.version = stored->version;
    message.schedule = &schedule;
    message.command_id = bytes_of(event->command_id);
    message.occurred_at = &occurred_at;
    if (!fill_windows(&schedule, &stored->schedule, arena) || !fill_overrides(&schedule, &stored->schedule, arena)) {
        buf_fail(out, arena_failure(arena));
        return;
    }
    append_packed(out, &message.base);
}

static void write_occurred_at(struct buf *out, int64_t occurred_us)
{
    char text[RFC3339_MS_SIZE];
    rfc3339_ms_format(occurred_us, text);
    buf_printf(out, ",\"occurredAt\":\"%s\"}", text);
}

static void schedule_json(struct buf *out, const struct schedule_event *event)
{
    const struct stored_schedule *stored = &event->stored;
    buf_printf(out, "{\"schedule\":{\"id\":%" PRId64 ",\"ownerId\":%" PRId64 ",\"orgId\":%" PRId64 ",\"name\":", stored->id,
               stored->owner_id, stored->org_id);
    json_write_string(out, stored->schedule.name);
    buf_printf(out, ",\"timeZone\":");
    json_write_string(out, stored->schedule.time_zone);
    buf_printf(out, ",\"availability\":");
    availability_write_json(out, &stored->schedule);
    buf_printf(out, ",\"isDefault\":%s,\"overrides\":", stored->schedule.is_default ? "true" : "false");
    overrides_write_json(out, &stored->schedule);
    buf_printf(out, ",\"version\":%" PRId64 "},\"commandId\":", stored->version);
    json_write_string(out, event->command_id);
    write_occurred_at(out, event->occurred_us);
}

/* ---- ScheduleCommandRejected ---- */

static void rejected_protobuf(struct buf *out, struct slice command_id, int64_t org_id, int64_t user_id,
                              const struct violations *violations, int64_t occurred_us, struct arena *arena)
{
    Schedules__V1__ScheduleCommandRejected event = SCHEDULES__V1__SCHEDULE_COMMAND_REJECTED__INIT;
    Google__Protobuf__Timestamp occurred_at = timestamp_of(occurred_us);
    Schedules__V1__Violation *items = arena_calloc(arena, violations->len, sizeof(*items));
    event.violations = arena_calloc(arena, violations->len, sizeof(*event.violations));
    if (items == NULL || event.violations == NULL) {
        buf_fail(out, arena_failure(arena));
        return;
    }
    for (size_t i = 0; i < violations->len; i++) {
        schedules__v1__violation__init(&items[i]);
        items[i].property = bytes_of(violations->items[i].property);
        items[i].constraint = bytes_of(violations->items[i].constraint);
        items[i].message = bytes_of(violations->items[i].message);
        event.violations[i] = &items[i];
    }
    event.n_violations = violations->len;
    event.command_id = bytes_of(command_id);
    event.org_id = org_id;
    event.user_id = user_id;
    event.occurred_at = &occurred_at;
    append_packed(out, &event.base);
}

static void rejected_json(struct buf *out, struct slice command_id, int64_t org_id, int64_t user_id,
                          const struct violations *violations, int64_t occurred_us)
{
    buf_printf(out, "{\"commandId\":");
    json_write_string(out, command_id);
    buf_printf(out, ",\"orgId\":%" PRId64 ",\"userId\":%" PRId64 ",\"violations\":[", org_id, user_id);
    for (size_t i = 0; i < violations->len; i++) {
        buf_printf(out, i == 0 ? "{\"property\":" : ",{\"property\":");
        json_write_string(out, violations->items[i].property);
        buf_printf(out, ",\"constraint\":");
        json_write_string(out, violations->items[i].constraint);
        buf_printf(out, ",\"message\":");
        json_write_string(out, violations->items[i].message);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ']');
    write_occurred_at(out, occurred_us);
}

/* ---- the record around a value ---- */

struct envelope {
    struct slice id;
    struct slice type;
    struct slice subject;
    struct slice key;
    struct slice traceparent;
    int64_t occurred_us;
};

static void append_event(struct buf *out, const struct event_context *context, const struct envelope *envelope,
                         struct slice value)
{
    char time[RFC3339_MS_SIZE];
    rfc3339_ms_format(envelope->occurred_us, time);
    struct record record;
    record_start(&record, RECORD_EVENT, envelope->key, value);
    record_add_header(&record, SLICE("content-type"),
                      context->json ? SLICE("application/json") : SLICE("application/protobuf"));
    record_add_header(&record, SLICE("ce_specversion"), SLICE("1.0"));
    record_add_header(&record, SLICE("ce_id"), envelope->id);
    record_add_header(&record, SLICE("ce_source"), context->source);
    record_add_header(&record, SLICE("ce_type"), envelope->type);
    record_add_header(&record, SLICE("ce_time"), slice_of(time));
    if (envelope->subject.len > 0) record_add_header(&record, SLICE("ce_subject"), envelope->subject);
    if (envelope->traceparent.len > 0) record_add_header(&record, SLICE("traceparent"), envelope->traceparent);
    record_pack(out, &record);
}

void event_schedule(struct buf *out, const struct event_context *context, const struct schedule_event *event,
                    struct arena *scratch)
{
    const struct stored_schedule *stored = &event->stored;
    struct buf value;
    buf_init(&value, VALUE_MAX_BYTES);
    if (context->json) schedule_json(&value, event);
    else schedule_protobuf(&value, event, scratch);
    struct envelope envelope = {
        .id = arena_printf(scratch, "%" PRId64 ".%" PRId64, stored->id, stored->version),
        .type = type_names[event->type],
        .subject = number_text(scratch, stored->id),
        .key = number_text(scratch, stored->owner_id),
        .traceparent = event->traceparent,
        .occurred_us = event->occurred_us,
    };
    if (value.failed || envelope.id.data == NULL || envelope.subject.data == NULL || envelope.key.data == NULL) {
        buf_fail(out, value.failed ? buf_status(&value) : arena_failure(scratch));
    } else {
        append_event(out, context, &envelope, buf_slice(&value));
    }
    buf_done(&value);
}

static struct slice origin_id(const struct record_origin *origin, struct arena *scratch)
{
    return arena_printf(scratch, "%.*s/%" PRId32 "/%" PRId64, (int)origin->topic.len, origin->topic.data, origin->partition,
                        origin->offset);
}

/* 0: it is none, or not above zero. */
static int64_t positive(struct slice digits)
{
    char text[24];
    if (digits.len == 0 || digits.len >= sizeof(text)) return 0;
    memcpy(text, digits.data, digits.len);
    text[digits.len] = '\0';
    int64_t number = strtoll(text, NULL, 10);
    return number > 0 ? number : 0;
}

int64_t event_schedule_id(const struct record *record)
{
    return positive(record_header(record, SLICE("ce_subject")));
}

int64_t event_schedule_version(const struct record *record)
{
    struct slice id = record_header(record, SLICE("ce_id"));
    struct slice subject = record_header(record, SLICE("ce_subject"));
    if (id.len <= subject.len) return 0;
    return positive((struct slice){id.data + subject.len + 1, id.len - subject.len - 1});
}

void event_rejected(struct buf *out, const struct event_context *context, struct slice command_id, int64_t org_id,
                    int64_t user_id, const struct violations *violations, const struct record_origin *origin,
                    int64_t occurred_us, struct slice traceparent, struct arena *scratch)
{
    struct buf value;
    buf_init(&value, VALUE_MAX_BYTES);
    if (context->json) {
        rejected_json(&value, command_id, org_id, user_id, violations, occurred_us);
    } else {
        rejected_protobuf(&value, command_id, org_id, user_id, violations, occurred_us, scratch);
    }
    struct envelope envelope = {
        .id = origin_id(origin, scratch),
        .type = SLICE("schedules.v1.ScheduleCommandRejected"),
        .key = number_text(scratch, user_id),
        .traceparent = traceparent,
        .occurred_us = occurred_us,
    };
    if (value.failed || envelope.id.data == NULL || envelope.key.data == NULL) {
        buf_fail(out, value.failed ? buf_status(&value) : arena_failure(scratch));
    } else {
        append_event(out, context, &envelope, buf_slice(&value));
    }
    buf_done(&value);
}

/* ---- the digest ---- */

/* A create is identified by what it stores alone: it is compared with digests of former builds. */
static void digest_change(struct buf *content, const struct command *command)
{
    const int64_t numbers[] = {command->kind, command->schedule_id, command->expected_version, command->schedule.fields};
    if (command->kind != COMMAND_CREATE) buf_append(content, numbers, sizeof(numbers));
}

enum status command_digest(const struct command *command, struct slice availability_json, struct slice overrides_json,
                           uint8_t ret_digest[16])
{
    const struct schedule *schedule = &command->schedule;
    const int64_t numbers[] = {command->org_id, command->user_id, schedule->is_default, (int64_t)schedule->name.len,
                               (int64_t)schedule->time_zone.len};
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    struct buf content;
    buf_init(&content, VALUE_MAX_BYTES);
    digest_change(&content, command);
    buf_append(&content, numbers, sizeof(numbers));
    buf_append_slice(&content, schedule->name);
    buf_append_slice(&content, schedule->time_zone);
    buf_append_slice(&content, availability_json);
    buf_append_slice(&content, overrides_json);
    enum status status = buf_status(&content);
    if (status == STATUS_OK) {
        SHA256((const unsigned char *)content.data, content.len, sha256);
        memcpy(ret_digest, sha256, 16);
    }
    buf_done(&content);
    return status;
}
