/* Watches what writes need of the database: the schema this build knows, and the replication slot without which events would be
 * lost. Asks every two seconds. */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct watch;

/* What was seen last. All false or 0 until the first answer, and while the database is away. */
struct watch_view {
    bool is_known;
    bool has_schema;           /* every migration of this build was applied */
    bool has_slot;             /* the slot is there and not invalidated */
    bool is_slot_active;       /* a relay holds it */
    int64_t slot_behind_bytes; /* WAL that waits for the relay */
};

/* changed is called after each answer and when the database goes away. Texts are borrowed. Registers its metrics. */
struct watch *watch_new(struct event_base *base, const char *database_url, const char *slot, int64_t schema_version,
                        void (*changed)(void *ctx, const struct watch_view *view), void *ctx);
void watch_free(struct watch *watch);
const struct watch_view *watch_view(const struct watch *watch);

#endif
