/* What a request asks about the hours of several people, read from its body and, where it goes on, from its target's cursor. Pure. */
#ifndef API_HTTP_PEOPLE_QUERY_H
#define API_HTTP_PEOPLE_QUERY_H

#include "api/http_hours_query.h"
#include "core/combine.h"

enum { PEOPLE_MAX = COMBINE_PEOPLE_MAX, PEOPLE_DAYS_MAX = 3100, PEOPLE_GROUPS_MAX = COMBINE_GROUPS_MAX };

enum people_combine { PEOPLE_EACH, PEOPLE_ALL, PEOPLE_ANY, PEOPLE_AT_LEAST, PEOPLE_GROUPS };

struct people_group {
    const int64_t *users;
    size_t users_len;
    int64_t at_least; /* of them */
};

/* All lives in the arena. */
struct people_query {
    struct hours_query hours;
    int64_t team_id;          /* whose members; 0: the users */
    const int64_t *users;     /* ids */
    const int64_t *schedules; /* of each; 0: the default one */
    size_t users_len;         /* 0 with a team */
    enum people_combine combine;
    int64_t at_least; /* of PEOPLE_AT_LEAST */
    const struct people_group *groups;
    size_t groups_len; /* of PEOPLE_GROUPS; else 0 */
    int64_t
        cursor_user; /* of PEOPLE_EACH: those with smaller ids were answered, and of this one what starts before the cursor */
};

/* STATUS_OK; STATUS_INVALID adds every violation; STATUS_NO_MEMORY: the arena is full. */
enum status people_query_read(const json_t *body, struct slice target, const struct time_zones *names, struct arena *arena,
                              struct people_query *ret_query, struct violations *violations);

/* Whether so many people are few enough for the days that are asked for; else adds the violation. */
bool people_query_fits(const struct people_query *query, size_t people, struct arena *arena, struct violations *violations);

/* Whether the group names the user. */
bool people_group_names(const struct people_group *group, int64_t user_id);

#endif
