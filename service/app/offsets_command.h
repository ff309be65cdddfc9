/* The `offsets` commands: shows the stored offsets beside the topic's log, and sets one anew. */
#ifndef APP_OFFSETS_COMMAND_H
#define APP_OFFSETS_COMMAND_H

#include "app/config.h"

/* argv begins with "show" or "reset". Returns the exit code. */
int offsets_command_run(const struct config *config, int argc, char **argv);

#endif
