/* Happy path: one call of the database for the whole batch, which is one transaction.
 *
 * Failure modes: an entry that the database refuses (SQLSTATE 22, 23): the batch is halved until it is alone. A deadlock or a
 * conflict with other writers (40): again. One that names what is being removed (SS003): the batch is halved too, as the removal may have begun in it,
 * and the entry waits alone. Everything else, a lost connection too, ends the import. */
#include "app/commands/import_batch.h"

#include <stdlib.h>
#include <string.h>

#include "app/commands/removal.h"
#include "codec/directory_codec.h"

static const char apply_sql[] = "SELECT apply_entries(ARRAY(SELECT * FROM json_array_elements($1::json)), now())";

void import_batch_init(struct import_batch *batch)
{
    buf_init(&batch->texts, IMPORT_BATCH_BYTES_MAX + DIRECTORY_ENTRY_BYTES_MAX);
    buf_init(&batch->sent, IMPORT_BATCH_BYTES_MAX + DIRECTORY_ENTRY_BYTES_MAX + IMPORT_BATCH_MAX);
}

void import_batch_done(struct import_batch *batch)
{
    buf_done(&batch->texts);
    buf_done(&batch->sent);
}

bool import_batch_add(struct import_batch *batch, const struct directory_entry *entry, int64_t line)
{
    directory_write_json(&batch->texts, entry);
    batch->lines[batch->len++] = (struct import_line){line, batch->texts.len};
    return !batch->texts.failed;
}

bool import_batch_is_full(const struct import_batch *batch)
{
    return batch->len == IMPORT_BATCH_MAX || batch->texts.len >= IMPORT_BATCH_BYTES_MAX;
}

static PGresult *send_lines(struct import_batch *batch, size_t from, size_t to)
{
    buf_clear(&batch->sent);
    for (size_t i = from; i < to; i++) {
        size_t start = i == 0 ? 0 : batch->lines[i - 1].end;
        buf_append_char(&batch->sent, i == from ? '[' : ',');
        buf_append(&batch->sent, batch->texts.data + start, batch->lines[i].end - start);
    }
    buf_append(&batch->sent, "]", 2);
    if (batch->sent.failed) return NULL;
    bool alone = to - from == 1;
    return (alone ? removal_try : database_try)(batch->db, apply_sql, 1, &(const char *){batch->sent.data});
}

enum answer { ANSWER_APPLIED, ANSWER_REFUSED, ANSWER_FAILED };

/* The answer for lines [from, to); its message is in *ret_result where it is not applied. The caller clears the result. */
static enum answer try_lines(struct import_batch *batch, size_t from, size_t to, PGresult **ret_result)
{
    *ret_result = send_lines(batch, from, to);
    if (PQresultStatus(*ret_result) == PGRES_TUPLES_OK) return ANSWER_APPLIED;
    const char *sqlstate = PQresultErrorField(*ret_result, PG_DIAG_SQLSTATE);
    bool is_data = sqlstate != NULL && (strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0);
    bool waits = to - from > 1 && database_failed_with(*ret_result, "SS003");
    return is_data || waits ? ANSWER_REFUSED : ANSWER_FAILED;
}

static bool apply_lines(struct import_batch *batch, size_t from, size_t to)
{
    PGresult *result;
    enum answer answer = try_lines(batch, from, to, &result);
    if (answer == ANSWER_APPLIED) {
        int64_t changed = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        batch->changed += changed;
        batch->unchanged += (int64_t)(to - from) - changed;
    } else if (answer == ANSWER_FAILED) {
        database_fail("%s", PQerrorMessage(batch->db));
    } else if (to - from == 1) {
        batch->refused(batch->ctx, batch->lines[from].number, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    }
    PQclear(result);
    if (answer != ANSWER_REFUSED || to - from == 1) return answer != ANSWER_FAILED;
    size_t half = from + (to - from) / 2;
    return apply_lines(batch, from, half) && apply_lines(batch, half, to);
}

bool import_batch_apply(struct import_batch *batch)
{
    bool ok = batch->len == 0 || apply_lines(batch, 0, batch->len);
    batch->len = 0;
    buf_clear(&batch->texts);
    return ok;
}
