/* The questions about schedules and taking their rows apart. */
#ifndef STORE_SCHEDULE_QUERY_H
#define STORE_SCHEDULE_QUERY_H

#include <libpq-fe.h>

#include "codec/schedule_json.h"

/* Lists: ascending id, behind the id $5; at most $3 behind the first $4, and $1 bytes. Organization 0 stands for no organization: the user
 * about themselves.
 *
 * Of a user ($6), what an organization ($2) may see: its own and those of no organization; all of them for organization 0. */
extern const char list_user_schedules_sql[];

/* The same of all members of an organization ($2), or of those who are in a team ($6). */
extern const char list_org_schedules_sql[];
extern const char list_team_schedules_sql[];

/* The schedule with an id ($3), or a user's ($2) default, and what it is to the user in the organization ($1). */
extern const char get_schedule_sql[];
extern const char get_default_schedule_sql[];

/* Several people of an organization ($2) with a schedule each: those of the pairs of user and schedule id in $5, where 0 stands for the default
 * schedule, and the members of the team $3, at most $4. In ascending order of users. */
extern const char list_people_sql[];

/* The text lives as long as the result. */
struct schedule_row schedule_row_read(const PGresult *result, int row);

enum { SCHEDULE_BYTES_LEAST = 200 }; /* of any in a list: see migrations/functions/access.sql */

/* A list, or why it is none: is_cut, it would have more than $1 bytes, and no rows are read. */
struct schedule_list {
    const struct schedule_row *rows;
    size_t len; /* of a cut one: so many would fit */
    bool is_cut;
    bool has_more; /* behind the last */
};

/* All but the rows. */
struct schedule_list schedule_list_read(const PGresult *result);

/* One of several people. */
struct person_row {
    int64_t user_id;
    bool is_member;               /* of the organization; else there is no schedule */
    int64_t asked_id;             /* of the schedule; 0: the default one */
    struct schedule_row schedule; /* id 0: none that is theirs and that the organization may see */
};

struct people_list {
    const struct person_row *rows;
    size_t len;
    bool is_cut; /* their schedules would have more than $1 bytes: the rows are not all */
};

/* All but the rows. */
struct people_list people_list_read(const PGresult *result);
struct person_row person_row_read(const PGresult *result, int row);

/* What a schedule is to somebody who names it. */
enum schedule_access {
    SCHEDULE_NONE,   /* as if it were not there */
    SCHEDULE_OTHERS, /* somebody else's, and they may know of it */
    SCHEDULE_OWN
};

/* Gets. */
enum schedule_access schedule_access_read(const PGresult *result);

#endif
