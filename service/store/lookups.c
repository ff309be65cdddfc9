#include "store/lookups.h"

#include <stdlib.h>

#include "driver/pg_array.h"

/* In the order of the statement's parameters. */
enum column { KEY_HASH, CLIENT_ID, ORG_ID, TEAM_ID, USER_ID, COLUMNS };

_Static_assert((int)COLUMNS == LOOKUPS_PARAMS, "each column is a parameter");

static const enum pg_oid column_types[COLUMNS] = {
    [KEY_HASH] = PG_OID_BYTEA, [CLIENT_ID] = PG_OID_TEXT, [ORG_ID] = PG_OID_INT8,
    [TEAM_ID] = PG_OID_INT8,   [USER_ID] = PG_OID_INT8,
};

enum { COLUMN_BYTES_MAX = 1 << 20 };

struct lookups {
    struct pg_array columns[COLUMNS];
    size_t len;
    struct {
        access_done *done;
        void *ctx;
    } askers[LOOKUPS_MAX];
};

struct lookups *lookups_new(void)
{
    struct lookups *lookups = calloc(1, sizeof(*lookups));
    if (lookups == NULL) return NULL;
    for (int i = 0; i < COLUMNS; i++) {
        buf_init(&lookups->columns[i].bytes, COLUMN_BYTES_MAX);
        pg_array_start(&lookups->columns[i], column_types[i]);
    }
    return lookups;
}

void lookups_free(struct lookups *lookups)
{
    if (lookups == NULL) return;
    for (int i = 0; i < COLUMNS; i++) buf_done(&lookups->columns[i].bytes);
    free(lookups);
}

size_t lookups_len(const struct lookups *lookups)
{
    return lookups->len;
}

static bool is_short(const struct lookups *lookups)
{
    bool failed = false;
    for (int i = 0; i < COLUMNS; i++) failed = failed || lookups->columns[i].bytes.failed;
    return failed;
}

bool lookups_add(struct lookups *lookups, const struct access_query *query, access_done *done, void *ctx)
{
    struct pg_array *columns = lookups->columns;
    pg_array_add_if(&columns[KEY_HASH], query->key_hash != NULL,
                    (struct slice){(const char *)query->key_hash, ACCESS_HASH_LEN});
    pg_array_add_if(&columns[CLIENT_ID], query->client_id != NULL, slice_of(query->client_id));
    pg_array_add_int8(&columns[ORG_ID], query->org_id);
    pg_array_add_int8(&columns[TEAM_ID], query->team_id);
    pg_array_add_int8(&columns[USER_ID], query->user_id);
    if (is_short(lookups)) return false;
    lookups->askers[lookups->len].done = done;
    lookups->askers[lookups->len].ctx = ctx;
    lookups->len++;
    return true;
}

bool lookups_params(struct lookups *lookups, struct pg_param params[LOOKUPS_PARAMS])
{
    return pg_array_params(lookups->columns, COLUMNS, params);
}

void lookups_settle(const struct lookups *lookups, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    for (size_t i = 0; i < lookups->len; i++) {
        struct access_facts facts = {0};
        if (status == STATUS_OK) access_facts_read(result, (int)i, &facts);
        lookups->askers[i].done(lookups->askers[i].ctx, status, &facts);
    }
}
