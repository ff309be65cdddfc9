/* One schedule as a consumer has it: the value of an event, in protobuf or JSON, or an answer of the HTTP API. */
#ifndef CODEC_SCHEDULE_DOCUMENT_H
#define CODEC_SCHEDULE_DOCUMENT_H

#include "core/schedule.h"

enum { SCHEDULE_DOCUMENT_BYTES_MAX = 4 << 20 };

/* Reads the bytes: JSON of the schedule itself, or with the schedule in `data` (an answer) or in `schedule` (an event); else protobuf of
 * schedules.v1.ScheduleCreated, ScheduleUpdated or ScheduleDeleted. Without zones any name of
 * one is taken as it is. The schedule lives in the arena (its time zone perhaps in the zone table); an answer has no version, which is then 0.
 * STATUS_OK; STATUS_UNDECODABLE sets *ret_reason (static); STATUS_INVALID adds violations; STATUS_TOO_LARGE: the arena is full; STATUS_NO_MEMORY. */
enum status schedule_document_read(struct slice bytes, const struct time_zones *zones, struct arena *arena,
                                   struct stored_schedule *ret_stored, struct violations *violations,
                                   const char **ret_reason);

#endif
