/* Where a batch that cannot be read ends. Kafka's clients do not report it, so it is found by trying: an offset inside of the batch fails as its
 * first does, the one behind its last does not. */
#ifndef APP_COMMANDS_BATCH_SEARCH_H
#define APP_COMMANDS_BATCH_SEARCH_H

#include "app/config.h"

/* The offsets that a batch takes: from the first, up to the one behind its last. */
struct batch_range {
    int64_t first;
    int64_t next;
};

enum batch_found {
    BATCH_UNREADABLE, /* *ret_range is the batch that stands in the way at the offset */
    BATCH_READABLE,   /* nothing stands in the way there */
    BATCH_UNKNOWN     /* Kafka did not answer, which was said */
};

/* Reads as the consumers do, with their limits; takes some seconds. */
enum batch_found batch_search(const struct config *config, const char *topic, int32_t partition, int64_t offset,
                              struct batch_range *ret_range);

#endif
