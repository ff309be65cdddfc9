/* A batch of writes as the parameters of write_batch() (migrations/functions/schedules.sql): columns as binary arrays, the events of creates built with
 * the ids the rows will have. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "driver/pg_array.h"
#include "store/writer.h"

enum {
    BATCH_ROWS_MAX = 512,
    BATCH_BYTES_MAX = 32 << 20, /* of one column */
    BATCH_PARAMS = 23
};

/* Rows of the answer: ordinal, verdict, schedule_id, state. States beyond WRITE_STATES_BYTES_MAX are null. */
extern const char batch_statement_sql[];
enum { WRITE_OUTCOME_FIELDS = 4 };

struct batch;

/* key_seconds, schedules_max: see writer_config. */
struct batch *batch_new(const struct event_context *events, int64_t key_seconds, int64_t schedules_max);
void batch_free(struct batch *batch);

/* Empties it; everything in it happens at this time (wall clock). */
void batch_start(struct batch *batch, int64_t written_us);

/* Adds the offset of one partition: it must be the expected one and becomes next. */
void batch_add_offset(struct batch *batch, const struct partition *partition, int64_t expected, int64_t next);

/* Adds a write as the next row; schedule_id is the new schedule's or the changed one's. STATUS_NO_MEMORY makes the whole batch
 * void; STATUS_TOO_LARGE, for one batch, adds nothing. */
enum status batch_add(struct batch *batch, const struct pending_write *pending_write, int64_t schedule_id);

/* Bytes that the rows so far take. */
size_t batch_bytes(const struct batch *batch);

/* The parameters, borrowed from the batch. False when memory ran out while adding. */
bool batch_params(struct batch *batch, struct pg_param params[BATCH_PARAMS]);

#endif
