/* The `topics` command: makes the topics that are missing and checks the ones that are there. */
#ifndef APP_TOPICS_H
#define APP_TOPICS_H

#include "app/config.h"

/* partitions: of new topics of commands, events and dead letters; the progress topic always has one and is compacted. Existing
 * topics are never changed. Returns the exit code: 1 when Kafka cannot be asked or the progress topic is not compacted. */
int topics_run(const struct config *config, int partitions);

#endif
