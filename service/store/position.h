/* Where the WAL of a server stands, and whether a server that is met again is still the one that was accepted (ADR 0020). A server that
 * was restored, set back or promoted may lack commits whose events are published: nothing is written to it before a relay has looked. */
#ifndef STORE_POSITION_H
#define STORE_POSITION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero of a standby, which has no timeline of its own yet. */
struct position {
    int64_t system_id;
    int64_t timeline;
    int64_t inserted; /* the end of its last WAL record, durable or not */
    int64_t flushed;  /* durable up to here, perhaps in the middle of a record */
};

/* The columns of a position; position_read takes them from a binary row. */
#define POSITION_COLUMNS                                                                                          \
    "CASE WHEN pg_is_in_recovery() THEN 0 ELSE (SELECT system_identifier FROM pg_control_system()) END, "         \
    "CASE WHEN pg_is_in_recovery() THEN 0 "                                                                       \
    "ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END, "                         \
    "CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') END::bigint, " \
    "CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0') END::bigint"

enum { POSITION_COLUMNS_LEN = 4 };

void position_read(const PGresult *result, int first_column, struct position *ret_position);

/* What is known of the accepted server. All zero: nothing. */
struct position_mark {
    int64_t system_id;
    int64_t timeline;
    int64_t durable;  /* the server cannot be found before this, unless it was set back */
    int64_t inserted; /* durable too, once a later position is flushed beyond it */
};

/* Whether the position is the accepted server's, on the same timeline and not behind what was seen of it. */
bool position_is_at(const struct position *position, const struct position_mark *mark);

/* Takes note of a position that was accepted, or is at the mark. */
void position_note(const struct position *position, struct position_mark *mark);

#endif
