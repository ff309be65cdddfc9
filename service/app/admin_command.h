/* What the files of the admin commands share: their options and their way to the database. */
#ifndef APP_ADMIN_COMMAND_H
#define APP_ADMIN_COMMAND_H

#include <stdbool.h>
#include <libpq-fe.h>

enum admin_option { OPT_NAME, OPT_ID, OPT_ORG, OPT_USER, OPT_ROLE, OPT_NOTE, OPT_DAYS, OPT_NEVER_EXPIRES, OPTIONS_LEN };

/* An option that was not given is NULL; ids and days are decimal numbers above zero. */
struct admin_options {
    const char *values[OPTIONS_LEN];
};

/* ---- app/admin_db.c ---- */

/* Executes one statement with text parameters. NULL when it fails; the reason was printed. The caller clears the result. */
PGresult *admin_query(PGconn *db, const char *sql, int params_len, const char *const *params);

/* The same when nothing but success matters. */
bool admin_execute(PGconn *db, const char *sql, int params_len, const char *const *params);

/* Prints `name=value` for each column of a row, quoted where a shell would need it on one line. */
void admin_print_row(const PGresult *result, int row);

/* Prints "schedule-service: ..." on standard error; returns 1. */
int admin_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- the commands; each returns the exit status ---- */

int org_add(PGconn *db, const struct admin_options *options);
int user_add(PGconn *db, const struct admin_options *options);
int member_add(PGconn *db, const struct admin_options *options);
int apikey_create(PGconn *db, const struct admin_options *options);
int apikey_list(PGconn *db, const struct admin_options *options);
int apikey_revoke(PGconn *db, const struct admin_options *options);

#endif
