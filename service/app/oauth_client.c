/* OAuth clients. A client acts as its organization's owner; its secret is shown once, only its hash is stored. */
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>

#include "app/admin_command.h"
#include "app/secret.h"

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

int oauth_client_create(PGconn *db, const struct admin_options *options)
{
    char secret[SECRET_TEXT_SIZE];
    char hash[SECRET_TEXT_SIZE];
    if (!secret_new(secret, hash)) return 1;
    const char *const params[] = {options->values[OPT_ORG], hash, options->values[OPT_NAME],
                                  options->values[OPT_PERMISSIONS]};
    PGresult *result = database_query(db, create_sql, 4, params);
    if (result != NULL) {
        printf("secret=%s ", secret);
        admin_print_row(result, 0);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    PQclear(result);
    return result == NULL ? 1 : 0;
}

int oauth_client_list(PGconn *db, const struct admin_options *options)
{
    return admin_print_query(db, list_sql, 1, &options->values[OPT_ORG]);
}

int oauth_client_delete(PGconn *db, const struct admin_options *options)
{
    const char *id = options->values[OPT_CLIENT_ID];
    return admin_print_found(database_query(db, delete_sql, 1, &id), "OAuth client", id);
}
