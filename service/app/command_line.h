/* From the words of a command line to a command that runs: argp parses, app/commands/table.c says what there is. */
#ifndef APP_COMMAND_LINE_H
#define APP_COMMAND_LINE_H

/* Returns the exit code; `--help` and `--version` end the process with 0, a word that is not known with 2 and its name on
 * standard error, before anything has run. */
int command_line_run(int argc, char **argv);

#endif
