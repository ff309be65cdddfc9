/* What is in the directory. An empty name is of one that is known from others alone so far. */
#include "app/commands/handlers.h"
#include "app/commands/rows.h"

int org_list_command(const struct command_call *call)
{
    return rows_print_query(call->db, "SELECT id, name FROM organizations ORDER BY id", 0, NULL);
}

int user_list_command(const struct command_call *call)
{
    return rows_print_query(call->db, "SELECT id, name, time_zone FROM users ORDER BY id", 0, NULL);
}

/* The members and teams of an organization that is being removed are there for a while, and are not shown. */
int member_list_command(const struct command_call *call)
{
    return rows_print_query(call->db,
                            "SELECT m.org_id AS org, m.user_id AS user, u.name, lower(m.role::text) AS role"
                            " FROM memberships m JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.org_id"
                            " WHERE m.org_id = $1::bigint ORDER BY u.id",
                            1, &call->values[OPT_ORG]);
}

int team_list_command(const struct command_call *call)
{
    return rows_print_query(call->db,
                            "SELECT t.id, t.org_id AS org, t.name FROM teams t JOIN organizations o ON o.id = t.org_id"
                            " WHERE t.org_id = $1::bigint ORDER BY t.id",
                            1, &call->values[OPT_ORG]);
}

int team_member_list_command(const struct command_call *call)
{
    return rows_print_query(call->db,
                            "SELECT m.team_id AS team, m.user_id AS user, u.name, lower(m.role::text) AS role"
                            " FROM team_memberships m JOIN users u ON u.id = m.user_id WHERE m.team_id = $1::bigint"
                            " ORDER BY u.id",
                            1, &call->values[OPT_TEAM]);
}
