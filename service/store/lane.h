/* A lane: one write connection, the queue of the commands whose partitions are its own, and the batch it has under way. Internal to
 * the writer, which owns two of them. */
#ifndef STORE_LANE_H
#define STORE_LANE_H

#include "driver/pg.h"
#include "store/batch.h"
#include "store/queue.h"

enum lane_state { LANE_AWAY, LANE_IDLE, LANE_TAKING_IDS, LANE_WRITING, LANE_PAUSED };

/* What all lanes of a writer share. */
struct lane_shared {
    struct event_base *base;
    struct event_context events;
    int64_t key_seconds;
    struct pg_config pg;
    struct queue http;  /* HTTP writes: any lane takes them */
    struct event *kick; /* activate it: every idle lane looks for work */
    bool open;          /* writes may pass */
};

struct lane {
    struct lane_shared *shared;
    struct pg *pg;
    enum lane_state state;
    struct queue commands;
    struct queue sent;       /* the batch under way, or empty */
    struct queue *sent_from; /* where it goes back to; NULL before the first */
    struct batch *batch;
    struct event *retry;
    int64_t retry_ms; /* of the next pause; 0: the first */
    int64_t id_next;  /* ids in hand: id_next up to id_end */
    int64_t id_end;
    size_t rows_max;      /* of the next batch; halved to find a poison row */
    int64_t sent_us;      /* steady clock */
    enum status outcome;  /* of the unit under way, so far */
    char *detail;         /* of SS001 and SS002; owned */
    struct arena *states; /* of the batch under way, as answered; NULL: none yet */
};

/* The metrics of all lanes; call once. */
void lane_metrics_register(void);

/* Starts connecting. False when memory is out; lane_done then frees what there is. */
bool lane_init(struct lane *lane, struct lane_shared *shared);
void lane_done(struct lane *lane);

/* Sends what is waiting, if the lane is free to. */
void lane_serve(struct lane *lane);

/* Ends every waiting command of the partition with STATUS_OFFSET_MOVED. */
void lane_drop_partition(struct lane *lane, const struct partition *partition);

/* ---- between lane.c and lane_settle.c ---- */

/* Frees what the writes of the batch were told. */
void lane_forget_states(struct lane *lane);

/* Puts the batch back to where it was taken from. */
void lane_put_back(struct lane *lane);

/* Takes no work for a while that grows with each repeat. */
void lane_pause(struct lane *lane, const char *reason);

/* Notes what the database answered to the batch. */
void lane_read_result(struct lane *lane, const PGresult *result);

/* Does what the outcome asks for: settles the batch, or changes it and puts it back. */
void lane_settle(struct lane *lane);

#endif
