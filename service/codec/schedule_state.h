/* The state of a schedule after something happened to it, as the database describes it (schedule_state of migrations/functions/events.sql): JSON
 * with type, schedule, commandId, occurredUs and traceparent. The relay makes events of it, the HTTP API answers. */
#ifndef CODEC_SCHEDULE_STATE_H
#define CODEC_SCHEDULE_STATE_H

#include "codec/event.h"

/* The prefix of the WAL messages that hold states. */
#define STATE_WAL_PREFIX "schedule-service.state"

/* Reads one; everything in *ret_event lives in the arena. STATUS_OK, STATUS_UNDECODABLE, STATUS_TOO_LARGE (for the arena) or STATUS_NO_MEMORY. */
enum status schedule_state_read(struct slice json, struct arena *arena, struct schedule_event *ret_event);

#endif
