/* What the files of the admin commands share. */
#ifndef APP_ADMIN_COMMAND_H
#define APP_ADMIN_COMMAND_H

#include "app/database.h"

enum admin_option {
    OPT_NAME,
    OPT_ID,
    OPT_ORG,
    OPT_USER,
    OPT_ROLE,
    OPT_NOTE,
    OPT_DAYS,
    OPT_NEVER_EXPIRES,
    OPT_TEAM,
    OPT_TIME_ZONE,
    OPT_CLIENT_ID,
    OPT_PERMISSIONS,
    OPT_REQUESTS,
    OPT_WINDOW,
    OPT_BLOCK,
    OPT_NO_WAIT,
    OPTIONS_LEN
};

/* An option that was not given is NULL; but for a client's id, ids, days, requests and times (in seconds) are decimal numbers
 * above zero. */
struct admin_options {
    const char *values[OPTIONS_LEN];
    const char *tzdata; /* where the time zone names are */
};

/* Prints `name=value` for each column of a row, quoted where a shell would need it on one line. */
void admin_print_row(const PGresult *result, int row);

/* Runs a query and prints its rows as they come: any number of them. Returns the exit status. */
int admin_print_query(PGconn *db, const char *sql, int params_len, const char *const *params);

/* Prints the row of what a statement found by its id, or says that there is no such thing; NULL was an error that was said.
 * Takes the result. Returns the exit status. */
int admin_print_found(PGresult *result, const char *noun, const char *id);

/* ---- the commands; each returns the exit status ---- */

int org_add(PGconn *db, const struct admin_options *options);
int org_list(PGconn *db, const struct admin_options *options);
int org_remove(PGconn *db, const struct admin_options *options);
int user_add(PGconn *db, const struct admin_options *options);
int user_list(PGconn *db, const struct admin_options *options);
int user_remove(PGconn *db, const struct admin_options *options);
int member_add(PGconn *db, const struct admin_options *options);
int member_list(PGconn *db, const struct admin_options *options);
int member_remove(PGconn *db, const struct admin_options *options);
int team_add(PGconn *db, const struct admin_options *options);
int team_list(PGconn *db, const struct admin_options *options);
int team_remove(PGconn *db, const struct admin_options *options);
int team_member_add(PGconn *db, const struct admin_options *options);
int team_member_list(PGconn *db, const struct admin_options *options);
int team_member_remove(PGconn *db, const struct admin_options *options);
int apikey_create(PGconn *db, const struct admin_options *options);
int apikey_list(PGconn *db, const struct admin_options *options);
int apikey_revoke(PGconn *db, const struct admin_options *options);
int apikey_limit(PGconn *db, const struct admin_options *options);
int apikey_limits(PGconn *db, const struct admin_options *options);
int apikey_unlimit(PGconn *db, const struct admin_options *options);
int oauth_client_create(PGconn *db, const struct admin_options *options);
int oauth_client_list(PGconn *db, const struct admin_options *options);
int oauth_client_delete(PGconn *db, const struct admin_options *options);
int system_admin_add(PGconn *db, const struct admin_options *options);
int system_admin_list(PGconn *db, const struct admin_options *options);
int system_admin_remove(PGconn *db, const struct admin_options *options);

#endif
