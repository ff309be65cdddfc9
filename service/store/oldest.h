/* How long the oldest unsettled write of each connection and of each partition waits: as metrics, and in words where it makes no
 * progress. Internal to the writer, which shows what it has when it is asked. */
#ifndef STORE_OLDEST_H
#define STORE_OLDEST_H

#include "store/queue.h"

struct look;

/* Calls oldest_see for each connection. */
typedef void oldest_show(void *writer, struct look *look);

/* What one connection has under way, and what waits for it; each in the order in which it came. */
void oldest_see(struct look *look, int connection, const struct queue *sent, const struct queue *waiting);

/* Registers the metrics; call once. */
void oldest_metrics_register(oldest_show *show, void *writer);

/* Adds what has waited for too long. */
void oldest_degraded(oldest_show *show, void *writer, struct degraded *degraded);

#endif
