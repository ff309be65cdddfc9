/* A batch of writes as the parameters of write_schedules() (migrations/0002): columns as binary arrays, events built with the
 * ids the rows will have. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "driver/pg_array.h"
#include "store/writer.h"

enum {
    BATCH_ROWS_MAX = 512,
    BATCH_BYTES_MAX = 32 << 20, /* of one column */
    BATCH_PARAMS = 16
};

extern const char batch_statement_sql[];

struct batch;

struct batch *batch_new(const struct event_context *events);
void batch_free(struct batch *batch);

/* Empties it; every row of it will have this creation time (wall clock). */
void batch_start(struct batch *batch, int64_t created_us);

/* Adds the offset of one partition: it must be partition->next_offset and becomes next. */
void batch_add_offset(struct batch *batch, const struct partition *partition, int64_t next);

/* Adds a write as the next row: a record, or a schedule that gets schedule_id. STATUS_NO_MEMORY makes the whole batch void. */
enum status batch_add(struct batch *batch, const struct write *write, int64_t schedule_id);

/* Bytes that the rows so far take. */
size_t batch_bytes(const struct batch *batch);

/* The parameters, borrowed from the batch. False when memory ran out while adding. */
bool batch_params(struct batch *batch, struct pg_param params[BATCH_PARAMS]);

#endif
