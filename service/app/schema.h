/* The database's schema: the files of migrations/, compiled into the binary. Tables change by numbered files, which are applied once and
 * never change. Functions, views, triggers and grants have one current text, which is applied whenever it has changed. */
#ifndef APP_SCHEMA_H
#define APP_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

struct migration {
    int64_t version;
    const char *name;
    const char *sql;
};

/* In the order of their versions; ended by version 0. */
extern const struct migration migrations[];
extern const int64_t schema_version; /* the last one's */

extern const char schema_functions[];
extern const char schema_functions_checksum[]; /* SHA-256, in hexadecimal */

/* The checksums of the texts that came before this build's, ended by NULL: a database with another one is a newer build's. */
extern const char *const schema_functions_former[];

/* The files that 0001 and the functions replaced: a database that has them is brought to 0001 by schema_upgrade. Ended by version 0. */
struct former_migration {
    int64_t version;
    const char *checksum;
};

extern const struct former_migration former_migrations[];
extern const char schema_upgrade[];

#endif
