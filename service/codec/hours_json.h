/* Hours as JSON: the `data` of an answer about availability. */
#ifndef CODEC_HOURS_JSON_H
#define CODEC_HOURS_JSON_H

#include "core/buf.h"
#include "core/hours.h"

/* What was asked and of what. Texts are borrowed. */
struct hours_answer {
    struct slice zone_data;    /* the version of the zone data */
    struct slice time_zone;    /* of the local texts */
    const struct zone *view;   /* the same */
    struct hours_range within; /* what was asked for */
    int64_t schedule_id;       /* 0: unknown */
    int64_t version;           /* 0: unknown */
};

/* Appends `{"zoneData":..,"timeZone":..,"from":..,"to":..,"schedules":[{"id":..,"version":..}],"ranges":[..]}` with all ranges of the walk that is
 * begun, one a line: `start` and `end` in UTC, `localStart` and `localEnd` with the offset of the view. */
void hours_write_json(struct buf *out, const struct hours_answer *answer, struct hours *hours);

#endif
