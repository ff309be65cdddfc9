/* Names in the environment that nobody reads and that look like ours. */
#ifndef APP_CONFIG_TYPO_H
#define APP_CONFIG_TYPO_H

#include <stdio.h>

/* Calls found for each name that is within two letters of a variable's or of its _FILE twin's, and is none. */
void config_find_typos(void (*found)(void *ctx, const char *name, const char *meant), void *ctx);

/* One line for each. */
void config_print_typos(FILE *out);

#endif
