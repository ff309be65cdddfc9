/* What a request asks about hours, read from its target's query or from its body. Pure. */
#ifndef API_HTTP_HOURS_QUERY_H
#define API_HTTP_HOURS_QUERY_H

#include <jansson.h>

#include "core/slots.h"
#include "core/time_zone.h"

enum { HOURS_DAYS_MAX = 366, HOURS_RANGES_MAX = 10000, HOURS_SLOT_MINUTES_MAX = 1440 };

/* Texts are borrowed from the arena or the names. */
struct hours_query {
    bool is_dates; /* whether from and to are days since 1970-01-01; else instants, in seconds */
    int64_t from;
    int64_t to;             /* later than from */
    struct slice time_zone; /* in its IANA spelling; data is NULL: the schedule's */
    bool has_slots;
    struct slots_rule slots; /* where it has */
    bool explain;
    bool has_schedule; /* scheduleId is given */
    int64_t schedule_id;
    int64_t limit;    /* of ranges or slots in one answer: 1 to HOURS_RANGES_MAX */
    int64_t cursor_s; /* those that start before it were answered; INT64_MIN: none */
};

/* Reads the target's query, or where a body is given its members, of which numbers and booleans are such in JSON. The cursor and scheduleId are only ever of
 * a target without a body. STATUS_OK; STATUS_INVALID adds every violation; STATUS_NO_MEMORY: the arena is full. */
enum status hours_query_read(struct slice target, const json_t *body, const struct time_zones *names, struct arena *arena,
                             struct hours_query *ret_query, struct violations *violations);

/* How many days are asked for, one that is begun counts. */
int64_t hours_query_days(const struct hours_query *query);

/* What is asked for as instants: dates begin when a clock in the zone reads them first. */
struct hours_range hours_query_range(const struct hours_query *query, const struct zone *view);

#endif
