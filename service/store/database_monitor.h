/* Watches what writes need of the database: that it takes them, the schema this build knows, the replication slot without which events
 * would be lost, and that a relay has accepted where the server stands. Asks every two seconds, and more often while it waits for that. */
#ifndef STORE_DATABASE_MONITOR_H
#define STORE_DATABASE_MONITOR_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/position.h"

struct database_monitor;

/* The schema that a build was written for. A database that is ahead of it will do. */
struct database_schema {
    int64_t version;
    const char *const *former_functions; /* the checksums of older texts, ended by NULL */
};

/* What was seen last. All false or 0, and nothing near its limit, until the first answer, and while the database is away. */
struct database_view {
    bool is_known;
    bool is_pooled;    /* not known, as a pooler gives each transaction another session */
    bool is_read_only; /* a standby, or set so */
    bool has_schema;   /* that of this build, or a newer one */
    bool knows_slot;   /* it is there, or was */
    bool has_slot;     /* the slot is there, not invalidated and not refused by a relay */
    bool
        is_accepted; /* a relay has accepted the server at this position, or did before and it is still the same: see mark */
    bool is_slot_active;       /* a relay holds it */
    int64_t slot_behind_bytes; /* WAL that waits for the relay */
    int64_t
        slot_kept_bytes;   /* WAL that the server keeps for the slot, which may be more: other people's long transactions */
    int64_t slot_safe_ppm; /* what may still be written before the slot is lost, in millionths of max_slot_wal_keep_size;
                                * DATABASE_SAFE_PPM without such a limit */
    int64_t slot_wal_status;   /* of the names in database_monitor.c */
    struct position_mark mark; /* of the accepted server */
};

enum { DATABASE_SAFE_PPM = 1000000 };

/* changed is called after each answer and when the database goes away. Texts are borrowed. Registers its metrics. */
struct database_monitor *database_monitor_new(struct event_base *base, const char *database_url, const char *slot,
                                              const struct database_schema *schema,
                                              void (*changed)(void *ctx, const struct database_view *view), void *ctx);
void database_monitor_free(struct database_monitor *monitor);
const struct database_view *database_view(const struct database_monitor *monitor);

#endif
