/* The subcommands: one row of a table each. A command is one file in app/commands/ and one row in app/commands/table.c. */
#ifndef APP_COMMAND_H
#define APP_COMMAND_H

#include <libpq-fe.h>

#include "app/config.h"

/* Two options may bear one name where no command knows both. */
enum command_option {
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
    OPT_PARTITIONS,
    OPT_REPLICATION_FACTOR,
    OPT_MIN_INSYNC_REPLICAS,
    OPT_TOPIC,
    OPT_PARTITION,
    OPT_TO_OFFSET,
    OPT_AFTER,
    OPT_SCHEDULE,
    OPT_TABLE,
    OPT_FROM,
    OPT_TO,
    OPT_WEBHOOK_ID,
    OPT_FROM_NOW,
    OPT_REPLAY_FROM,
    OPT_REPLAY_TO,
    OPTIONS_LEN
};

#define OPTION_BIT(option) (1U << (option))

/* What a command gets: values has NULL for an option that was not given, "" for a flag, and a text that fits the option's kind
 * (app/command_option.h) for any other. Nothing here is the command's to free. */
struct command_call {
    const struct config *config; /* NULL with NEEDS_NOTHING */
    PGconn *db;                  /* connected with NEEDS_DATABASE, else NULL */
    const char *values[OPTIONS_LEN];
};

enum command_needs { NEEDS_NOTHING, NEEDS_CONFIG, NEEDS_DATABASE };

struct command {
    const char *words;                               /* "serve", "user add" */
    int (*handler)(const struct command_call *call); /* the exit code: 0 done, 1 failed, 2 used wrongly */
    enum command_needs needs;
    unsigned required; /* options, as OPTION_BITs */
    unsigned optional;
    const char *doc;
};

/* Ended by a row without words. Commands of one first word stand together. */
extern const struct command commands[];

#endif
