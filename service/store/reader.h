/* Asynchronous reads. Look-ups of callers, single schedules, lists and pages have a connection each, so that none waits for what another
 * takes. Each read is its own transaction; only look-ups of callers that come in one turn of the loop, or while others are under way, go together.
 *
 * Every operation either returns STATUS_OK and calls done exactly once later, or returns why it cannot (STATUS_UNAVAILABLE
 * without a connection, STATUS_OVERLOADED when READER_PENDING_MAX wait, or of this caller a quarter of that, STATUS_NO_MEMORY) and never
 * calls it. done's status is STATUS_OK, STATUS_UNAVAILABLE (the connection was lost, or it took too long) or STATUS_UNSTORABLE (the
 * database refuses the query). What done is given is lent during the call. A caller is any number that is the same for the same one: callers take
 * turns. */
#ifndef STORE_READER_H
#define STORE_READER_H

#include <event2/event.h>

#include "core/page.h"
#include "core/status.h"
#include "store/caller.h"
#include "store/schedule_query.h"

enum {
    READER_PENDING_MAX = 1024,      /* of each connection */
    READER_LIST_BYTES_MAX = 4 << 20 /* of the schedules of one list */
};

struct reader;

/* Starts its connections; database_url is borrowed and outlives it. NULL: no memory. */
struct reader *reader_new(struct event_base *base, const char *database_url);

/* Reads under way are dropped without done. */
void reader_free(struct reader *reader);

/* All of its connections are. */
bool reader_is_ready(const struct reader *reader);

/* ---- who may do what ---- */

/* See caller.h. The query is copied. */
enum status reader_access(struct reader *reader, const struct caller_query *query, caller_done *done, void *ctx);

/* ---- schedules ---- */

/* Empty unless the status is STATUS_OK. */
typedef void schedules_done(void *ctx, enum status status, const struct schedule_list *list);

/* Lists are in ascending order of ids. An organization may see its own schedules and those of no organization, of its members. */

/* The user's schedules that the organization may see; all of them for organization 0. The user is its member. */
enum status reader_list_user_schedules(struct reader *reader, uint64_t caller, int64_t org_id, int64_t user_id,
                                       schedules_done *done, void *ctx);

/* A page of what the organization may see: of all members (team 0), or of those who are in the team. */
enum status reader_list_schedules(struct reader *reader, uint64_t caller, int64_t org_id, int64_t team_id,
                                  const struct page *page, schedules_done *done, void *ctx);

/* The row is set unless the access is SCHEDULE_NONE. */
typedef void schedule_done(void *ctx, enum status status, enum schedule_access access, const struct schedule_row *row);

/* The schedule and what it is to the user: in the organization, or to the user themselves for organization 0. */
enum status reader_get_schedule(struct reader *reader, uint64_t caller, int64_t org_id, int64_t user_id, int64_t schedule_id,
                                schedule_done *done, void *ctx);

/* The user's default schedule, as far as the organization may see it, or for organization 0 whatever its own is: SCHEDULE_OWN, or
 * SCHEDULE_NONE when there is none. */
enum status reader_get_default_schedule(struct reader *reader, uint64_t caller, int64_t org_id, int64_t user_id,
                                        schedule_done *done, void *ctx);

/* Empty unless the status is STATUS_OK. */
typedef void people_done(void *ctx, enum status status, const struct people_list *list);

/* Whose hours are asked for: users with a schedule each, and the members of a team. */
struct people_key {
    const int64_t *users;
    const int64_t *schedules; /* of each; 0: the default one */
    size_t users_len;
    int64_t team_id;  /* 0: none */
    int64_t team_max; /* at most so many of its members */
};

/* Each with their schedule, as far as it is theirs and the organization may see it; in ascending order of users. */
enum status reader_list_people(struct reader *reader, uint64_t caller, int64_t org_id, const struct people_key *key,
                               people_done *done, void *ctx);

#endif
