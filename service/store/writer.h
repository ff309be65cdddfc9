/* The micro-batching writer: takes writes from HTTP and the consumers, stores what is waiting in one transaction per connection, and says
 * of each what became of it once that is durable. Nobody waits for a batch to fill.
 *
 * A transaction carries writes of one purpose, which has connections of its own. Those of Kafka move their partition's stored offset in
 * the same transaction, as a compare-and-set. A write that cannot go on, as a lock or an error that repeats is in its way, holds back
 * its partition, or over HTTP its owner's writes, and nothing else. */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include <event2/event.h>

#include "codec/event.h"
#include "core/command.h"
#include "core/degraded.h"
#include "store/position.h"

struct writer;
struct pending_write;
struct write_batch;

/* What writes are for. Each purpose has connections of its own. */
enum write_purpose { WRITE_COMMANDS, WRITE_DIRECTORY, WRITE_HTTP, WRITE_PURPOSES };

/* A FIFO of writes: store/queue.h. */
struct queue {
    struct pending_write *first;
    struct pending_write *last;
    size_t len;
};

/* How a partition, or a write of HTTP, fares that could not be stored with others. Zero: it goes with all. */
struct hold {
    bool is_alone;     /* is tried by itself */
    unsigned failures; /* of a write by itself, one after the other */
    int64_t delay_ms;  /* behind the last failure */
    int64_t next_us;   /* steady clock: not to be tried before */
    int64_t since_us;  /* steady clock, of the first failure */
};

/* A Kafka partition whose next offset is stored. Owned by its Kafka consumer, and zero but for what the consumer sets; outlives its writes. */
struct partition {
    const char *topic;
    int32_t number;
    enum write_purpose purpose;
    int64_t next_offset; /* as the database has it, to the writer's knowledge */
    /* the writer's */
    int64_t sent_next;                 /* one past the last offset that is under way, else 0 */
    int64_t sent_us;                   /* when the oldest write that is under way was submitted; steady clock */
    size_t sent_batches;               /* that have writes of it and are under way, all on one connection */
    const struct write_batch *sent_in; /* the last of them */
    struct queue waiting;
    size_t rows_max; /* of its next batch, halved to find what is in the way; 0: as many as go */
    struct hold hold;
    bool is_dropped; /* what is in the batch under way is not retried */
    bool is_listed;
    struct partition *next;
};

struct write_ops {
    /* The write is completed; comes exactly once, never from within writer_submit. STATUS_OK: done. STATUS_DUPLICATE: the same
     * command was completed before (schedule_id is the original's), or, for a command whose offset another consumer completed,
     * schedule_id is 0. STATUS_OFFSET_MOVED: a command whose partition was revoked or has
     * moved back; it will be read again. RETRY classes: given up at its deadline, and not stored; but STATUS_UNKNOWN_OUTCOME, where an
     * attempt was sent whose answer is not known: it may be stored, or be so yet. REJECT classes: refused, only after refuse said
     * false. The writer no longer touches the write. */
    void (*done)(struct pending_write *pending_write, enum status status);
    /* The database refuses it (a REJECT class). For a command the consumer replaces it by a record (sets pending_write->kind and pending_write->record) and
     * returns true: the record takes its place. False: done follows with that status. */
    bool (*refuse)(struct pending_write *pending_write, enum status status);
};

enum write_kind {
    WRITE_COMMAND, /* carry it out */
    WRITE_RECORD,  /* emit a packed record: a rejection or a dead letter */
    WRITE_ENTRY,   /* bring a directory entry up to date */
    WRITE_OFFSET   /* nothing but the partition's offset: what was before it is no message */
};

/* One write on its way. Whoever submits it owns it and lends it to the writer from submit until done. */
struct pending_write {
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
    int64_t deadline_us;         /* steady clock; 0: none. HTTP writes that are not completed by then are given up */
    int64_t schedule_id;         /* set before done */
    int64_t schedules_max;       /* set before a refusal: see writer_config */
    struct slice
        state; /* of an HTTP change or a repeated key, lent during done: codec/schedule_state.h; empty: there is none,
                                    or those of its batch took WRITE_STATES_BYTES_MAX already */
    /* the writer's */
    bool is_repeat;
    bool is_doubtful;     /* an attempt was sent whose answer is lost */
    int64_t submitted_us; /* steady clock */
    struct hold hold;
    struct queue followers; /* HTTP writes of the same owner, behind one that is tried alone */
    struct pending_write *next;
};

enum {
    WRITE_STATES_BYTES_MAX = 4 << 20,   /* of one batch; the last may go beyond */
    WRITE_CONNECTIONS_MAX = 16,         /* of one purpose */
    WRITE_LOCK_TIMEOUT_MS = 100,        /* a write waits so long for a lock beside others */
    WRITE_STATEMENT_TIMEOUT_MS = 2000,  /* and its batch takes so long */
    PARTITION_WAITS_AFTER_FAILURES = 3, /* of one write alone, one after the other: it is logged that the partition waits */
};

struct writer_config {
    const char *database_url;
    struct event_context events;
    int64_t key_seconds;   /* how long an Idempotency-Key is known */
    int64_t schedules_max; /* of a user; 0: no limit */
    size_t
        connections[WRITE_PURPOSES]; /* up to WRITE_CONNECTIONS_MAX. One of several does not try again what was in the way */
    int64_t lock_timeout_ms;         /* 0: WRITE_LOCK_TIMEOUT_MS */
    int64_t statement_timeout_ms;    /* 0: WRITE_STATEMENT_TIMEOUT_MS */
};

/* Registers the writer's metrics and starts its connections. NULL when memory is out. */
struct writer *writer_new(struct event_base *base, const struct writer_config *config);

/* Queued writes are dropped without done. */
void writer_free(struct writer *writer);

/* Lets writes through to the server at the mark, which is copied, or with NULL keeps them back: it starts shut, and is shut while the
 * replication slot that their events need is not there. Commands wait meanwhile; HTTP writes are turned away. To be called again with
 * each mark that is newer. */
void writer_open(struct writer *writer, const struct position_mark *mark);

/* Lends the write to the writer. STATUS_OVERLOADED when the HTTP queue is full and STATUS_UNAVAILABLE while shut (the write stays the
 * caller's); what comes with a partition is bounded by its consumer. Never calls back before it returns. Writes of one partition come in
 * the order of their offsets. */
enum status writer_submit(struct writer *writer, struct pending_write *pending_write);

/* Ends every write of the partition that is not on its way to the database, with STATUS_OFFSET_MOVED: it was revoked. What is on its
 * way is not retried. */
void writer_drop_partition(struct writer *writer, struct partition *partition);

/* Ends likewise all but the partition's first write, which may be on its way: the offset of the first that ended, or -1 when none did. */
int64_t writer_shorten_partition(struct writer *writer, struct partition *partition);

/* Whether every connection that HTTP writes need is there. */
bool writer_http_is_ready(const struct writer *writer);

/* Writes submitted and not completed. */
size_t writer_pending(const struct writer *writer);

/* Names the connections and partitions that make no progress. */
void writer_degraded(struct writer *writer, struct degraded *degraded);

/* Whether an error or a lock that repeats is in the way of the partition's first write. It is tried on. */
bool partition_is_waiting(const struct partition *partition);

/* Whether no write of the partition is submitted and not completed. */
bool partition_is_idle(const struct partition *partition);

#endif
