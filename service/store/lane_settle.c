/* What a batch's answer means for each of its writes. The failure modes of the writer are told in writer.c. */
#include <inttypes.h>
#include <stdlib.h>

#include "driver/failpoint.h"
#include "driver/log.h"
#include "store/lane.h"

enum { STATES_BYTES_MAX = 64 << 20 };

static struct write *nth(const struct queue *queue, int64_t ordinal)
{
    struct write *write = queue->first;
    for (; write != NULL && ordinal > 1; ordinal--) write = write->next;
    return write;
}

void lane_forget_states(struct lane *lane)
{
    arena_free(lane->states);
    lane->states = NULL;
}

/* A copy that lives until the batch is settled. Without memory the answer counts as lost: the batch is sent again, and a repeat tells
 * the states anew. */
static void keep_state(struct lane *lane, struct write *write, struct slice state)
{
    if (lane->states == NULL) lane->states = arena_new(STATES_BYTES_MAX);
    if (lane->states != NULL) write->state = arena_copy(lane->states, state);
    if (write->state.data == NULL) lane->outcome = STATUS_NO_MEMORY;
}

/* Rows are the writes of which there is something to tell: repeats, with the original's id, and changes. */
static void read_outcomes(struct lane *lane, const PGresult *result)
{
    enum { ORDINAL, VERDICT, SCHEDULE_ID, STATE };
    for (int row = 0; row < PQntuples(result); row++) {
        struct write *write = nth(&lane->sent, pg_get_int8(PQgetvalue(result, row, ORDINAL)));
        struct slice verdict = {PQgetvalue(result, row, VERDICT), (size_t)PQgetlength(result, row, VERDICT)};
        struct slice state = {PQgetvalue(result, row, STATE), (size_t)PQgetlength(result, row, STATE)};
        if (write == NULL) continue;
        write->schedule_id = pg_get_int8(PQgetvalue(result, row, SCHEDULE_ID));
        write->is_repeat = slice_equal(verdict, SLICE("repeat"));
        if (state.len > 0) keep_state(lane, write, state);
    }
}

static void read_failure(struct lane *lane, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    lane->outcome = pg_result_status(result);
    if (sqlstate != NULL && strcmp(sqlstate, "SS001") == 0) lane->outcome = STATUS_OFFSET_MOVED;
    if (sqlstate != NULL && strcmp(sqlstate, "SS002") == 0) lane->outcome = STATUS_INVALID;
    free(lane->detail);
    lane->detail = strdup(detail == NULL ? "" : detail);
    LOG_AT(lane->outcome == STATUS_INVALID ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "transaction failed",
           LOG_STR("sqlstate", sqlstate == NULL ? "" : sqlstate),
           LOG_STR("reason", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)), LOG_INT("rows", lane->sent.len));
}

void lane_read_result(struct lane *lane, const PGresult *result)
{
    if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED) return;
    if (PQresultStatus(result) == PGRES_TUPLES_OK) read_outcomes(lane, result);
    else read_failure(lane, result);
}

static void settle(struct write *write, enum status status)
{
    write->ops->done(write, status);
}

static void settle_stored(struct lane *lane)
{
    FAILPOINT("store.after_commit");
    lane->rows_max = lane->rows_max * 2 < BATCH_ROWS_MAX ? lane->rows_max * 2 : BATCH_ROWS_MAX;
    lane->retry_ms = 0;
    queue_clear_sent_offsets(&lane->sent);
    for (struct write *write; (write = queue_take(&lane->sent)) != NULL;) {
        if (write->partition != NULL) write->partition->next_offset = write->offset + 1;
        settle(write, write->is_repeat ? STATUS_DUPLICATE : STATUS_OK);
    }
    lane_forget_states(lane);
}

/* The ordinal-th different partition of the batch, counted as add_offsets counted them. */
static struct partition *nth_partition(const struct queue *queue, int64_t ordinal)
{
    for (const struct write *write = queue->first; write != NULL; write = write->next) {
        const struct write *earlier = queue->first;
        while (earlier != write && earlier->partition != write->partition) earlier = earlier->next;
        if (earlier == write && --ordinal == 0) return write->partition;
    }
    return NULL;
}

void lane_drop_partition(struct lane *lane, const struct partition *partition)
{
    struct queue all = lane->commands;
    lane->commands = (struct queue){0};
    for (struct write *write; (write = queue_take(&all)) != NULL;) {
        if (write->partition == partition) settle(write, STATUS_OFFSET_MOVED);
        else queue_add(&lane->commands, write);
    }
}

/* Forward: what was settled elsewhere is dropped when it is taken next. Backward (an operator's reset, a database restored):
 * the door has to read again from there, so nothing of the partition may go on. Neither: its row is gone, and is made anew when
 * the door reads again. */
static void settle_moved(struct lane *lane)
{
    struct partition *backward[BATCH_ROWS_MAX];
    size_t backward_len = 0;
    for (char *p = lane->detail; p != NULL && *p != '\0';) {
        int64_t ordinal = strtoll(p, &p, 10);
        int64_t stored = *p == ':' ? strtoll(p + 1, &p, 10) : 0;
        struct partition *partition = nth_partition(&lane->sent, ordinal);
        if (*p == ',') p++;
        if (partition == NULL) break;
        if (stored <= partition->next_offset) backward[backward_len++] = partition;
        LOG_WARN("stored offset is another", LOG_STR("topic", partition->topic), LOG_INT("partition", partition->number),
                 LOG_INT("expected", partition->next_offset), LOG_INT("stored", stored));
        partition->next_offset = stored;
    }
    lane_put_back(lane);
    for (size_t i = 0; i < backward_len; i++) lane_drop_partition(lane, backward[i]);
}

/* The verdicts of migrations/0005; what follows the word is not looked at. */
static enum status refusal_of(const char *word)
{
    static const struct {
        const char *word;
        enum status status;
    } refusals[] = {
        {"member", STATUS_NOT_A_MEMBER}, {"conflict", STATUS_CONFLICT},     {"missing", STATUS_NOT_FOUND},
        {"owner", STATUS_NOT_THE_OWNER}, {"version", STATUS_OTHER_VERSION}, {"running", STATUS_UNDER_WAY},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (strncmp(word, refusals[i].word, strlen(refusals[i].word)) == 0) return refusals[i].status;
    }
    return STATUS_UNSTORABLE;
}

/* Asks the doors of refused writes; those that are not replaced leave the batch. */
static void settle_refused(struct lane *lane)
{
    struct queue all = lane->sent;
    const char *p = lane->detail == NULL ? "" : lane->detail;
    int64_t ordinal = 0;
    lane->sent = (struct queue){0};
    for (struct write *write; (write = queue_take(&all)) != NULL;) {
        char *word = NULL;
        bool refused = ++ordinal == strtoll(p, &word, 10);
        if (!refused) {
            queue_add(&lane->sent, write);
            continue;
        }
        enum status status = refusal_of(word + 1);
        const char *comma = strchr(word, ',');
        p = comma == NULL ? "" : comma + 1;
        if (write->ops->refuse(write, status)) queue_add(&lane->sent, write);
        else settle(write, status);
    }
    lane_put_back(lane);
}

static void settle_unstorable(struct lane *lane)
{
    struct write *write = lane->sent.first;
    lane->rows_max = lane->sent.len > 1 ? lane->sent.len / 2 : BATCH_ROWS_MAX;
    bool alone = lane->sent.len == 1;
    if (alone && write->kind == WRITE_RECORD) {
        lane_put_back(lane);
        lane_pause(lane, "the database refuses a rejection or dead letter");
        return;
    }
    if (alone && !write->ops->refuse(write, STATUS_UNSTORABLE)) settle(queue_take(&lane->sent), STATUS_UNSTORABLE);
    lane_put_back(lane);
}

void lane_settle(struct lane *lane)
{
    switch (lane->outcome) {
    case STATUS_OK: settle_stored(lane); break;
    case STATUS_OFFSET_MOVED: settle_moved(lane); break;
    case STATUS_INVALID: settle_refused(lane); break;
    default: settle_unstorable(lane); break;
    }
}
