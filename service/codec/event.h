/* Events and rejections as packed records (codec/record.h): CloudEvents 1.0 in Kafka's binary mode. */
#ifndef CODEC_EVENT_H
#define CODEC_EVENT_H

#include "codec/record.h"
#include "core/command.h"

/* What all events of one process share. */
struct event_context {
    struct slice source; /* ce_source */
    bool json;           /* values as JSON instead of protobuf */
};

enum schedule_event_type { SCHEDULE_CREATED, SCHEDULE_UPDATED, SCHEDULE_DELETED };

/* Something that happened to a schedule. Text is borrowed. */
struct schedule_event {
    enum schedule_event_type type;
    struct stored_schedule stored; /* as it is after that; of a deleted one the last state, its version one above */
    struct slice command_id;       /* a UUID's text */
    int64_t occurred_us;           /* wall clock */
    struct slice traceparent;      /* may be empty */
};

/* Appends the event's record. ce_id is "<schedule id>.<version>": the same for ever. Without room or memory
 * out fails. */
void event_schedule(struct buf *out, const struct event_context *context, const struct schedule_event *event);

/* The id of the schedule that a record is an event of; 0: of none, such as a rejection. */
int64_t event_schedule_id(const struct record *record);

/* The version of the schedule of such a record. */
int64_t event_schedule_version(const struct record *record);

/* Appends the record of ScheduleCommandRejected; ce_id is "<topic>/<partition>/<offset>". command_id is as the sender wrote it. */
void event_rejected(struct buf *out, const struct event_context *context, struct slice command_id, int64_t org_id,
                    int64_t user_id, const struct violations *violations, const struct record_origin *origin,
                    int64_t occurred_us, struct slice traceparent, struct arena *scratch);

/* A sender has disabled a webhook's endpoint. Text is borrowed. */
struct webhook_disabled {
    struct slice webhook_id; /* a UUID's text */
    int64_t user_id;         /* whose it is; 0: an organization's */
    int64_t org_id;
    struct slice reason; /* "gone" or "failing" */
    int64_t occurred_us;
};

/* Appends the record of WebhookDisabled, whose key is the endpoint's id. */
void event_webhook_disabled(struct buf *out, const struct event_context *context, const struct webhook_disabled *disabled);
#endif
