/* What a batch's answer means for each of its writes. The failure modes of the writer are listed in writer.c. */
#include <inttypes.h>
#include <stdlib.h>

#include "driver/failpoint.h"
#include "driver/log.h"
#include "store/write_connection.h"

/* ---- reading ---- */

/* Rows are the writes that have a result to report: repeats, with the original's id, and changes. */
static void read_outcomes(struct write_connection *connection, const PGresult *result)
{
    enum { ORDINAL, VERDICT, SCHEDULE_ID, STATE };
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t ordinal = pg_get_int8(PQgetvalue(result, row, ORDINAL));
        if (ordinal < 1 || ordinal > (int64_t)connection->rows_len) continue;
        struct write *write = connection->rows[ordinal - 1];
        if (write == NULL) continue;
        struct slice verdict = {PQgetvalue(result, row, VERDICT), (size_t)PQgetlength(result, row, VERDICT)};
        write->schedule_id = pg_get_int8(PQgetvalue(result, row, SCHEDULE_ID));
        write->is_repeat = slice_equal(verdict, SLICE("repeat"));
        write->state = (struct slice){PQgetvalue(result, row, STATE), (size_t)PQgetlength(result, row, STATE)};
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
static enum status status_of(const struct write_connection *connection, const PGresult *result)
{
    const char *sqlstate = connection->sqlstate;
    if (strcmp(sqlstate, "SS001") == 0) return STATUS_OFFSET_MOVED;
    if (strcmp(sqlstate, "SS002") == 0) return STATUS_INVALID;
    if (strcmp(sqlstate, "23503") == 0 && connection->pool->purpose == WRITE_DIRECTORY) return STATUS_UNAVAILABLE;
    return pg_result_status(result);
}

/* What fails again and again is said once, when its partition waits. */
static void log_failure(const struct write_connection *connection)
{
    bool is_known = connection->outcome == STATUS_INVALID || connection->is_patient;
    LOG_AT(is_known ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "transaction failed", LOG_STR("sqlstate", connection->sqlstate),
           LOG_STR("reason", connection->reason), LOG_INT("rows", connection->rows_len));
}

static void read_failure(struct write_connection *connection, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *reason = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    snprintf(connection->sqlstate, sizeof(connection->sqlstate), "%s", sqlstate == NULL ? "" : sqlstate);
    free(connection->reason);
    connection->reason = strdup(reason == NULL ? "" : reason);
    free(connection->detail);
    connection->detail = strdup(detail == NULL ? "" : detail);
    connection->outcome = status_of(connection, result);
    connection->is_short = connection->outcome == STATUS_UNAVAILABLE && is_short_of_something(connection->sqlstate);
    log_failure(connection);
}

void write_outcome_read(struct write_connection *connection, const PGresult *result)
{
    if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED) return;
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        read_failure(connection, result);
    } else if (PQnfields(result) == WRITE_OUTCOME_FIELDS) {
        read_outcomes(connection, result);
        connection->answer = pg_take_result(connection->pg);
    }
}

/* ---- putting back ---- */

void write_outcome_put_back(struct write_connection *connection)
{
    for (size_t i = connection->rows_len; i > 0; i--) {
        if (connection->rows[i - 1] != NULL) write_pool_put_back(connection->pool, connection->rows[i - 1]);
    }
    write_connection_end_batch(connection);
}

void write_outcome_fail(struct write_connection *connection)
{
    struct write_pool *pool = connection->pool;
    size_t rows_len = connection->rows_len;
    const char *reason = connection->reason == NULL ? "" : connection->reason;
    if (rows_len == 1 && connection->rows[0] != NULL) {
        write_pool_fail_alone(pool, connection->rows[0], connection->sqlstate, reason);
    } else {
        for (size_t i = rows_len; i > 0; i--) {
            if (connection->rows[i - 1] != NULL) write_pool_part(pool, connection->rows[i - 1]);
        }
        if (connection->partitions_len == 1) partition_halve(connection->partitions[0], rows_len);
    }
    write_connection_end_batch(connection);
}

/* ---- completing ---- */

static void complete_stored(struct write_connection *connection)
{
    struct write_pool *pool = connection->pool;
    FAILPOINT("store.after_commit");
    for (size_t i = 0; i < connection->partitions_len; i++) partition_succeed(connection->partitions[i]);
    for (size_t i = 0; i < connection->rows_len; i++) {
        struct write *write = connection->rows[i];
        if (write == NULL) continue;
        if (write->partition != NULL) write->partition->next_offset = write->offset + 1;
        write_pool_complete(pool, write, write->is_repeat ? STATUS_DUPLICATE : STATUS_OK);
    }
    write_connection_end_batch(connection);
}

/* Forward: what was completed elsewhere is dropped when it is taken next. Backward (an operator's reset, a database restored):
 * the consumer has to read again from there, so nothing of the partition may go on. Neither: its row is gone, and is made again when
 * the consumer reads again. */
static void complete_moved(struct write_connection *connection)
{
    for (char *p = connection->detail; p != NULL && *p != '\0';) {
        int64_t ordinal = strtoll(p, &p, 10);
        int64_t stored = *p == ':' ? strtoll(p + 1, &p, 10) : 0;
        if (*p == ',') p++;
        if (ordinal < 1 || ordinal > (int64_t)connection->partitions_len) break;
        struct partition *partition = connection->partitions[ordinal - 1];
        LOG_WARN("stored offset differs", LOG_STR("topic", partition->topic), LOG_INT("partition", partition->number),
                 LOG_INT("expected", partition->next_offset), LOG_INT("stored", stored));
        if (stored <= partition->next_offset) write_pool_drop(connection->pool, partition);
        partition->next_offset = stored;
    }
    write_outcome_put_back(connection);
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
static void refuse(struct write_connection *connection, size_t row, enum status status)
{
    struct write *write = connection->rows[row];
    if (write == NULL) return;
    write->schedules_max = connection->pool->shared->schedules_max;
    if (write->ops->refuse(write, status)) return;
    connection->rows[row] = NULL;
    write_pool_complete(connection->pool, write, status);
}

static void complete_refused(struct write_connection *connection)
{
    const char *p = connection->detail == NULL ? "" : connection->detail;
    for (char *word = NULL; *p != '\0';) {
        int64_t ordinal = strtoll(p, &word, 10);
        if (ordinal < 1 || ordinal > (int64_t)connection->rows_len || *word != ':') break;
        refuse(connection, (size_t)ordinal - 1, refusal_of(word + 1));
        const char *comma = strchr(word, ',');
        p = comma == NULL ? "" : comma + 1;
    }
    write_outcome_put_back(connection);
}

/* One that is a record already cannot be replaced by another: its partition waits. */
static void complete_unstorable(struct write_connection *connection)
{
    bool is_refused = connection->rows_len == 1 && connection->rows[0] != NULL && connection->rows[0]->kind != WRITE_RECORD;
    if (!is_refused) {
        write_outcome_fail(connection);
        return;
    }
    refuse(connection, 0, STATUS_UNSTORABLE);
    if (connection->partitions_len == 1) partition_goes_on(connection->partitions[0]);
    write_outcome_put_back(connection);
}

void write_outcome_complete(struct write_connection *connection)
{
    switch (connection->outcome) {
    case STATUS_OK: complete_stored(connection); break;
    case STATUS_OFFSET_MOVED: complete_moved(connection); break;
    case STATUS_INVALID: complete_refused(connection); break;
    case STATUS_UNSTORABLE: complete_unstorable(connection); break;
    default: write_outcome_fail(connection); break;
    }
}
