/* OAuth clients. A client acts as its organization's owner; its secret is shown once, only its hash is stored. */
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>

#include "app/commands/handlers.h"
#include "app/commands/rows.h"
#include "app/commands/secret.h"
#include "app/database.h"

#define CLIENT_COLUMNS                                                                         \
    "id, org_id AS org, name, concat_ws(',', CASE WHEN permissions & 16 <> 0 THEN 'read' END," \
    " CASE WHEN permissions & 32 <> 0 THEN 'write' END) AS permissions"

static const char create_sql[] =
    "INSERT INTO oauth_clients (id, org_id, secret_hash, name, permissions)"
    " SELECT gen_random_uuid()::text, $1::bigint, decode($2::text, 'hex'), coalesce($3::text, ''),"
    " coalesce(sum(CASE permission WHEN 'read' THEN 16 WHEN 'write' THEN 32 END), 0)"
    " FROM unnest(string_to_array($4::text, ',')) AS given (permission)"
    " RETURNING " CLIENT_COLUMNS;

static const char list_sql[] =
    "SELECT " CLIENT_COLUMNS " FROM oauth_clients WHERE org_id = $1::bigint OR $1::bigint IS NULL ORDER BY org_id, id";

static const char delete_sql[] = "DELETE FROM oauth_clients WHERE id = $1::text RETURNING " CLIENT_COLUMNS;

int oauth_client_create_command(const struct command_call *call)
{
    char secret[SECRET_TEXT_SIZE];
    char hash[SECRET_TEXT_SIZE];
    if (!secret_new(secret, hash)) return 1;
    const char *const params[] = {call->values[OPT_ORG], hash, call->values[OPT_NAME], call->values[OPT_PERMISSIONS]};
    PGresult *result = database_query(call->db, create_sql, 4, params);
    if (result != NULL) {
        printf("secret=%s ", secret);
        rows_print(result, 0);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    PQclear(result);
    return result == NULL ? 1 : 0;
}

int oauth_client_list_command(const struct command_call *call)
{
    return rows_print_query(call->db, list_sql, 1, &call->values[OPT_ORG]);
}

int oauth_client_delete_command(const struct command_call *call)
{
    const char *id = call->values[OPT_CLIENT_ID];
    return rows_print_found(database_query(call->db, delete_sql, 1, &id), "OAuth client", id);
}
