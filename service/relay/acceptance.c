#include "relay/acceptance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/smaller.h"
#include "relay/session.h"

/* ---- what to make of it ---- */

enum verdict acceptance_decide(const struct wal_source *source, const struct progress *progress)
{
    if (progress->timeline == 0 && progress->lsn == 0) return VERDICT_FIRST;
    bool is_ahead = progress->lsn > source->server_end;
    if (progress->timeline == 0) return is_ahead ? VERDICT_SET_BACK : VERDICT_UNMARKED;
    uint64_t end = timeline_end(&source->history, progress->timeline);
    if (end == 0) return VERDICT_FOREIGN_TIMELINE;
    if (source->confirmed > smaller(progress->lsn, end)) return VERDICT_FOREIGN_SLOT;
    if (end != UINT64_MAX) return VERDICT_SWITCHED;
    return is_ahead ? VERDICT_SET_BACK : VERDICT_SAME;
}

/* What was published in part continues only where its commit is shared. */
struct progress acceptance_progress(enum verdict verdict, const struct wal_source *source, const struct progress *progress)
{
    uint64_t end = timeline_end(&source->history, progress->timeline);
    struct progress next = *progress;
    bool is_new = verdict == VERDICT_FIRST || verdict == VERDICT_SET_BACK;
    if (is_new || progress->commit_lsn >= end) next.commit_lsn = next.records = 0;
    if (is_new) next.lsn = source->confirmed;
    if (verdict == VERDICT_UNMARKED && source->confirmed > next.lsn) next.lsn = source->confirmed;
    if (verdict == VERDICT_SWITCHED) next.lsn = smaller(next.lsn, end);
    next.timeline = source->history.timeline;
    if (verdict != VERDICT_SWITCHED || next.final_lsn == 0) next.final_lsn = next.lsn;
    next.final_lsn = smaller(next.final_lsn, next.lsn);
    return next;
}

/* ---- recording the acceptance ---- */

/* Calls the function, whose arguments behind the slot are given; *ret_value takes its result, which is a number or nothing. */
static bool call(const struct acceptance *acceptance, const char *function, const char *arguments, int64_t *ret_value)
{
    char sql[1024];
    PGconn *conn = session_open(acceptance->database_url, false, acceptance->wait_state, acceptance->reason);
    if (conn == NULL) return false;
    char *slot = PQescapeLiteral(conn, acceptance->slot, strlen(acceptance->slot));
    snprintf(sql, sizeof(sql), "SELECT %s(%s, %s)", function, slot == NULL ? "NULL" : slot, arguments);
    PQfreemem(slot);
    PGresult *result = session_query(conn, sql, acceptance->wait_state, acceptance->reason);
    bool ok = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (ok) *ret_value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    else if (result != NULL) error_text_set(acceptance->reason, "%s: %s", function, PQresultErrorMessage(result));
    PQclear(result);
    PQfinish(conn);
    return ok;
}

bool acceptance_record(const struct acceptance *acceptance, const struct wal_source *source, struct progress *progress)
{
    char arguments[64];
    int64_t highest_id = 0;
    snprintf(arguments, sizeof(arguments), "%" PRId32 ", %" PRId64, source->holder, progress->highest_id);
    if (!call(acceptance, "accept_position", arguments, &highest_id)) return false;
    if (progress->highest_id == 0) progress->highest_id = highest_id;
    return true;
}

/* Refusals are our own texts. */
bool acceptance_refuse(const struct acceptance *acceptance, const char *refusal)
{
    char arguments[320];
    int64_t nothing;
    snprintf(arguments, sizeof(arguments), "$refusal$%s$refusal$", refusal);
    return call(acceptance, "refuse_position", arguments, &nothing);
}
