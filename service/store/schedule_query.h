/* The questions about schedules and taking their rows apart. */
#ifndef STORE_SCHEDULE_QUERY_H
#define STORE_SCHEDULE_QUERY_H

#include <libpq-fe.h>

#include "codec/schedule_json.h"

/* Lists: ascending id; the row that crosses the limit in bytes ($1) is the last. Organization 0 stands for no organization:
 * the user about themselves.
 *
 * Of a user ($3), what an organization ($2) may see: its own and those of no organization; all of them for organization 0. */
extern const char list_user_schedules_sql[];

/* The same of all members of an organization ($2), or of those who are in a team ($5); at most $3 behind the first $4. */
extern const char list_org_schedules_sql[];
extern const char list_team_schedules_sql[];

/* The schedule with an id ($3), or a user's ($2) default, and what it is to the user in the organization ($1). */
extern const char get_schedule_sql[];
extern const char get_default_schedule_sql[];

/* The text lives as long as the result. */
struct schedule_row schedule_row_read(const PGresult *result, int row);

/* Lists: whether the last row crossed the limit of max_bytes. */
bool schedules_are_cut(const PGresult *result, int64_t max_bytes);

/* What a schedule is to somebody who names it. */
enum schedule_standing {
    SCHEDULE_NONE,   /* as if it were not there */
    SCHEDULE_OTHERS, /* somebody else's, and they may know of it */
    SCHEDULE_OWN
};

/* Gets. */
enum schedule_standing schedule_standing_read(const PGresult *result);

#endif
