#include "codec/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec/error_json.h"
#include "codec/schedule_json.h"
#include "codec/schedule_protobuf.h"
#include "schedules/v1/schedule_command_rejected.pb-c.h"
#include "schedules/v1/webhook_disabled.pb-c.h"

enum { VALUE_MAX_BYTES = 16 << 20 };

static ProtobufCBinaryData bytes_of(struct slice text)
{
    return (ProtobufCBinaryData){text.len, (uint8_t *)text.data};
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

/* ---- ScheduleCreated, ScheduleUpdated, ScheduleDeleted ---- */

static const struct slice type_names[] = {
    [SCHEDULE_CREATED] = SLICE("schedules.v1.ScheduleCreated"),
    [SCHEDULE_UPDATED] = SLICE("schedules.v1.ScheduleUpdated"),
    [SCHEDULE_DELETED] = SLICE("schedules.v1.ScheduleDeleted"),
};

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

/* "<schedule id>.<version>" */
static struct slice schedule_event_id(const struct stored_schedule *stored, char text[2 * INT_TEXT_MAX + 1])
{
    size_t len = int_text(stored->id, text).len;
    text[len++] = '.';
    return (struct slice){text, len + int_text(stored->version, text + len).len};
}

void event_schedule(struct buf *out, const struct event_context *context, const struct schedule_event *event)
{
    const struct stored_schedule *stored = &event->stored;
    char id[2 * INT_TEXT_MAX + 1];
    char subject[INT_TEXT_MAX];
    char key[INT_TEXT_MAX];
    struct buf value;
    buf_init(&value, VALUE_MAX_BYTES);
    if (context->json) schedule_json(&value, event);
    else schedule_protobuf_write(&value, event);
    struct envelope envelope = {
        .id = schedule_event_id(stored, id),
        .type = type_names[event->type],
        .subject = int_text(stored->id, subject),
        .key = int_text(stored->owner_id, key),
        .traceparent = event->traceparent,
        .occurred_us = event->occurred_us,
    };
    if (value.failed) buf_fail(out, buf_status(&value));
    else append_event(out, context, &envelope, buf_slice(&value));
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
    char key[INT_TEXT_MAX];
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
        .key = int_text(user_id, key),
        .traceparent = traceparent,
        .occurred_us = occurred_us,
    };
    if (value.failed || envelope.id.data == NULL) {
        buf_fail(out, value.failed ? buf_status(&value) : arena_failure(scratch));
    } else {
        append_event(out, context, &envelope, buf_slice(&value));
    }
    buf_done(&value);
}

/* ---- WebhookDisabled ---- */

static void disabled_protobuf(struct buf *out, const struct webhook_disabled *disabled)
{
    Schedules__V1__WebhookDisabled event = SCHEDULES__V1__WEBHOOK_DISABLED__INIT;
    Google__Protobuf__Timestamp occurred_at = timestamp_of(disabled->occurred_us);
    event.webhook_id = bytes_of(disabled->webhook_id);
    event.user_id = disabled->user_id;
    event.org_id = disabled->org_id;
    event.reason = bytes_of(disabled->reason);
    event.occurred_at = &occurred_at;
    append_packed(out, &event.base);
}

static void disabled_json(struct buf *out, const struct webhook_disabled *disabled)
{
    buf_printf(out, "{\"webhookId\":");
    json_write_string(out, disabled->webhook_id);
    buf_printf(out, ",\"userId\":%" PRId64 ",\"orgId\":%" PRId64 ",\"reason\":", disabled->user_id, disabled->org_id);
    json_write_string(out, disabled->reason);
    write_occurred_at(out, disabled->occurred_us);
}

void event_webhook_disabled(struct buf *out, const struct event_context *context, const struct webhook_disabled *disabled)
{
    struct buf value;
    struct buf id;
    buf_init(&value, VALUE_MAX_BYTES);
    buf_init(&id, VALUE_MAX_BYTES);
    if (context->json) disabled_json(&value, disabled);
    else disabled_protobuf(&value, disabled);
    buf_printf(&id, "%.*s/%" PRId64, (int)disabled->webhook_id.len, disabled->webhook_id.data, disabled->occurred_us);
    const struct envelope envelope = {
        .id = buf_slice(&id),
        .type = SLICE("schedules.v1.WebhookDisabled"),
        .key = disabled->webhook_id,
        .occurred_us = disabled->occurred_us,
    };
    if (value.failed || id.failed) buf_fail(out, value.failed ? buf_status(&value) : buf_status(&id));
    else append_event(out, context, &envelope, buf_slice(&value));
    buf_done(&value);
    buf_done(&id);
}
