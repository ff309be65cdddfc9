/* schedule-service hours: the hours of one schedule as instants. Needs no server and no configuration but TZDATA. */
#ifndef APP_HOURS_COMMAND_H
#define APP_HOURS_COMMAND_H

/* Reads the schedule from standard input and prints its ranges as JSON. argv[0] is the subcommand. Returns the exit code: 0 done, 1 the input
 * is no schedule, 2 used wrongly. */
int hours_command_run(int argc, char **argv);

#endif
