#include "store/caller_lookup.h"

#include <stdlib.h>

#include "driver/pg_array.h"

/* In the order of the statement's parameters. */
enum column { KEY_HASH, CLIENT_ID, ORG_ID, TEAM_ID, USER_ID, COLUMNS };

_Static_assert((int)COLUMNS == CALLER_LOOKUP_PARAMS, "each column is a parameter");

static const enum pg_oid column_types[COLUMNS] = {
    [KEY_HASH] = PG_OID_BYTEA, [CLIENT_ID] = PG_OID_TEXT, [ORG_ID] = PG_OID_INT8,
    [TEAM_ID] = PG_OID_INT8,   [USER_ID] = PG_OID_INT8,
};

enum { COLUMN_BYTES_MAX = 1 << 20 };

struct caller_lookup {
    struct pg_array columns[COLUMNS];
    size_t len;
    struct {
        caller_done *done;
        void *ctx;
    } askers[CALLER_LOOKUP_MAX];
};

struct caller_lookup *caller_lookup_new(void)
{
    struct caller_lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL) return NULL;
    for (int i = 0; i < COLUMNS; i++) {
        buf_init(&lookup->columns[i].bytes, COLUMN_BYTES_MAX);
        pg_array_start(&lookup->columns[i], column_types[i]);
    }
    return lookup;
}

void caller_lookup_free(struct caller_lookup *lookup)
{
    if (lookup == NULL) return;
    for (int i = 0; i < COLUMNS; i++) buf_done(&lookup->columns[i].bytes);
    free(lookup);
}

size_t caller_lookup_len(const struct caller_lookup *lookup)
{
    return lookup->len;
}

static bool is_short(const struct caller_lookup *lookup)
{
    bool failed = false;
    for (int i = 0; i < COLUMNS; i++) failed = failed || lookup->columns[i].bytes.failed;
    return failed;
}

bool caller_lookup_add(struct caller_lookup *lookup, const struct caller_query *query, caller_done *done, void *ctx)
{
    struct pg_array *columns = lookup->columns;
    pg_array_add_if(&columns[KEY_HASH], query->key_hash != NULL,
                    (struct slice){(const char *)query->key_hash, CALLER_HASH_LEN});
    pg_array_add_if(&columns[CLIENT_ID], query->client_id != NULL, slice_of(query->client_id));
    if (query->is_of_team) pg_array_add_null(&columns[ORG_ID]);
    else pg_array_add_int8(&columns[ORG_ID], query->org_id);
    pg_array_add_int8(&columns[TEAM_ID], query->team_id);
    pg_array_add_int8(&columns[USER_ID], query->user_id);
    if (is_short(lookup)) return false;
    lookup->askers[lookup->len].done = done;
    lookup->askers[lookup->len].ctx = ctx;
    lookup->len++;
    return true;
}

bool caller_lookup_params(struct caller_lookup *lookup, struct pg_param params[CALLER_LOOKUP_PARAMS])
{
    return pg_array_params(lookup->columns, COLUMNS, params);
}

void caller_lookup_complete(const struct caller_lookup *lookup, const PGresult *result)
{
    enum status status = result == NULL ? STATUS_UNAVAILABLE : pg_result_status(result);
    for (size_t i = 0; i < lookup->len; i++) {
        struct caller_facts facts = {0};
        if (status == STATUS_OK) caller_facts_read(result, (int)i, &facts);
        lookup->askers[i].done(lookup->askers[i].ctx, status, &facts);
    }
}
