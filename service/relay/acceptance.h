/* Whether a relay takes a server for the one whose events are published, and what it records of that in the database, so that the intake of every
 * process opens or stays closed (ADR 0020). */
#ifndef RELAY_ACCEPTANCE_H
#define RELAY_ACCEPTANCE_H

#include "relay/progress_record.h"
#include "relay/wal_stream.h"

enum verdict {
    VERDICT_SAME,             /* the history of progress, at its position or further on */
    VERDICT_UNMARKED,         /* that of a record of the last build, which has no timeline: it is trusted */
    VERDICT_FIRST,            /* nothing was published from this slot */
    VERDICT_SWITCHED,         /* a timeline that comes from progress's */
    VERDICT_SET_BACK,         /* its WAL ends before what is published */
    VERDICT_FOREIGN_SLOT,     /* the slot was confirmed beyond what is published: it was created by hand */
    VERDICT_FOREIGN_TIMELINE, /* a timeline that does not come from progress's: another server was promoted and published from */
};

/* PURE. */
enum verdict acceptance_decide(const struct wal_source *source, const struct progress *progress);

/* PURE: the progress that publishing continues from, as of a verdict that is not foreign. */
struct progress acceptance_progress(enum verdict verdict, const struct wal_source *source, const struct progress *progress);

/* How it reaches the database; borrowed. */
struct acceptance {
    const char *database_url;
    const char *slot;
    struct interruptible_wait *wait_state;
    struct error_text *reason;
};

/* Lets ids begin behind the progress's highest and then opens the intake. Where that is unknown, sets it to the highest that may have been
 * handed out. */
bool acceptance_record(const struct acceptance *acceptance, const struct wal_source *source, struct progress *progress);

/* Closes the intake until `rebuild` has created the slot again. */
bool acceptance_refuse(const struct acceptance *acceptance, const char *refusal);

#endif
