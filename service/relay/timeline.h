/* PURE: the history of a server's timeline, as TIMELINE_HISTORY answers it: the timelines that it came from, oldest first, and where
 * each was left for the next (PostgreSQL manual, "Streaming Replication Protocol" and "Timelines"). */
#ifndef RELAY_TIMELINE_H
#define RELAY_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slice.h"

/* Of the newest; older ones are as if they had never been. */
enum { TIMELINE_ANCESTORS_MAX = 64 };

struct timeline_ancestor {
    uint32_t timeline;
    uint64_t end; /* the next timeline begins here */
};

struct timeline_history {
    uint32_t timeline; /* the server's own */
    struct timeline_ancestor ancestors[TIMELINE_ANCESTORS_MAX];
    size_t ancestors_len;
};

/* Takes the file's content as the ancestors. False when it is no such file. */
bool timeline_history_read(struct slice content, struct timeline_history *history);

/* Up to where the server has what was written on the timeline: UINT64_MAX on its own, 0 when it does not come from it. */
uint64_t timeline_end(const struct timeline_history *history, uint32_t timeline);

#endif
