/* Brings a database that lacks published changes beyond them, before it is written to: what is published of its schedules is noted in the
 * database, which then raises their versions and publishes them again (note_published() and heal_published() of migrations/functions/positions.sql).
 *
 * Happy path: note each event that was read back, then run.
 * Failure modes: the database away or another relay holding the slot: the reason is set, start again. All of it may be repeated. */
#ifndef RELAY_HEALING_H
#define RELAY_HEALING_H

#include "codec/event.h"
#include "core/buf.h"
#include "relay/session.h"

/* Borrowed. */
struct healing_config {
    const char *database_url;
    const char *slot;
    int32_t holder;                     /* as of the slot's walsender: wal_source */
    const struct event_context *events; /* how deletions are published */
    struct interruptible_wait *wait_state;
    bool (*on_wait)(void *ctx); /* called now and then; false gives up */
    void *ctx;
    struct error_text *reason;
};

struct healing {
    struct healing_config config;
    PGconn *conn; /* from the first batch on */
    struct buf ids;
    struct buf versions;
    struct buf deletions;
    size_t noted;   /* that are not in the database yet */
    int64_t raised; /* schedules whose version is above the published one now */
    int64_t ended;  /* that are not there, and are published as deleted */
};

void healing_init(struct healing *healing, const struct healing_config *config);
void healing_done(struct healing *healing);

/* Notes an event that was published at that time; records of no schedule are passed over. */
bool healing_note(struct healing *healing, const struct record *event, int64_t told_ms);

/* Heals what was noted, and counts it. */
bool healing_run(struct healing *healing);

#endif
