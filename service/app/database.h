/* A blocking PostgreSQL connection for commands that run once and end. Errors go to standard error as one line. */
#ifndef APP_DATABASE_H
#define APP_DATABASE_H

#include <libpq-fe.h>

/* Connects, or says why not and returns NULL. The caller ends it with PQfinish. */
PGconn *database_connect(const char *url);

/* Runs one statement with text parameters. NULL on an error, which was said. The caller clears the result. */
PGresult *database_query(PGconn *conn, const char *sql, int params_len, const char *const params[]);

#endif
