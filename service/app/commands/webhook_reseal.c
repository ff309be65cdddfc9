/* Seals the secrets of webhooks with the current key, so that a former one can go.
 *
 * Happy path: from the lowest id on, some hundred endpoints that another key has sealed are opened and sealed again, and stored in one transaction;
 * then those behind. Failure modes: an endpoint that changes meanwhile is left for the next pass, which comes until there is none. One whose secret
 * does not open is said and left as it is. A command that ends in between is run again: what is sealed by the current key is not touched. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands/handlers.h"
#include "app/database.h"
#include "core/buf.h"
#include "core/hex.h"
#include "core/uuid.h"

enum {
    BYTEA_SIZE = 2 + 2 * WEBHOOK_SEALED_BYTES_MAX + 1,
    KEY_ID_SIZE = 2 + 2 * WEBHOOK_KEY_ID_LEN + 1,
    ARRAY_BYTES_MAX = 8 << 20
};

#define SEALED_ELSEWHERE(column_) "coalesce(substr(" column_ ", 1, 8) <> $1::bytea, false)"

/* A secret that is null, or of the current key already, is null here. */
static const char find_sql[] = "SELECT id, revision, CASE WHEN " SEALED_ELSEWHERE(
    "secret") " THEN secret END,"
              " CASE WHEN " SEALED_ELSEWHERE(
                  "previous_secret") " THEN previous_secret END FROM webhooks"
                                     " WHERE id > $2::uuid AND (" SEALED_ELSEWHERE("secret") " OR " SEALED_ELSEWHERE(
                                         "previous_secret") ") ORDER BY id LIMIT 500";

static const char store_sql[] = "SELECT reseal_webhooks($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[])";

enum { COLUMN_ID, COLUMN_REVISION, COLUMN_SECRET, COLUMN_PREVIOUS };

/* One pass over all endpoints. */
struct pass {
    const struct command_call *call;
    char last[UUID_TEXT_LEN + 1];
    long long stored;
    long long changed; /* meanwhile, by somebody else */
    long long failed;
};

/* Arrays of one step, as PostgreSQL's texts. */
struct step {
    struct buf ids;
    struct buf revisions;
    struct buf secrets;
    struct buf previous;
    long long len;
};

static void write_bytea(const uint8_t *bytes, size_t len, char *ret_text)
{
    memcpy(ret_text, "\\x", 2);
    hex_format(bytes, len, ret_text + 2);
    ret_text[2 + 2 * len] = '\0';
}

/* The secret of a column, sealed again, as bytea's text; "" where there is nothing to do. False: it does not open. */
static bool seal_again(const struct webhook_keys *keys, const PGresult *rows, int row, int column, char ret_text[BYTEA_SIZE])
{
    struct uuid id;
    size_t sealed_len = 0;
    size_t len = 0;
    char secret[WEBHOOK_SECRET_BYTES_MAX];
    uint8_t again[WEBHOOK_SEALED_BYTES_MAX];
    ret_text[0] = '\0';
    if (PQgetisnull(rows, row, column)) return true;
    unsigned char *sealed = PQunescapeBytea((const unsigned char *)PQgetvalue(rows, row, column), &sealed_len);
    bool is_open =
        sealed != NULL && uuid_parse(slice_of(PQgetvalue(rows, row, COLUMN_ID)), &id) &&
        webhook_secret_open(keys, &id, (struct slice){(const char *)sealed, sealed_len}, secret, &len) == STATUS_OK;
    size_t again_len = is_open ? webhook_secret_seal(keys, &id, (struct slice){secret, len}, again) : 0;
    PQfreemem(sealed);
    OPENSSL_cleanse(secret, sizeof(secret));
    if (again_len > 0) write_bytea(again, again_len, ret_text);
    return again_len > 0;
}

static void add_item(struct buf *array, const char *text, bool is_first)
{
    buf_append_char(array, is_first ? '{' : ',');
    if (text[0] == '\0') buf_append_slice(array, SLICE("NULL"));
    else buf_printf(array, "\"%s%s\"", text[0] == '\\' ? "\\" : "", text);
}

static void add_row(struct pass *pass, struct step *step, const PGresult *rows, int row)
{
    const struct webhook_keys *keys = &pass->call->config->webhook_keys;
    char secret[BYTEA_SIZE];
    char previous[BYTEA_SIZE];
    const char *id = PQgetvalue(rows, row, COLUMN_ID);
    bool is_first = step->len == 0;
    if (!seal_again(keys, rows, row, COLUMN_SECRET, secret) || !seal_again(keys, rows, row, COLUMN_PREVIOUS, previous)) {
        pass->failed++;
        (void)database_fail("a secret of webhook %s does not open: none of the keys sealed it, or it was changed", id);
        return;
    }
    add_item(&step->ids, id, is_first);
    add_item(&step->revisions, PQgetvalue(rows, row, COLUMN_REVISION), is_first);
    add_item(&step->secrets, secret, is_first);
    add_item(&step->previous, previous, is_first);
    step->len++;
}

static const char *end_array(struct buf *array)
{
    buf_append_slice(array, SLICE("}"));
    buf_append_char(array, '\0');
    return array->failed ? "" : array->data;
}

static bool store(struct pass *pass, struct step *step)
{
    if (step->len == 0) return true;
    const char *const params[] = {end_array(&step->ids), end_array(&step->revisions), end_array(&step->secrets),
                                  end_array(&step->previous)};
    PGresult *result = database_query(pass->call->db, store_sql, 4, params);
    if (result == NULL) return false;
    long long stored = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    pass->stored += stored;
    pass->changed += step->len - stored;
    PQclear(result);
    return true;
}

/* False: the command ends, and that was said. */
static bool do_step(struct pass *pass, const char *key_id, bool *ret_is_over)
{
    struct step step = {.len = 0};
    struct buf *const arrays[] = {&step.ids, &step.revisions, &step.secrets, &step.previous};
    const char *const params[] = {key_id, pass->last};
    PGresult *rows = database_query(pass->call->db, find_sql, 2, params);
    if (rows == NULL) return false;
    for (size_t i = 0; i < 4; i++) buf_init(arrays[i], ARRAY_BYTES_MAX);
    for (int row = 0; row < PQntuples(rows); row++) add_row(pass, &step, rows, row);
    *ret_is_over = PQntuples(rows) == 0;
    if (!*ret_is_over) snprintf(pass->last, sizeof(pass->last), "%s", PQgetvalue(rows, PQntuples(rows) - 1, COLUMN_ID));
    PQclear(rows);
    bool ok = store(pass, &step);
    for (size_t i = 0; i < 4; i++) buf_done(arrays[i]);
    return ok;
}

static bool run(struct pass *pass, const char *key_id)
{
    static const char lowest[] = "00000000-0000-0000-0000-000000000000";
    bool is_over = false;
    memcpy(pass->last, lowest, sizeof(lowest));
    pass->changed = pass->failed = 0;
    while (!is_over) {
        if (!do_step(pass, key_id, &is_over)) return false;
    }
    return true;
}

int webhook_reseal_command(const struct command_call *call)
{
    const struct webhook_keys *keys = &call->config->webhook_keys;
    char key_id[KEY_ID_SIZE];
    struct pass pass = {.call = call};
    if (keys->len == 0) return database_fail("WEBHOOK_SECRET_KEY is not set");
    write_bytea(keys->items[0].id, WEBHOOK_KEY_ID_LEN, key_id);
    do {
        if (!run(&pass, key_id)) return 1;
    } while (pass.changed > 0);
    printf("resealed=%lld failed=%lld\n", pass.stored, pass.failed);
    return pass.failed == 0 ? 0 : 1;
}
