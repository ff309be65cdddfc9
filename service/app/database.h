/* A blocking PostgreSQL connection for commands that run once and end. What goes wrong is reported on standard error, as one line
 * that begins with "schedule-service: ". */
#ifndef APP_DATABASE_H
#define APP_DATABASE_H

#include <stdbool.h>
#include <libpq-fe.h>

/* Connects, or says why not and returns NULL. The caller ends it with PQfinish. */
PGconn *database_connect(const char *url);

/* Runs one statement with text parameters. NULL on an error, which was said. The caller clears the result. */
PGresult *database_query(PGconn *conn, const char *sql, int params_len, const char *const *params);

/* The same when nothing but success matters. Without parameters the text may hold several statements. */
bool database_execute(PGconn *conn, const char *sql, int params_len, const char *const *params);

/* The same with the result as it is: the caller checks it and clears it. A transaction that another one was in the way of (a
 * deadlock, a conflict) is retried some times. */
PGresult *database_try(PGconn *conn, const char *sql, int params_len, const char *const *params);

/* The result of such a one; or NULL after saying what is wrong with it, and clearing it. */
PGresult *database_check(PGresult *result);

/* Whether the statement failed with this SQLSTATE. */
bool database_failed_with(const PGresult *result, const char *sqlstate);

/* Lets one command at a time change what the service stands on; the others wait. The lock goes with the connection at the latest. */
bool database_lock(PGconn *conn);
bool database_unlock(PGconn *conn);

/* Says what went wrong; returns 1, the exit code. */
int database_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
