/* The `rebuild` command: makes the replication slot anew when it was lost, and tells the events that were lost with it again, with
 * their ids: the last one of each schedule, and the deletions that are still remembered (migrations/0009). It may run beside the
 * service, and again at any time: who reads the events sees some of them once more. */
#ifndef APP_REBUILD_H
#define APP_REBUILD_H

#include "app/config.h"

/* argv is empty, or "--after OWNER/ID": goes on behind that schedule, or "--schedule ID": tells the last event of that one alone, which
 * Kafka had refused (migrations/0022). Progress goes to standard error, the counts to standard output.
 * Returns the exit code. */
int rebuild_run(const struct config *config, int argc, char **argv);

#endif
