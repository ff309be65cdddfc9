/* Organizations, users and memberships. */
#include "app/admin_command.h"

/* With an explicit id, later automatic ids must come behind it. The lock keeps automatic ids from being drawn between
 * reading the sequence and setting it. */
static PGresult *insert_with_id(PGconn *db, const char *lock_sql, const char *insert_sql, const char *sequence_sql,
                                const struct admin_options *options)
{
    const char *const params[] = {options->values[OPT_NAME], options->values[OPT_ID]};
    PGresult *result = NULL;
    if (!database_execute(db, "BEGIN", 0, NULL)) return NULL;
    if (database_execute(db, lock_sql, 0, NULL)) result = database_query(db, insert_sql, 2, params);
    if (result != NULL && (!database_execute(db, sequence_sql, 1, params + 1) || !database_execute(db, "COMMIT", 0, NULL))) {
        PQclear(result);
        result = NULL;
    }
    return result;
}

static int print_one(PGresult *result)
{
    if (result == NULL) return 1;
    admin_print_row(result, 0);
    PQclear(result);
    return 0;
}

int org_add(PGconn *db, const struct admin_options *options)
{
    if (options->values[OPT_ID] == NULL) {
        return print_one(database_query(db, "INSERT INTO organizations (name) VALUES ($1::text) RETURNING id, name", 1,
                                        &options->values[OPT_NAME]));
    }
    return print_one(
        insert_with_id(db, "LOCK TABLE organizations IN SHARE ROW EXCLUSIVE MODE",
                       "INSERT INTO organizations (name, id) VALUES ($1::text, $2::bigint) RETURNING id, name",
                       "SELECT setval('organizations_id_seq', greatest(last_value, $1::bigint)) FROM organizations_id_seq",
                       options));
}

int user_add(PGconn *db, const struct admin_options *options)
{
    if (options->values[OPT_ID] == NULL) {
        return print_one(database_query(db, "INSERT INTO users (name) VALUES ($1::text) RETURNING id, name", 1,
                                        &options->values[OPT_NAME]));
    }
    return print_one(insert_with_id(db, "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE",
                                    "INSERT INTO users (name, id) VALUES ($1::text, $2::bigint) RETURNING id, name",
                                    "SELECT setval('users_id_seq', greatest(last_value, $1::bigint)) FROM users_id_seq",
                                    options));
}

int member_add(PGconn *db, const struct admin_options *options)
{
    const char *const params[] = {options->values[OPT_ORG], options->values[OPT_USER], options->values[OPT_ROLE]};
    return print_one(database_query(db,
                                    "INSERT INTO memberships (org_id, user_id, role)"
                                    " VALUES ($1::bigint, $2::bigint, upper($3::text)::membership_role)"
                                    " ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role"
                                    " RETURNING org_id AS org, user_id AS user, lower(role::text) AS role",
                                    3, params));
}
