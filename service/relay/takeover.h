/* What lies between holding the slot and publishing from it: is this the server whose events are published, and how far are they?
 *
 * Happy path: the progress that is there is of this very history, so the intake is opened at once; then, with a producer of our own,
 * nobody can move progress any more and it is read again. Publishing continues from what is final of it (ADR 37).
 * Failure modes: either server away (FAILED: start again); a timeline that was switched to, a database that was set back, another server or
 * slot (what is published and not in the database is looked up, logged and healed, and publishing continues from where the histories part); a
 * slot or a timeline that is foreign (REFUSED, in the database too: as a lost slot). */
#ifndef RELAY_TAKEOVER_H
#define RELAY_TAKEOVER_H

#include "relay/overlap.h"
#include "relay/publisher.h"
#include "relay/relay.h"
#include "relay/wal_stream.h"

/* Borrowed, but for what it says of itself. */
struct takeover {
    const struct relay_config *config;
    const struct wal_source *source;
    rd_kafka_t *client; /* of topic_client_new() */
    struct interruptible_wait *wait_state;
    struct error_text *reason;
    bool (*on_wait)(void *ctx); /* as the publisher's */
    void *ctx;
    bool was_ahead;   /* the last one found progress ahead of the WAL */
    bool is_ahead;    /* this one does */
    bool is_accepted; /* the intake may open */
};

enum takeover_end { TAKEOVER_DONE, TAKEOVER_REFUSED, TAKEOVER_FAILED };

/* Opens the intake early, if nothing is in doubt. False when a server is away. */
bool takeover_hasten(struct takeover *takeover);

/* Where publishing continues. */
struct takeover_point {
    struct progress progress; /* all before it is published for good */
    struct progress told;     /* what the last transaction of Kafka said */
    struct overlap overlap;   /* the events between them that are published; the caller's */
};

/* With the publisher that will write on, whose transactions are its own. Sets the point, which is zeroed before; else the reason is set. */
enum takeover_end takeover_finish(struct takeover *takeover, struct publisher *publisher, struct takeover_point *point);

#endif
