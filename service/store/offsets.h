/* The stored offsets of a topic's partitions: read when partitions are assigned, and from time to time. (They are moved by the writer.) */
#ifndef STORE_OFFSETS_H
#define STORE_OFFSETS_H

#include <event2/event.h>
#include <stdint.h>

struct offsets;

enum { OFFSETS_PARTITIONS_MAX = 4096 };

/* One answer: next_offset is 0 for a partition that was never read. */
struct stored_offset {
    int32_t partition;
    int64_t next_offset;
};

/* done gets the answer of the latest offsets_load, once; items are borrowed during the call. */
struct offsets *offsets_new(struct event_base *base, const char *database_url, const char *topic,
                            void (*done)(void *ctx, const struct stored_offset *items, size_t len), void *ctx);
void offsets_free(struct offsets *offsets);

/* Asks for these partitions' offsets, making the rows that are missing. Tries until the database answers. A new call takes the
 * place of one that was not answered yet. At most OFFSETS_PARTITIONS_MAX. */
void offsets_load(struct offsets *offsets, const int32_t *partitions, size_t len);

/* The same without making rows: an answer has only those that are there. */
void offsets_look(struct offsets *offsets, const int32_t *partitions, size_t len);

/* Forgets what was asked for: done does not come. */
void offsets_cancel(struct offsets *offsets);

#endif
