/* What the files of the admin commands share. */
#ifndef APP_ADMIN_COMMAND_H
#define APP_ADMIN_COMMAND_H

#include "app/database.h"

enum admin_option { OPT_NAME, OPT_ID, OPT_ORG, OPT_USER, OPT_ROLE, OPT_NOTE, OPT_DAYS, OPT_NEVER_EXPIRES, OPTIONS_LEN };

/* An option that was not given is NULL; ids and days are decimal numbers above zero. */
struct admin_options {
    const char *values[OPTIONS_LEN];
};

/* Prints `name=value` for each column of a row, quoted where a shell would need it on one line. */
void admin_print_row(const PGresult *result, int row);

/* ---- the commands; each returns the exit status ---- */

int org_add(PGconn *db, const struct admin_options *options);
int user_add(PGconn *db, const struct admin_options *options);
int member_add(PGconn *db, const struct admin_options *options);
int apikey_create(PGconn *db, const struct admin_options *options);
int apikey_list(PGconn *db, const struct admin_options *options);
int apikey_revoke(PGconn *db, const struct admin_options *options);

#endif
