/* A schedule's hours as instants. A window of a date is the set of instants whose reading on a clock in the schedule's zone has that
 * date and a time in [start, end); an end of 23:59 means 24:00. So a gap takes away what it skips, a repeated hour counts twice, and a
 * skipped day has none. A date with overrides has only those; one with equal times has no hours. Pure; no allocation after hours_plan_new. */
#ifndef CORE_HOURS_H
#define CORE_HOURS_H

#include "core/arena.h"
#include "core/schedule.h"
#include "core/zone.h"

struct hours_plan;

/* What the schedule's dates have, in the order in which it is looked up. All fields of the schedule are set; the plan lives in the arena and keeps
 * nothing of it. NULL: the arena is full. */
const struct hours_plan *hours_plan_new(const struct schedule *schedule, struct arena *arena);

/* Half-open, in seconds since 1970-01-01T00:00:00Z. */
struct hours_range {
    int64_t start_s;
    int64_t end_s;
};

/* Where hours come from. */
enum hours_source { HOURS_OF_WINDOW, HOURS_OF_OVERRIDE };

/* One window's or override's part of one date. */
struct hours_piece {
    struct hours_range range;
    enum hours_source source;
    size_t index; /* in the schedule's windows or overrides */
    int32_t day;  /* the date, in days since 1970-01-01 */
};

/* A walk over [from_s, to_s), which lies within the years of zone.h. Plan and zone are borrowed. */
struct hours {
    const struct hours_plan *plan;
    const struct zone *zone;
    struct hours_range within;
    size_t period;              /* of the zone */
    int32_t day;                /* of the period's readings */
    size_t item;                /* of the day */
    struct hours_piece waiting; /* taken and not yet part of a range; empty: none */
};

void hours_start(struct hours *hours, const struct hours_plan *plan, const struct zone *zone, int64_t from_s, int64_t to_s);

/* The next piece, in ascending order of starts; false: there is none. Pieces of one date may overlap. */
bool hours_next_piece(struct hours *hours, struct hours_piece *ret_piece);

/* The next range: pieces that touch or overlap are one, over midnight too. Sorted, disjoint, never empty; false: there is none. Not mixed with
 * hours_next_piece in one walk. */
bool hours_next(struct hours *hours, struct hours_range *ret_range);

#endif
