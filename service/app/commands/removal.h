/* Removals of users and organizations, as commands wait for them: whoever waits takes part in the steps (migrations/functions/removals.sql), so that they end
 * without a service too. */
#ifndef APP_COMMANDS_REMOVAL_H
#define APP_COMMANDS_REMOVAL_H

#include "app/database.h"

/* Waits until no removal of this type ("organization", "user") and id is under way, and prints its progress on standard error. False
 * on an error, which was said: the removal then goes on in the service. */
bool removal_await(PGconn *db, const char *type, const char *id);

/* As database_try, but a statement that names what is being removed (SS003) is retried until that has ended. */
PGresult *removal_try(PGconn *db, const char *sql, int params_len, const char *const *params);

#endif
