/* The options of all commands: their names, and what a value may be. */
#ifndef APP_COMMAND_OPTION_H
#define APP_COMMAND_OPTION_H

#include "app/command.h"

struct command_option_row {
    const char *name;        /* without the dashes */
    const char *placeholder; /* of the value in the help; NULL: a flag */
    const char *doc;
    const char *(*fault_of)(const char *value); /* what is wrong with a value, behind the option's name; NULL: nothing */
};

extern const struct command_option_row command_option_rows[OPTIONS_LEN];

#endif
