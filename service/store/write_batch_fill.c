/* Which of the waiting writes go into a batch. */
#include "driver/clock.h"
#include "store/write_connection.h"

enum {
    BATCH_FULL_BYTES = 1 << 20, /* a batch takes no further row beyond this */
    HTTP_CHANGES_MAX = 32,      /* of a batch: their states come back */
};

static bool is_change(const struct pending_write *pending_write)
{
    return pending_write->kind == WRITE_COMMAND && pending_write->command.kind != COMMAND_CREATE;
}

static bool needs_id(const struct pending_write *pending_write)
{
    return pending_write->kind == WRITE_COMMAND && pending_write->command.kind == COMMAND_CREATE;
}

static bool has_room(const struct write_batch *batch, size_t rows_max)
{
    return batch->rows_len < rows_max && batch_bytes(batch->connection->pool->shared->batch) < BATCH_FULL_BYTES;
}

static enum status add_row(struct write_batch *batch, struct pending_write *pending_write)
{
    batch->rows[batch->rows_len++] = pending_write;
    pending_write->schedule_id = needs_id(pending_write) ? batch->connection->id_next++ : pending_write->command.schedule_id;
    pending_write->is_repeat = false;
    pending_write->state = (struct slice){NULL, 0};
    return batch_add(batch->connection->pool->shared->batch, pending_write, pending_write->schedule_id);
}

/* A command below its partition's offset was completed by another consumer or by an earlier try of ours; one below the batch's
 * offset is in that batch, and was read a second time after the partition was assigned again. */
static bool is_complete(const struct pending_write *pending_write)
{
    const struct partition *partition = pending_write->partition;
    return pending_write->offset < partition->next_offset || pending_write->offset < partition->sent_next;
}

static void note_sent(struct write_batch *batch, struct partition *partition, int64_t expected)
{
    batch->partitions[batch->partitions_len++] = partition;
    partition->sent_batches++;
    partition->sent_in = batch;
    batch_add_offset(batch->connection->pool->shared->batch, partition, expected, partition->sent_next);
}

/* Moves writes of the partition into the batch while there is room. What is under way already has to be stored before: the offset that is
 * expected is the one behind it, so that without it nothing of this batch is stored either. */
static enum status fill_from(struct write_batch *batch, struct partition *partition, size_t rows_max)
{
    struct write_pool *pool = batch->connection->pool;
    enum status status = STATUS_OK;
    size_t before = batch->rows_len;
    int64_t expected = partition->sent_batches > 0 ? partition->sent_next : partition->next_offset;
    while (status == STATUS_OK && partition->waiting.first != NULL && has_room(batch, rows_max)) {
        if (is_complete(partition->waiting.first)) {
            struct pending_write *pending_write = write_pool_take(pool, partition);
            pending_write->schedule_id = 0;
            write_pool_complete(pool, pending_write, STATUS_DUPLICATE);
            continue;
        }
        if (needs_id(partition->waiting.first) && !write_connection_has_id(batch->connection)) break;
        struct pending_write *pending_write = write_pool_take(pool, partition);
        if (partition->sent_next == 0) partition->sent_us = pending_write->submitted_us;
        partition->sent_next = pending_write->offset + 1;
        status = add_row(batch, pending_write);
    }
    write_pool_rotate(pool, partition);
    if (batch->rows_len > before) note_sent(batch, partition, expected);
    return status;
}

static enum status fill_from_partitions(struct write_batch *batch, bool only_own)
{
    const struct write_connection *connection = batch->connection;
    int64_t now_us = clock_steady_us();
    size_t rows_max = BATCH_ROWS_MAX;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && has_room(batch, rows_max)) {
        size_t before = batch->rows_len;
        struct partition *partition = write_pool_next_partition(connection->pool, batch, only_own, now_us);
        if (partition == NULL) break;
        if (partition->hold.is_alone && (before > 0 || batch != connection->batches[0])) break;
        if (partition->hold.is_alone) {
            batch->is_alone = true;
            batch->is_patient = hold_has_failed(&partition->hold);
            rows_max = partition->rows_max;
        }
        status = fill_from(batch, partition, rows_max);
        if (batch->is_alone || (batch->rows_len == before && partition->waiting.first != NULL)) break;
    }
    return status;
}

static enum status fill_from_http(struct write_batch *batch)
{
    struct write_pool *pool = batch->connection->pool;
    size_t changes = 0;
    enum status status = STATUS_OK;
    struct pending_write *alone = write_pool_next_alone(pool, clock_steady_us());
    if (alone != NULL) {
        batch->is_alone = true;
        batch->is_patient = hold_has_failed(&alone->hold);
        return add_row(batch, alone);
    }
    while (status == STATUS_OK && has_room(batch, BATCH_ROWS_MAX) && changes < HTTP_CHANGES_MAX &&
           write_connection_has_id(batch->connection)) {
        struct pending_write *pending_write = write_pool_take_fresh(pool);
        if (pending_write == NULL) break;
        changes += is_change(pending_write);
        status = add_row(batch, pending_write);
    }
    return status;
}

enum status write_batch_fill(struct write_batch *batch, bool only_own)
{
    return batch->connection->pool->purpose == WRITE_HTTP ? fill_from_http(batch) : fill_from_partitions(batch, only_own);
}
