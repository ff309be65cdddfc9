/* The migrations: plain SQL files of migrations/, compiled into the binary, applied in order and recorded with a checksum. */
#ifndef APP_MIGRATE_H
#define APP_MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

struct migration {
    int64_t version;
    const char *name;
    const char *sql;
};

/* Made at build time from migrations/; ended by version 0. */
extern const struct migration migrations[];

/* The version that a database has when all are applied. */
int64_t migrations_latest(void);

/* Applies what is missing, each file in its own transaction, then grants the roles what they need and makes the replication slot,
 * unless something was written already: then a missing one is an error (see `rebuild` in app/commands/handlers.h). One of several callers works while
 * the others wait and find nothing to do. A recorded file that has changed is an error. Returns the
 * process's exit code. */
int migrate_run(const char *database_url, const char *slot);

#endif
