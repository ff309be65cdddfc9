#include "webhook/webhook_event.h"

#include <stdlib.h>

#include "codec/schedule_document.h"
#include "codec/schedule_json.h"
#include "core/traceparent.h"

enum { PACKED_BYTES_MAX = 8 << 20, BODY_BYTES_MAX = 8 << 20, ARENA_BYTES_MAX = 64 << 20, EVENT_ID_BYTES_MAX = 128 };

static const struct {
    struct slice ce_type;
    struct slice trigger;
    struct slice standard;
} types[] = {
    [SCHEDULE_CREATED] = {SLICE("schedules.v1.ScheduleCreated"), SLICE("SCHEDULE_CREATED"), SLICE("schedule.created")},
    [SCHEDULE_UPDATED] = {SLICE("schedules.v1.ScheduleUpdated"), SLICE("SCHEDULE_UPDATED"), SLICE("schedule.updated")},
    [SCHEDULE_DELETED] = {SLICE("schedules.v1.ScheduleDeleted"), SLICE("SCHEDULE_DELETED"), SLICE("schedule.deleted")},
};

enum { TYPES = sizeof(types) / sizeof(types[0]) };

struct slice webhook_trigger_name(enum schedule_event_type type)
{
    return types[type].trigger;
}

static int type_of(const struct record *record)
{
    struct slice ce_type = record_header(record, SLICE("ce_type"));
    int type = 0;
    while (type < TYPES && !slice_equal(ce_type, types[type].ce_type)) type++;
    return type;
}

bool webhook_event_is_wanted(const struct record *record)
{
    return type_of(record) < TYPES;
}

/* ---- bodies ---- */

static void write_number(struct buf *out, const char *name, int64_t number)
{
    buf_append(out, name, strlen(name));
    buf_append_int(out, number);
}

/* The schedule as the API answers it, and what tells its place among its versions. */
static void write_payload(struct buf *out, const struct stored_schedule *stored, enum schedule_event_type type)
{
    struct buf availability;
    struct buf overrides;
    buf_init(&availability, BODY_BYTES_MAX);
    buf_init(&overrides, BODY_BYTES_MAX);
    const struct schedule_row row = schedule_row_of(stored, &availability, &overrides);
    if (availability.failed || overrides.failed) buf_fail(out, STATUS_NO_MEMORY);
    schedule_write_json(out, &row);
    buf_done(&availability);
    buf_done(&overrides);
    if (out->failed) return;
    out->len--; /* its closing brace */
    if (stored->org_id == 0) buf_append_slice(out, SLICE(",\"orgId\":null"));
    else write_number(out, ",\"orgId\":", stored->org_id);
    write_number(out, ",\"version\":", stored->version);
    if (type != SCHEDULE_CREATED) write_number(out, ",\"previousVersion\":", stored->version - 1);
    buf_append_char(out, '}');
}

static void write_body(struct buf *out, const struct record *record, const struct stored_schedule *stored,
                       enum schedule_event_type type, enum webhook_format format)
{
    bool is_cal = format == WEBHOOK_FORMAT_CAL;
    buf_append_slice(out, is_cal ? SLICE("{\"triggerEvent\":\"") : SLICE("{\"type\":\""));
    buf_append_slice(out, is_cal ? types[type].trigger : types[type].standard);
    buf_append_slice(out, is_cal ? SLICE("\",\"createdAt\":") : SLICE("\",\"timestamp\":"));
    json_write_string(out, record_header(record, SLICE("ce_time")));
    buf_append_slice(out, is_cal ? SLICE(",\"payload\":") : SLICE(",\"data\":"));
    write_payload(out, stored, type);
    buf_append_char(out, '}');
}

/* ---- the event ---- */

static enum status read_stored(const struct record *record, struct arena *arena, struct stored_schedule *ret_stored)
{
    struct violations violations = {0};
    const char *reason;
    enum status status = schedule_document_read(record->value, NULL, arena, ret_stored, &violations, &reason);
    return status == STATUS_INVALID ? STATUS_UNDECODABLE : status;
}

static bool unpack(const struct webhook_event *event, struct record *ret_record)
{
    struct slice bytes = buf_slice(&event->packed);
    return record_take(&bytes, ret_record);
}

struct slice webhook_event_body(struct webhook_event *event, enum webhook_format format)
{
    struct buf *body = &event->bodies[format];
    if (body->len > 0 && !body->failed) return buf_slice(body);
    struct record record;
    struct stored_schedule stored;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    buf_done(body);
    buf_init(body, BODY_BYTES_MAX);
    bool is_read = arena != NULL && unpack(event, &record) && read_stored(&record, arena, &stored) == STATUS_OK;
    if (is_read) write_body(body, &record, &stored, event->type, format);
    arena_free(arena);
    return is_read && !body->failed ? buf_slice(body) : (struct slice){NULL, 0};
}

/* It becomes a header of requests. */
static bool is_header_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') return false;
    }
    return text.len > 0 && text.len <= EVENT_ID_BYTES_MAX;
}

static enum status fill(struct webhook_event *event)
{
    struct record record;
    struct stored_schedule stored;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    if (arena == NULL) return STATUS_NO_MEMORY;
    enum status status = unpack(event, &record) ? read_stored(&record, arena, &stored) : STATUS_UNDECODABLE;
    if (status == STATUS_OK) {
        event->type = (enum schedule_event_type)type_of(&record);
        event->schedule_id = stored.id;
        event->version = stored.version;
        event->owner_id = stored.owner_id;
        event->org_id = stored.org_id;
        event->id = record_header(&record, SLICE("ce_id"));
        event->traceparent = traceparent_of(record_header(&record, SLICE("traceparent")));
        if (!is_header_value(event->id)) status = STATUS_UNDECODABLE;
        if (!commit_position_parse(record_header(&record, SLICE(COMMIT_POSITION_HEADER)), &event->position)) {
            event->position = (struct commit_position){0};
        }
    }
    arena_free(arena);
    return status;
}

enum status webhook_event_new(const struct record *record, struct webhook_event **ret_event)
{
    struct webhook_event *event = calloc(1, sizeof(*event));
    if (event == NULL) return STATUS_NO_MEMORY;
    event->references = 1;
    buf_init(&event->packed, PACKED_BYTES_MAX);
    for (int i = 0; i < WEBHOOK_FORMATS; i++) buf_init(&event->bodies[i], BODY_BYTES_MAX);
    record_pack(&event->packed, record);
    enum status status = buf_status(&event->packed);
    if (status == STATUS_OK) status = fill(event);
    if (status == STATUS_OK) *ret_event = event;
    else webhook_event_release(event);
    return status;
}

void webhook_event_release(struct webhook_event *event)
{
    if (event == NULL || --event->references > 0) return;
    buf_done(&event->packed);
    for (int i = 0; i < WEBHOOK_FORMATS; i++) buf_done(&event->bodies[i]);
    free(event);
}
