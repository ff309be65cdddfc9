/* The value of ScheduleCreated, ScheduleUpdated and ScheduleDeleted as protobuf: the three have the same fields. Written from the schedule
 * itself, as building protobuf-c's structures first costs several times as much. */
#ifndef CODEC_SCHEDULE_PROTOBUF_H
#define CODEC_SCHEDULE_PROTOBUF_H

#include "codec/event.h"

void schedule_protobuf_write(struct buf *out, const struct schedule_event *event);

#endif
