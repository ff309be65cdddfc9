/* The subcommands that keep the directory, API keys and OAuth clients by hand. Each runs one statement or
 * transaction and prints one line of key=value words for each object. */
#ifndef APP_ADMIN_H
#define APP_ADMIN_H

#include <stdbool.h>
#include <stdio.h>

#include "app/config.h"

/* Whether the word ("org", "user", ...) begins a subcommand of this kind. */
bool admin_has(const char *word);

/* Runs argv[0] ("org") argv[1] ("add") with the options behind. Returns the exit status: 0; 1 with the reason on standard
 * error; 2 when the words make no sense. */
int admin_run(const struct config *config, int argc, char **argv);

/* One usage line for each subcommand. */
void admin_usage(FILE *out);

#endif
