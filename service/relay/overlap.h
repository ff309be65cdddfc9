/* The events that are in Kafka already of the WAL that is read again. Progress alone does not tell them: of the last transactions of Kafka before
 * a broker ended, some partitions may have what others lack (ADR 37).
 *
 * Happy path: read from the events topic, then asked of each event that is read again, until all of them are passed.
 * Failure modes: those of the topic reader. Without memory it fails too. */
#ifndef RELAY_OVERLAP_H
#define RELAY_OVERLAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/timeline.h"
#include "relay/topic_reader.h"

/* Starts zeroed. */
struct overlap {
    uint64_t *names; /* sorted: a digest of each event's LSN and ce_id */
    size_t len;
    size_t capacity;
    uint64_t last_lsn; /* no event is of a commit record behind it */
};

/* Reads the committed events whose commit record is at or behind the LSN, in this history, into an overlap that is zeroed. False when that fails; the
 * reason is set. */
bool overlap_read(const struct topic_source *events, const struct timeline_history *history, uint64_t lsn,
                  struct overlap *overlap);

/* Whether this event of the commit record at the LSN is one of them. */
bool overlap_has(const struct overlap *overlap, const struct record *event, uint64_t lsn);

/* Leaves it zeroed. */
void overlap_done(struct overlap *overlap);

#endif
