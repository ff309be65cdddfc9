/* API keys. A key is shown once, when it is made; only its hash is stored and nothing can show it again. */
#include <stdio.h>
#include <openssl/crypto.h>

#include "app/commands/handlers.h"
#include "app/commands/rows.h"
#include "app/commands/secret.h"
#include "app/database.h"

#define DEFAULT_DAYS "30"

#define SHOW_TIME(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#define CREATED SHOW_TIME("created_at")
#define EXPIRES SHOW_TIME("expires_at")
#define REVOKED SHOW_TIME("revoked_at")

static const char create_sql[] =
    "INSERT INTO api_keys (user_id, key_hash, note, expires_at)"
    " VALUES ($1::bigint, decode($2::text, 'hex'), $3::text, now() + make_interval(days => $4::int))"
    " RETURNING id, user_id, coalesce(" EXPIRES ", 'never')";

static const char list_sql[] =
    "SELECT id, user_id AS user, note, " CREATED " AS created, coalesce(" EXPIRES ", 'never') AS expires,"
    " coalesce(" REVOKED ", 'no') AS revoked"
    " FROM api_keys WHERE user_id = $1::bigint OR $1::bigint IS NULL ORDER BY id";

static const char revoke_sql[] = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1::bigint"
                                 " RETURNING id, user_id AS user, " REVOKED " AS revoked";

int apikey_create_command(const struct command_call *call)
{
    char key[SECRET_TEXT_SIZE];
    char hash[SECRET_TEXT_SIZE];
    const char *days = call->values[OPT_DAYS] == NULL ? DEFAULT_DAYS : call->values[OPT_DAYS];
    const char *note = call->values[OPT_NOTE] == NULL ? "" : call->values[OPT_NOTE];
    if (call->values[OPT_DAYS] != NULL && call->values[OPT_NEVER_EXPIRES] != NULL) {
        database_fail("--days and --never-expires exclude each other");
        return 2;
    }
    if (call->values[OPT_NEVER_EXPIRES] != NULL) days = NULL;
    if (!secret_new(key, hash)) return 1;
    const char *const params[] = {call->values[OPT_USER], hash, note, days};
    PGresult *result = database_query(call->db, create_sql, 4, params);
    if (result == NULL) return 1;
    printf("id=%s key=cal_%s user=%s expires=%s\n", PQgetvalue(result, 0, 0), key, PQgetvalue(result, 0, 1),
           PQgetvalue(result, 0, 2));
    PQclear(result);
    OPENSSL_cleanse(key, sizeof(key));
    return 0;
}

int apikey_list_command(const struct command_call *call)
{
    return rows_print_query(call->db, list_sql, 1, &call->values[OPT_USER]);
}

int apikey_revoke_command(const struct command_call *call)
{
    const char *id = call->values[OPT_ID];
    return rows_print_found(database_query(call->db, revoke_sql, 1, &id), "API key", id);
}
