/* API keys. A key is shown once, when it is made; only its hash is stored and nothing can show it again. */
#include <stdint.h>
#include <stdio.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "app/admin_command.h"
#include "source/http_header.h"

enum { KEY_BYTES = 32, KEY_TEXT_SIZE = 2 * KEY_BYTES + 1, HASH_TEXT_SIZE = 2 * SECRET_HASH_LEN + 1 };

#define DEFAULT_DAYS "30"

#define SHOW_TIME(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#define CREATED SHOW_TIME("created_at")
#define EXPIRES SHOW_TIME("expires_at")
#define REVOKED SHOW_TIME("revoked_at")

static void to_hex(const uint8_t *bytes, size_t len, char *ret_text)
{
    for (size_t i = 0; i < len; i++) snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

static bool make_key(char key[static KEY_TEXT_SIZE], char hash_text[static HASH_TEXT_SIZE])
{
    uint8_t random[KEY_BYTES];
    uint8_t hash[SECRET_HASH_LEN];
    if (RAND_priv_bytes(random, sizeof(random)) != 1) return false;
    to_hex(random, sizeof(random), key);
    OPENSSL_cleanse(random, sizeof(random));
    secret_hash((struct slice){key, KEY_TEXT_SIZE - 1}, hash);
    to_hex(hash, sizeof(hash), hash_text);
    return true;
}

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

int apikey_create(PGconn *db, const struct admin_options *options)
{
    char key[KEY_TEXT_SIZE];
    char hash[HASH_TEXT_SIZE];
    const char *days = options->values[OPT_DAYS] == NULL ? DEFAULT_DAYS : options->values[OPT_DAYS];
    const char *note = options->values[OPT_NOTE] == NULL ? "" : options->values[OPT_NOTE];
    if (options->values[OPT_NEVER_EXPIRES] != NULL) days = NULL;
    if (!make_key(key, hash)) return database_fail("no random numbers");
    const char *const params[] = {options->values[OPT_USER], hash, note, days};
    PGresult *result = database_query(db, create_sql, 4, params);
    if (result == NULL) return 1;
    printf("id=%s key=cal_%s user=%s expires=%s\n", PQgetvalue(result, 0, 0), key, PQgetvalue(result, 0, 1),
           PQgetvalue(result, 0, 2));
    PQclear(result);
    OPENSSL_cleanse(key, sizeof(key));
    return 0;
}

int apikey_list(PGconn *db, const struct admin_options *options)
{
    PGresult *result = database_query(db, list_sql, 1, &options->values[OPT_USER]);
    if (result == NULL) return 1;
    for (int row = 0; row < PQntuples(result); row++) admin_print_row(result, row);
    PQclear(result);
    return 0;
}

int apikey_revoke(PGconn *db, const struct admin_options *options)
{
    PGresult *result = database_query(db, revoke_sql, 1, &options->values[OPT_ID]);
    if (result == NULL) return 1;
    bool is_found = PQntuples(result) == 1;
    if (is_found) admin_print_row(result, 0);
    PQclear(result);
    return is_found ? 0 : database_fail("there is no API key with id %s", options->values[OPT_ID]);
}
