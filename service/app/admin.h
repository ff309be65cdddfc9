/* The subcommands that fill the directory: organizations, users, memberships, API keys and OAuth clients. Each runs one statement or
 * transaction and prints one line of key=value words for each object. */
#ifndef APP_ADMIN_H
#define APP_ADMIN_H

#include <stdbool.h>
#include <stdio.h>

/* Whether the word ("org", "apikey", ...) begins a subcommand of this kind. */
bool admin_has(const char *word);

/* Runs argv[0] ("org") argv[1] ("add") with the options behind. Returns the exit status: 0; 1 with the reason on standard
 * error; 2 when the words make no sense. */
int admin_run(const char *database_url, int argc, char **argv);

/* One usage line for each subcommand. */
void admin_usage(FILE *out);

#endif
