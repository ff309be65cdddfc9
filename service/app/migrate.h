/* The `migrate` command: brings a database to this build's schema (app/schema.h). */
#ifndef APP_MIGRATE_H
#define APP_MIGRATE_H

/* Applies what is missing in one transaction: the numbered files, then the functions where their text has changed, then what the roles are
 * granted. Then makes the replication slot, unless something was written already: a missing one is an error then (see `rebuild` in
 * app/commands/handlers.h). One of several callers works while the others wait and find nothing to do. A recorded file that has changed,
 * and a schema of a newer build, are errors that change nothing. Returns the process's exit code. */
int migrate_run(const char *database_url, const char *slot);

#endif
