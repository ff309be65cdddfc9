/* What the events topic tells of the end of a history that the database does not share: it failed over to a server that lacks the last
 * commits, or was set back. */
#ifndef RELAY_PUBLISHED_H
#define RELAY_PUBLISHED_H

#include "relay/commit_position.h"
#include "relay/progress.h"

enum { PUBLISHED_NAMES_MAX = 50, PUBLISHED_NAME_MAX = 96 };

struct published {
    /* Events whose commit is on that timeline, at the position or behind it: of changes that the database has not. */
    int64_t beyond;
    char names[PUBLISHED_NAMES_MAX][PUBLISHED_NAME_MAX]; /* "<type> <ce_id>" of the first of them, perhaps cut */
    int64_t highest_id;                                  /* of the schedules in what was read */
};

/* Reads the topic back to the position; with is_all, the whole of it. False when that fails; the reason is set. */
bool published_read(const struct progress_topic *events, const struct commit_position *position, bool is_all,
                    struct published *ret_published);

#endif
