/* What is in the directory. An empty name is of one that is known from others alone so far. */
#include "app/admin_command.h"

int org_list(PGconn *db, const struct admin_options *options)
{
    (void)options;
    return admin_print_query(db, "SELECT id, name FROM organizations ORDER BY id", 0, NULL);
}

int user_list(PGconn *db, const struct admin_options *options)
{
    (void)options;
    return admin_print_query(db, "SELECT id, name, time_zone FROM users ORDER BY id", 0, NULL);
}

int member_list(PGconn *db, const struct admin_options *options)
{
    return admin_print_query(
        db,
        "SELECT m.org_id AS org, m.user_id AS user, u.name, lower(m.role::text) AS role"
        " FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1::bigint ORDER BY u.id",
        1, &options->values[OPT_ORG]);
}

int team_list(PGconn *db, const struct admin_options *options)
{
    return admin_print_query(db, "SELECT id, org_id AS org, name FROM teams WHERE org_id = $1::bigint ORDER BY id", 1,
                             &options->values[OPT_ORG]);
}

int team_member_list(PGconn *db, const struct admin_options *options)
{
    return admin_print_query(db,
                             "SELECT m.team_id AS team, m.user_id AS user, u.name, lower(m.role::text) AS role"
                             " FROM team_memberships m JOIN users u ON u.id = m.user_id WHERE m.team_id = $1::bigint"
                             " ORDER BY u.id",
                             1, &options->values[OPT_TEAM]);
}
