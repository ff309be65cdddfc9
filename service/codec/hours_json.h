/* Hours as JSON: the `data` of an answer about availability. */
#ifndef CODEC_HOURS_JSON_H
#define CODEC_HOURS_JSON_H

#include "core/buf.h"
#include "core/slots.h"

/* What was asked, and of which schedule. All is borrowed. */
struct hours_answer {
    struct slice zone_data;  /* the version of the zone data */
    struct slice time_zone;  /* of the local texts */
    const struct zone *view; /* the same */
    struct hours_range within;
    const struct hours_plan *plan;
    const struct zone *zone; /* the schedule's */
    int64_t schedule_id;     /* 0: unknown */
    int64_t owner_id;
    int64_t version;                /* 0: unknown */
    const struct slots_rule *slots; /* NULL: ranges */
    bool explain;                   /* ranges say where they come from */
    int64_t cursor_s;               /* what starts before it is left out */
    int64_t limit;                  /* at most so many ranges or slots */
};

/* Appends `{"zoneData":..,"timeZone":..,"from":..,"to":..,"schedules":[{"id":..,"version":..}],"ranges":[..]}`, a range or slot a line: `start` and
 * `end` in UTC, `localStart` and `localEnd` with the view's offset; with explain, `sources` with the date and the window or override, by its place in
 * the schedule. With slots, `"slots":[..]` whose items have `free`, the ids of who is, and `freeCount` besides.
 * Returns the start of the first range or slot beyond the limit, INT64_MAX: there is none. */
int64_t hours_write_json(struct buf *out, const struct hours_answer *answer);

/* ---- parts of such an answer, for one that is made piece by piece ---- */

/* `{"zoneData":..,"timeZone":..,"from":..,"to":..` */
void hours_write_head(struct buf *out, struct slice zone_data, struct slice time_zone, const struct hours_range *within);

/* `{"start":..,"end":..,"localStart":..,"localEnd":..` */
void hours_write_range(struct buf *out, const struct zone *view, const struct hours_range *range);

/* `"date":..,"window":..` or `"date":..,"override":..` */
void hours_write_source(struct buf *out, const struct hours_piece *piece);

#endif
