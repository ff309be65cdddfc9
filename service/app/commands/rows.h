/* How commands show rows: `name=value` for each column, quoted where a shell would need it, a line for each row. */
#ifndef APP_COMMANDS_ROWS_H
#define APP_COMMANDS_ROWS_H

#include <libpq-fe.h>

void rows_print(const PGresult *result, int row);

/* Runs a query and prints its rows as they come: any number of them. Returns the exit code. */
int rows_print_query(PGconn *db, const char *sql, int params_len, const char *const *params);

/* Prints the row of what a statement found by its id, or says that there is no such thing; NULL was an error that was said.
 * Takes the result. Returns the exit code. */
int rows_print_found(PGresult *result, const char *noun, const char *id);

#endif
