/* The micro-batching writer: takes writes from both doors, stores what is waiting in one transaction per connection, and says
 * of each what became of it once that is durable. Nobody waits for a batch to fill.
 *
 * A transaction carries either HTTP writes or commands, never both. Commands move their partition's stored offset in the same
 * transaction, as a compare-and-set. */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include <event2/event.h>

#include "codec/event.h"
#include "core/degraded.h"
#include "core/command.h"

struct writer;
struct write;

/* A Kafka partition whose next offset is stored. Owned by the Kafka door; outlives its writes. */
struct partition {
    const char *topic;
    int32_t number;
    int64_t next_offset; /* as the database has it, to the writer's knowledge */
    int64_t sent_next;   /* the writer's: one past the last offset in the batch under way, else 0 */
    uint64_t look;       /* the writer's: the last look at what waits that has met it */
};

struct write_ops {
    /* The write is settled; comes exactly once, never from within writer_submit. STATUS_OK: done. STATUS_DUPLICATE: the same
     * command was settled before (schedule_id is the original's), or, for a command whose offset another consumer settled,
     * schedule_id is 0. STATUS_OFFSET_MOVED: a command whose partition was revoked or has
     * moved back; it will be read again. RETRY classes: not known to be stored; only for writes with a deadline. REJECT classes: refused, only after refuse said false. The writer no longer touches the write. */
    void (*done)(struct write *write, enum status status);
    /* The database refuses it (a REJECT class). A command's door replaces it by a record (sets write->kind and write->record) and
     * returns true: the record takes its place. False: done follows with that status. */
    bool (*refuse)(struct write *write, enum status status);
};

enum write_kind {
    WRITE_COMMAND, /* carry it out */
    WRITE_RECORD,  /* emit a packed record: a rejection or a dead letter */
    WRITE_ENTRY    /* bring a directory entry up to date */
};

/* One write on its way. The door owns it and lends it to the writer from submit until done. */
struct write {
    const struct write_ops *ops;
    enum write_kind kind;
    struct command command;      /* borrowed text stays valid until done */
    bool has_key;                /* of a create: it may be repeated with the same key */
    struct uuid key;             /* made of the sender and the Idempotency-Key */
    struct slice traceparent;    /* for the event: valid, or empty */
    struct slice record;         /* of a record */
    struct slice entry;          /* of an entry: JSON, see apply_directory in migrations/ */
    struct partition *partition; /* NULL: an HTTP write */
    int64_t offset;              /* in the partition */
    int64_t deadline_us;         /* steady clock; 0: none. HTTP writes that are not sent by then are given up */
    int64_t schedule_id;         /* set before done */
    struct slice state;   /* of an HTTP change or a repeated key, lent during done: codec/schedule_state.h; else empty */
    bool is_repeat;       /* the writer's */
    int64_t submitted_us; /* the writer's: steady clock */
    struct write *next;   /* the writer's */
};

struct writer_config {
    const char *database_url;
    struct event_context events;
    int64_t key_seconds; /* how long an Idempotency-Key is known */
};

/* Registers the writer's metrics and starts its connections. NULL when memory is out. */
struct writer *writer_new(struct event_base *base, const struct writer_config *config);

/* Queued writes are dropped without done. */
void writer_free(struct writer *writer);

/* Lets writes through, or keeps them back: it starts shut, and is shut while the replication slot that their events need is not
 * there. Commands wait meanwhile; HTTP writes are turned away. */
void writer_open(struct writer *writer, bool open);

/* Lends the write to the writer. STATUS_OVERLOADED when the HTTP queue is full and STATUS_UNAVAILABLE
 * while shut (the write stays the caller's); commands are
 * bounded by their door. Never calls back before it returns. Writes of one partition come in the order of their offsets. */
enum status writer_submit(struct writer *writer, struct write *write);

/* Ends every command of the partition that is not on its way to the database, with STATUS_OFFSET_MOVED: it was revoked. */
void writer_drop_partition(struct writer *writer, const struct partition *partition);

/* Whether a connection is ready now. */
bool writer_is_ready(const struct writer *writer);

/* Tells which connections and partitions make no progress. */
void writer_degraded(struct writer *writer, struct degraded *degraded);

/* Writes submitted and not settled. */
size_t writer_pending(const struct writer *writer);

#endif
