/* The `topics` command: makes the topics that are missing and checks the ones that are there. */
#ifndef APP_TOPICS_H
#define APP_TOPICS_H

#include "app/config.h"

/* partitions: of new topics; the progress topic always has one. That and the directory's are compacted. Existing topics are never
 * changed. Returns the exit code: 1 when Kafka cannot be asked or one of the two is not compacted. */
int topics_run(const struct config *config, int partitions);

#endif
