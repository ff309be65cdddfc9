/* PURE: how far publishing has come, and the record of the progress topic that says so.
 *
 * Key: the source (wal_stream.h). Value: `lsn`, which is all that earlier builds write and read. Headers, each only when it is known:
 * timeline, final-lsn, commit-lsn and commit-records of the commit under way, highest-id. Numbers are decimal text. */
#ifndef RELAY_PROGRESS_RECORD_H
#define RELAY_PROGRESS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/record.h"

enum { PROGRESS_TEXT_MAX = 128 };

struct progress {
    uint64_t lsn;      /* behind the last commit that is published whole; 0: none is */
    uint32_t timeline; /* on which that was; 0: unknown */
    uint64_t
        final_lsn; /* what is before it stays published, whatever becomes of the last transactions of Kafka; 0: unknown */
    uint64_t commit_lsn; /* where the commit record of the transaction begins that is published in part; 0: none is */
    uint64_t records;    /* of that transaction, published: in the order in which it is decoded, each time the same */
    int64_t highest_id;  /* the highest schedule id that was published; 0: unknown */
};

/* Whether all of it is. */
bool progress_is_final(const struct progress *progress);

/* The record, without a topic; it borrows from key and text. */
void progress_encode(const struct progress *progress, struct slice key, char text[PROGRESS_TEXT_MAX],
                     struct record *ret_record);

/* False when the value or one of those headers is not what progress_encode writes. Other headers are passed over. */
bool progress_decode(const struct record *record, struct progress *ret_progress);

#endif
