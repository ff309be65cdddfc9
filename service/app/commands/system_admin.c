/* System administrators: users who pass every check of a role. */
#include "app/commands/handlers.h"
#include "app/commands/rows.h"
#include "app/database.h"

static const char add_sql[] = "UPDATE users SET is_system_admin = true WHERE id = $1::bigint RETURNING id AS user, name";

static const char list_sql[] = "SELECT id AS user, name FROM users WHERE is_system_admin ORDER BY id";

static const char remove_sql[] = "UPDATE users SET is_system_admin = false WHERE id = $1::bigint AND is_system_admin"
                                 " RETURNING id AS user, name";

int system_admin_add_command(const struct command_call *call)
{
    const char *user = call->values[OPT_USER];
    return rows_print_found(database_query(call->db, add_sql, 1, &user), "user", user);
}

int system_admin_list_command(const struct command_call *call)
{
    return rows_print_query(call->db, list_sql, 0, NULL);
}

int system_admin_remove_command(const struct command_call *call)
{
    const char *user = call->values[OPT_USER];
    return rows_print_found(database_query(call->db, remove_sql, 1, &user), "system administrator", user);
}
