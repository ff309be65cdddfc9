/* Endpoints of webhooks, for who runs the service: their owners have the HTTP API. Of a URL the query is not shown, which may be a secret. */
#include <string.h>

#include "app/commands/handlers.h"
#include "app/commands/rows.h"
#include "app/database.h"

#define AS_ACTIVE " THEN 'yes' ELSE 'no' END AS active"
#define OWNER "coalesce(w.client_id, w.user_id::text, w.org_id::text) AS owner"

static const char list_sql[] = "SELECT w.id, w.scope, " OWNER ", split_part(w.subscriber_url, '?', 1) AS url,"
                               " CASE WHEN w.active" AS_ACTIVE ", w.disabled_reason AS disabled"
                               " FROM webhooks w WHERE w.removed_at IS NULL ORDER BY w.scope, 3, w.created_at, w.id";

static const char show_sql[] =
    "SELECT w.id, w.scope, " OWNER
    ", split_part(w.subscriber_url, '?', 1) AS url, array_to_string(w.triggers, ',') AS triggers,"
    " w.format, CASE WHEN w.active" AS_ACTIVE
    ", w.disabled_reason AS disabled, w.disabled_at, w.created_at, s.last_success_at, "
    "coalesce(s.failures, 0) AS failures,"
    " s.first_failure_at, s.last_status, s.last_error, s.lost_from, s.lost_to,"
    " (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.state = 'retrying') AS retrying,"
    " (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.state = 'failed') AS failed,"
    " (SELECT min(d.next_attempt_at) FROM webhook_deliveries d WHERE d.webhook_id = w.id) AS next_attempt_at"
    " FROM webhooks w LEFT JOIN webhook_states s ON s.webhook_id = w.id WHERE w.id = $1::uuid AND w.removed_at IS NULL";

static const char switch_sql[] =
    "SELECT (u.webhook).id, CASE WHEN (u.webhook).active" AS_ACTIVE " FROM update_webhook($1::uuid, NULL, NULL, NULL, "
    "$2::boolean, false, NULL, NULL,"
    " $3::boolean) u WHERE u.verdict = 'stored'";

/* From a time, or from an event: "17.3". */
static const char replay_sql[] =
    "SELECT (c.job).id AS job, (c.job).webhook_id AS id, c.verdict FROM create_webhook_job(gen_random_uuid(), $1::uuid, "
    "'replay',"
    " CASE WHEN $2::text !~ '^[0-9]+\\.[0-9]+$' THEN $2::text::timestamptz END,"
    " CASE WHEN $2::text ~ '^[0-9]+\\.[0-9]+$' THEN $2::text END, $3::timestamptz, NULL, 10) c WHERE c.verdict <> 'missing'";

int webhook_list_command(const struct command_call *call)
{
    return rows_print_query(call->db, list_sql, 0, NULL);
}

int webhook_show_command(const struct command_call *call)
{
    const char *id = call->values[OPT_WEBHOOK_ID];
    return rows_print_found(database_query(call->db, show_sql, 1, &id), "webhook", id);
}

static int switch_webhook(const struct command_call *call, const char *active, const char *restart)
{
    const char *const params[] = {call->values[OPT_WEBHOOK_ID], active, restart};
    return rows_print_found(database_query(call->db, switch_sql, 3, params), "webhook", params[0]);
}

int webhook_disable_command(const struct command_call *call)
{
    return switch_webhook(call, "false", "false");
}

int webhook_enable_command(const struct command_call *call)
{
    return switch_webhook(call, "true", call->values[OPT_FROM_NOW] == NULL ? "false" : "true");
}

int webhook_replay_command(const struct command_call *call)
{
    const char *const params[] = {call->values[OPT_WEBHOOK_ID], call->values[OPT_REPLAY_FROM], call->values[OPT_REPLAY_TO]};
    PGresult *result = database_query(call->db, replay_sql, 3, params);
    bool is_full = result != NULL && PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 2), "limit") == 0;
    if (!is_full) return rows_print_found(result, "webhook", params[0]);
    PQclear(result);
    return database_fail("webhook %s has 10 jobs that have not ended", params[0]);
}
