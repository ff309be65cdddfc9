/* What the events topic holds of the end of a history that the database does not share: it failed over to a server that lacks the last
 * commits, or was set back or restored. */
#ifndef RELAY_PUBLISHED_H
#define RELAY_PUBLISHED_H

#include "core/commit_position.h"
#include "relay/healing.h"
#include "relay/topic_reader.h"

enum { PUBLISHED_NAMES_MAX = 50, PUBLISHED_NAME_MAX = 96 };

struct published_range {
    struct commit_position from; /* events of that timeline from there on are looked at; without a timeline: all */
    struct commit_position
        beyond; /* those from there on are of changes that the database has not; without a timeline: none is known as such */
};

struct published {
    int64_t beyond;                                      /* events */
    char names[PUBLISHED_NAMES_MAX][PUBLISHED_NAME_MAX]; /* "<type> <ce_id>" of the first of them, perhaps cut */
    int64_t highest_id;                                  /* of the schedules in what was read */
};

/* Reads the topic back to where the range begins, and notes the events of the range for healing. False when that fails; the reason is
 * set. */
bool published_read(const struct topic_source *events, const struct published_range *range, struct healing *healing,
                    struct published *ret_published);

#endif
