/* Asynchronous reads over one pipelined connection, answered in order. Each is its own transaction; only the access queries of one turn
 * of the loop go together.
 *
 * Every operation either returns STATUS_OK and calls done exactly once later, or returns why it cannot (STATUS_UNAVAILABLE
 * without a connection, STATUS_OVERLOADED when READER_PENDING_MAX wait, STATUS_NO_MEMORY) and never calls it. done's status is STATUS_OK,
 * STATUS_UNAVAILABLE (the connection was lost) or STATUS_UNSTORABLE (the database refuses the query). What done is given is
 * lent during the call. */
#ifndef STORE_READER_H
#define STORE_READER_H

#include <event2/event.h>

#include "core/page.h"
#include "core/status.h"
#include "store/access.h"
#include "store/schedule_query.h"

enum {
    READER_PENDING_MAX = 1024,
    READER_LIST_BYTES_MAX = 4 << 20 /* of the schedules of one list */
};

struct reader;

/* The metrics of all readers; call once. */
void reader_metrics_register(void);

/* Starts its connection; database_url is borrowed and outlives it. NULL: no memory. One for pages plans each query for itself: a large
 * organization's first page is found fastest along the ids, a small one's along its members. */
struct reader *reader_new(struct event_base *base, const char *database_url, bool is_for_pages);

/* Reads under way are dropped without done. */
void reader_free(struct reader *reader);

bool reader_is_ready(const struct reader *reader);

/* ---- who may do what ---- */

/* See access.h. The query is copied. */
enum status reader_access(struct reader *reader, const struct access_query *query, access_done *done, void *ctx);

/* ---- schedules ---- */

/* is_cut: there are more rows, beyond READER_LIST_BYTES_MAX. */
typedef void schedules_done(void *ctx, enum status status, const struct schedule_row *rows, size_t len, bool is_cut);

/* Lists are in ascending order of ids. An organization may see its own schedules and those of no organization, of its members. */

/* The user's schedules that the organization may see; all of them for organization 0. The user is its member. */
enum status reader_list_user_schedules(struct reader *reader, int64_t org_id, int64_t user_id, schedules_done *done,
                                       void *ctx);

/* A page of what the organization may see. */
enum status reader_list_org_schedules(struct reader *reader, int64_t org_id, const struct page *page, schedules_done *done,
                                      void *ctx);

/* The same, of members who are in the team. */
enum status reader_list_team_schedules(struct reader *reader, int64_t org_id, int64_t team_id, const struct page *page,
                                       schedules_done *done, void *ctx);

/* The row is set unless the standing is SCHEDULE_NONE. */
typedef void schedule_done(void *ctx, enum status status, enum schedule_standing standing, const struct schedule_row *row);

/* The schedule and what it is to the user: in the organization, or to the user themselves for organization 0. */
enum status reader_get_schedule(struct reader *reader, int64_t org_id, int64_t user_id, int64_t schedule_id,
                                schedule_done *done, void *ctx);

/* The user's default schedule, as far as the organization may see it, or for organization 0 whatever its own is: SCHEDULE_OWN, or
 * SCHEDULE_NONE when there is none. */
enum status reader_get_default_schedule(struct reader *reader, int64_t org_id, int64_t user_id, schedule_done *done,
                                        void *ctx);

#endif
