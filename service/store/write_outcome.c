/* What a batch's answer means for each of its writes. The failure modes of the writer are listed in writer.c. */
#include <inttypes.h>
#include <stdlib.h>

#include "driver/failpoint.h"
#include "driver/log.h"
#include "store/write_connection.h"

/* ---- reading ---- */

/* Rows are the writes that have a result to report: repeats, with the original's id, and changes. */
static void read_outcomes(struct write_batch *batch, const PGresult *result)
{
    enum { ORDINAL, VERDICT, SCHEDULE_ID, STATE };
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t ordinal = pg_get_int8(PQgetvalue(result, row, ORDINAL));
        if (ordinal < 1 || ordinal > (int64_t)batch->rows_len) continue;
        struct pending_write *pending_write = batch->rows[ordinal - 1];
        if (pending_write == NULL) continue;
        struct slice verdict = {PQgetvalue(result, row, VERDICT), (size_t)PQgetlength(result, row, VERDICT)};
        pending_write->schedule_id = pg_get_int8(PQgetvalue(result, row, SCHEDULE_ID));
        pending_write->is_repeat = slice_equal(verdict, SLICE("repeat"));
        pending_write->state = (struct slice){PQgetvalue(result, row, STATE), (size_t)PQgetlength(result, row, STATE)};
    }
}

static bool is_class(const char *sqlstate, const char *class)
{
    return strncmp(sqlstate, class, strlen(class)) == 0;
}

/* Resources, shutting down, the disk, read-only: it is not the writes that are to blame. */
static bool is_short_of_something(const char *sqlstate)
{
    return sqlstate[0] == '\0' || is_class(sqlstate, "53") || is_class(sqlstate, "57P") || is_class(sqlstate, "58") ||
           is_class(sqlstate, "25");
}

/* An entry whose user or organization is being removed meanwhile meets a foreign key; it is valid again when that is done. */
static enum status status_of(const struct write_batch *batch, const PGresult *result)
{
    const char *sqlstate = batch->sqlstate;
    if (strcmp(sqlstate, "SS001") == 0) return STATUS_OFFSET_MOVED;
    if (strcmp(sqlstate, "SS002") == 0) return STATUS_INVALID;
    if (strcmp(sqlstate, "23503") == 0 && batch->connection->pool->purpose == WRITE_DIRECTORY) return STATUS_UNAVAILABLE;
    return pg_result_status(result);
}

/* What fails again and again is said once, when its partition waits. */
static void log_failure(const struct write_batch *batch)
{
    bool is_known = batch->outcome == STATUS_INVALID || batch->is_patient;
    LOG_AT(is_known ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "transaction failed", LOG_STR("sqlstate", batch->sqlstate),
           LOG_STR("reason", batch->reason), LOG_INT("rows", batch->rows_len));
}

void write_outcome_forget(struct write_batch *batch)
{
    batch->outcome = STATUS_OK;
    batch->is_short = false;
    batch->sqlstate[0] = '\0';
    free(batch->reason);
    batch->reason = NULL;
}

static void read_failure(struct write_batch *batch, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *reason = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    snprintf(batch->sqlstate, sizeof(batch->sqlstate), "%s", sqlstate == NULL ? "" : sqlstate);
    free(batch->reason);
    batch->reason = strdup(reason == NULL ? "" : reason);
    free(batch->detail);
    batch->detail = strdup(detail == NULL ? "" : detail);
    batch->outcome = status_of(batch, result);
    batch->is_short = batch->outcome == STATUS_UNAVAILABLE && is_short_of_something(batch->sqlstate);
    log_failure(batch);
}

void write_outcome_read(struct write_batch *batch, const PGresult *result)
{
    if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED) return;
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        read_failure(batch, result);
    } else if (PQnfields(result) == WRITE_OUTCOME_FIELDS) {
        read_outcomes(batch, result);
        batch->answer = pg_take_result(batch->connection->pg);
    }
}

/* ---- putting back ---- */

void write_outcome_put_back(struct write_batch *batch)
{
    for (size_t i = batch->rows_len; i > 0; i--) {
        if (batch->rows[i - 1] != NULL) write_pool_put_back(batch->connection->pool, batch->rows[i - 1]);
    }
    write_connection_end_batch(batch);
}

void write_outcome_fail(struct write_batch *batch)
{
    struct write_pool *pool = batch->connection->pool;
    size_t rows_len = batch->rows_len;
    const char *reason = batch->reason == NULL ? "" : batch->reason;
    if (rows_len == 1 && batch->rows[0] != NULL) {
        write_pool_fail_alone(pool, batch->rows[0], batch->sqlstate, reason);
    } else {
        for (size_t i = rows_len; i > 0; i--) {
            if (batch->rows[i - 1] != NULL) write_pool_part(pool, batch->rows[i - 1]);
        }
        if (batch->partitions_len == 1) partition_halve(batch->partitions[0], rows_len);
    }
    write_connection_end_batch(batch);
}

/* ---- completing ---- */

static void complete_stored(struct write_batch *batch)
{
    struct write_pool *pool = batch->connection->pool;
    FAILPOINT("store.after_commit");
    for (size_t i = 0; i < batch->partitions_len; i++) partition_succeed(batch->partitions[i]);
    for (size_t i = 0; i < batch->rows_len; i++) {
        struct pending_write *pending_write = batch->rows[i];
        if (pending_write == NULL) continue;
        if (pending_write->partition != NULL) pending_write->partition->next_offset = pending_write->offset + 1;
        write_pool_complete(pool, pending_write, pending_write->is_repeat ? STATUS_DUPLICATE : STATUS_OK);
    }
    write_connection_end_batch(batch);
}

/* Forward: what was completed elsewhere is dropped when it is taken next. Backward (an operator's reset, a database restored):
 * the consumer has to read again from there, so nothing of the partition may go on. Neither: its row is gone, and is made again when
 * the consumer reads again. */
static void complete_moved(struct write_batch *batch)
{
    for (char *p = batch->detail; p != NULL && *p != '\0';) {
        int64_t ordinal = strtoll(p, &p, 10);
        int64_t stored = *p == ':' ? strtoll(p + 1, &p, 10) : 0;
        if (*p == ',') p++;
        if (ordinal < 1 || ordinal > (int64_t)batch->partitions_len) break;
        struct partition *partition = batch->partitions[ordinal - 1];
        LOG_WARN("stored offset differs", LOG_STR("topic", partition->topic), LOG_INT("partition", partition->number),
                 LOG_INT("expected", partition->next_offset), LOG_INT("stored", stored));
        if (stored <= partition->next_offset) write_pool_drop(batch->connection->pool, partition);
        partition->next_offset = stored;
    }
    write_outcome_put_back(batch);
}

/* The verdicts of migrations/functions/schedules.sql; what follows the word is not looked at. */
static enum status refusal_of(const char *word)
{
    static const struct {
        const char *word;
        enum status status;
    } refusals[] = {
        {"member", STATUS_NOT_A_MEMBER}, {"conflict", STATUS_CONFLICT},     {"missing", STATUS_NOT_FOUND},
        {"owner", STATUS_NOT_THE_OWNER}, {"version", STATUS_OTHER_VERSION}, {"running", STATUS_UNDER_WAY},
        {"limit", STATUS_AT_LIMIT},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (strncmp(word, refusals[i].word, strlen(refusals[i].word)) == 0) return refusals[i].status;
    }
    return STATUS_UNSTORABLE;
}

/* Asks the consumer; a write that is not replaced leaves the batch. */
static void refuse(struct write_batch *batch, size_t row, enum status status)
{
    struct pending_write *pending_write = batch->rows[row];
    if (pending_write == NULL) return;
    pending_write->schedules_max = batch->connection->pool->shared->schedules_max;
    if (pending_write->ops->refuse(pending_write, status)) return;
    batch->rows[row] = NULL;
    write_pool_complete(batch->connection->pool, pending_write, status);
}

static void complete_refused(struct write_batch *batch)
{
    const char *p = batch->detail == NULL ? "" : batch->detail;
    for (char *word = NULL; *p != '\0';) {
        int64_t ordinal = strtoll(p, &word, 10);
        if (ordinal < 1 || ordinal > (int64_t)batch->rows_len || *word != ':') break;
        refuse(batch, (size_t)ordinal - 1, refusal_of(word + 1));
        const char *comma = strchr(word, ',');
        p = comma == NULL ? "" : comma + 1;
    }
    write_outcome_put_back(batch);
}

/* One that is a record already cannot be replaced by another: its partition waits. */
static void complete_unstorable(struct write_batch *batch)
{
    bool is_refused = batch->rows_len == 1 && batch->rows[0] != NULL && batch->rows[0]->kind != WRITE_RECORD;
    if (!is_refused) {
        write_outcome_fail(batch);
        return;
    }
    refuse(batch, 0, STATUS_UNSTORABLE);
    if (batch->partitions_len == 1) partition_goes_on(batch->partitions[0]);
    write_outcome_put_back(batch);
}

void write_outcome_complete(struct write_batch *batch)
{
    switch (batch->outcome) {
    case STATUS_OK: complete_stored(batch); break;
    case STATUS_OFFSET_MOVED: complete_moved(batch); break;
    case STATUS_INVALID: complete_refused(batch); break;
    case STATUS_UNSTORABLE: complete_unstorable(batch); break;
    default: write_outcome_fail(batch); break;
    }
}
