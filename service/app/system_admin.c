/* System administrators: users who pass every check of a role. */
#include "app/admin_command.h"

static const char add_sql[] = "UPDATE users SET is_system_admin = true WHERE id = $1::bigint RETURNING id AS user, name";

static const char list_sql[] = "SELECT id AS user, name FROM users WHERE is_system_admin ORDER BY id";

static const char remove_sql[] = "UPDATE users SET is_system_admin = false WHERE id = $1::bigint AND is_system_admin"
                                 " RETURNING id AS user, name";

int system_admin_add(PGconn *db, const struct admin_options *options)
{
    const char *user = options->values[OPT_USER];
    return admin_print_found(database_query(db, add_sql, 1, &user), "user", user);
}

int system_admin_list(PGconn *db, const struct admin_options *options)
{
    (void)options;
    return admin_print_query(db, list_sql, 0, NULL);
}

int system_admin_remove(PGconn *db, const struct admin_options *options)
{
    const char *user = options->values[OPT_USER];
    return admin_print_found(database_query(db, remove_sql, 1, &user), "system administrator", user);
}
