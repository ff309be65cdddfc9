/* A time zone as what it is to a calendar: periods, each with the offset of its clocks from UTC. Made of a TZif file (RFC 9636), whose
 * footer gives the years behind its table. Immutable, so any number of readers share it. Instants are seconds since
 * 1970-01-01T00:00:00Z, without leap seconds. */
#ifndef CORE_ZONE_H
#define CORE_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/civil.h"
#include "core/slice.h"

enum {
    ZONE_YEAR_MIN = 1900, /* a zone is right from the beginning of this year ... */
    ZONE_YEAR_MAX = 2200, /* ... to the end of this one */
    ZONE_OFFSET_MAX_S = 26 * 3600
};

struct zone {
    size_t len;         /* at least 1 */
    int64_t *starts_s;  /* ascending; the first is INT64_MIN; a period ends where the next one starts */
    int32_t *offsets_s; /* local reading = instant + offset; neighbours differ */
};

/* Reads the bytes of a TZif file of version 2 or later. NULL when they are none, have leap seconds ("right/"), break the
 * format's rules, or memory is out. */
struct zone *zone_new(struct slice tzif);
void zone_free(struct zone *zone);

/* The period that an instant lies in. */
size_t zone_period_at(const struct zone *zone, int64_t instant_s);

/* Where the period ends: INT64_MAX for the last. */
int64_t zone_period_end_s(const struct zone *zone, size_t period);

/* The first instant at which a clock of the zone reads this day (since 1970-01-01) or a later one. */
int64_t zone_day_start_s(const struct zone *zone, int32_t day);

#endif
