/* An event of a schedule on its way to endpoints: what decides who gets it, and the bodies of its requests. Pure. */
#ifndef WEBHOOK_WEBHOOK_EVENT_H
#define WEBHOOK_WEBHOOK_EVENT_H

#include "codec/event.h"
#include "codec/record.h"
#include "core/commit_position.h"

/* What a request's body looks like: cal.com's {triggerEvent, createdAt, payload}, or Standard Webhooks' {type, timestamp, data}. */
enum webhook_format { WEBHOOK_FORMAT_CAL, WEBHOOK_FORMAT_STANDARD, WEBHOOK_FORMATS };

/* One reference of each that needs it; free with webhook_event_release. */
struct webhook_event {
    unsigned references;
    enum schedule_event_type type;
    int64_t schedule_id;
    int64_t version;
    int64_t owner_id;
    int64_t org_id;  /* 0: none */
    struct slice id; /* ce_id: "<schedule id>.<version>" */
    struct slice traceparent;
    struct commit_position position; /* timeline 0: unknown */
    struct buf packed;               /* codec/record.h, which the slices borrow from */
    struct buf bodies[WEBHOOK_FORMATS];
};

/* Whether a record is an event of a schedule, which webhooks are about. */
bool webhook_event_is_wanted(const struct record *record);

/* Makes one of such a record, which it copies, with one reference. STATUS_OK sets *ret_event; STATUS_UNDECODABLE; STATUS_TOO_LARGE;
 * STATUS_NO_MEMORY. */
enum status webhook_event_new(const struct record *record, struct webhook_event **ret_event);
void webhook_event_release(struct webhook_event *event);

/* The body in a form, the same bytes at every call; borrowed. Data is NULL when memory is out. */
struct slice webhook_event_body(struct webhook_event *event, enum webhook_format format);

/* "SCHEDULE_CREATED". */
struct slice webhook_trigger_name(enum schedule_event_type type);

#endif
