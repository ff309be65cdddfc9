/* How long the oldest uncompleted write of each connection and of each partition waits: as metrics, and in words where it makes no
 * progress. Internal to the writer, which shows what it has when it is asked. */
#ifndef STORE_OLDEST_H
#define STORE_OLDEST_H

#include "store/queue.h"

struct look;

/* Calls the two below for each connection, and for each partition that has writes. */
typedef void oldest_show(void *writer, struct look *look);

/* When the oldest write was submitted (steady clock); 0: there is none. */
void oldest_see_connection(struct look *look, const char *purpose, size_t number, int64_t submitted_us);
void oldest_see_partition(struct look *look, const struct partition *partition, int64_t submitted_us);

/* Registers the metrics; call once. */
void oldest_metrics_register(oldest_show *show, void *writer);

/* Adds what has waited for too long. */
void oldest_degraded(oldest_show *show, void *writer, struct degraded *degraded);

#endif
