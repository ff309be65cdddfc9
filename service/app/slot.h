/* The replication slot, without which the database forgets what is to be published. `migrate` makes it before anything is written,
 * `rebuild` when it was lost. Failures are reported as in app/database.h. */
#ifndef APP_SLOT_H
#define APP_SLOT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct slot_view {
    bool is_usable;       /* it is there, not invalidated and not refused by a relay */
    int64_t behind_bytes; /* WAL that waits for the relay */
};

bool slot_look(PGconn *conn, const char *slot, struct slot_view *ret_view);

/* Makes it, in place of an invalidated one, as a new generation: the relay then reads all that is in it. Waits for the
 * transactions that are under way. The caller holds database_lock. */
bool slot_make(PGconn *conn, const char *slot);

/* Says what keeps the slot from a failover without loss, where the server could do it. */
bool slot_warn(PGconn *conn, const char *slot);

#endif
