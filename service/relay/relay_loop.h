/* From the WAL stream into Kafka: gathers PostgreSQL's transactions into batches and publishes each batch, which is a transaction of
 * Kafka, with its progress, until something ends it. It owns neither end; the relay opens both again after any failure.
 *
 * Happy path: read what is there, queue its records, commit when the stream pauses or the batch is full, confirm to the slot.
 * Failure modes: either end fails, or the slot is lost: it returns, and the slot still has what the open batch held. */
#ifndef RELAY_RELAY_LOOP_H
#define RELAY_RELAY_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/event.h"
#include "core/commit_position.h"
#include "relay/error_text.h"
#include "relay/interruptible_wait.h"
#include "relay/overlap.h"
#include "relay/publisher.h"
#include "relay/wal_stream.h"

/* A batch is closed between transactions: when the stream pauses, or at so many events. One that has been open for so long is closed
 * wherever it is, inside of a transaction too, as Kafka ends a transaction that stays open for a minute. */
enum { RELAY_LOOP_BATCH_EVENTS = 10000, RELAY_LOOP_BATCH_US = 5000000 };

/* Records that are queued in Kafka's open transaction. */
struct relay_loop_batch {
    size_t events;
    size_t dead_letters;
    int64_t begun_us;
};

/* After Kafka has refused a batch for one of its records, which nothing names: so many records from there on are published in batches of
 * so many at most. One that is refused again is found in smaller and smaller batches, until it is alone. */
struct relay_loop_care {
    size_t records;
    size_t batch;
};

struct relay_loop {
    struct wal_stream *stream;
    struct publisher *publisher;
    struct interruptible_wait *wait_state;
    struct error_text *reason;
    const char *database_url; /* for the drain's marker */
    const char *progress_key;
    const struct event_context *events;
    _Atomic int64_t *lag_bytes;  /* where it is reported */
    struct progress progress;    /* all before it is published; what is read from there on may be, */
    struct progress told;        /* a dead letter as far as progress was told, */
    struct overlap overlap;      /* and these events */
    struct relay_loop_care care; /* of earlier runs, and for the next one */
    uint64_t server_end;         /* the server has WAL up to here, as last seen */
    uint64_t seen;               /* all transactions before this were read; at first those that the slot has confirmed */

    uint64_t drain_target; /* 0: not draining yet */
    int64_t commit_us;     /* of the transaction being read, */
    uint64_t commit_lsn;   /* where its commit record begins, */
    uint64_t records;      /* what was read of it, */
    struct slice position; /* and that place, as in its records */
    char position_text[COMMIT_POSITION_TEXT_MAX];
    int64_t noted_us;      /* when progress was written last */
    uint64_t previous_lsn; /* progress before that */
    bool in_transaction;
    bool is_skipping;        /* all of it */
    struct progress reached; /* progress once the open batch is published */
    bool has_published;
    bool was_idle; /* nothing was left to publish */
    struct relay_loop_batch batch;
    struct buf scratch; /* of the record at hand */
};

enum relay_loop_end { RELAY_LOOP_STOPPED, RELAY_LOOP_DRAINED, RELAY_LOOP_LOST, RELAY_LOOP_FAILED };

/* Runs until one of the ends; RELAY_LOOP_LOST and RELAY_LOOP_FAILED leave the reason set. The fields above the gap are the caller's,
 * those below it start zeroed. */
enum relay_loop_end relay_loop_run(struct relay_loop *loop);

#endif
