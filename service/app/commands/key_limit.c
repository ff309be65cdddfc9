/* The rate limits of an API key's own, in place of the configured one. */
#include "app/commands/handlers.h"
#include "app/commands/rows.h"
#include "app/database.h"

#define LIMIT_COLUMNS "api_key_id AS id, name, requests, window_ms / 1000 AS window, block_ms / 1000 AS block"

/* No row where the key has as many as the service looks at. */
static const char set_sql[] =
    "INSERT INTO api_key_limits (api_key_id, name, requests, window_ms, block_ms)"
    " SELECT $1::bigint, $2::text, $3::int, $4::bigint * 1000, $5::bigint * 1000"
    " WHERE (SELECT count(*) FROM api_key_limits WHERE api_key_id = $1::bigint AND name <> $2::text) < 4"
    " ON CONFLICT (api_key_id, name) DO UPDATE"
    " SET requests = excluded.requests, window_ms = excluded.window_ms, block_ms = excluded.block_ms"
    " RETURNING " LIMIT_COLUMNS;

static const char list_sql[] = "SELECT " LIMIT_COLUMNS " FROM api_key_limits WHERE api_key_id = $1::bigint"
                               " OR $1::bigint IS NULL ORDER BY api_key_id, name";

static const char delete_sql[] =
    "DELETE FROM api_key_limits WHERE api_key_id = $1::bigint AND name = $2::text RETURNING " LIMIT_COLUMNS;

int apikey_limit_command(const struct command_call *call)
{
    const char *const params[] = {call->values[OPT_ID], call->values[OPT_NAME], call->values[OPT_REQUESTS],
                                  call->values[OPT_WINDOW], call->values[OPT_BLOCK]};
    PGresult *result = database_query(call->db, set_sql, 5, params);
    if (result == NULL) return 1;
    bool is_set = PQntuples(result) == 1;
    if (is_set) rows_print(result, 0);
    PQclear(result);
    return is_set ? 0 : database_fail("an API key has at most 4 limits");
}

int apikey_limits_command(const struct command_call *call)
{
    return rows_print_query(call->db, list_sql, 1, &call->values[OPT_ID]);
}

int apikey_unlimit_command(const struct command_call *call)
{
    const char *const params[] = {call->values[OPT_ID], call->values[OPT_NAME]};
    return rows_print_found(database_query(call->db, delete_sql, 2, params), "limit", params[1]);
}
