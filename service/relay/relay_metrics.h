/* The relay's metrics. One relay in a process uses them; all but relay_metrics_register may be called from its thread. */
#ifndef RELAY_RELAY_METRICS_H
#define RELAY_RELAY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/unpublishable.h"

void relay_metrics_register(void);

/* A committed Kafka transaction. */
void relay_metrics_published(size_t events, size_t dead_letters, int64_t commit_us);
void relay_metrics_restarted(void);
void relay_metrics_unpublishable(enum unpublishable_kind kind); /* a record that Kafka refused for good */
void relay_metrics_waiting(bool is_waiting);                    /* for Kafka to take what it refuses */

/* Events that are published of changes that the database has not. */
void relay_metrics_published_beyond(size_t events);

/* Schedules that were published again as the database has them: raised to a version above the published one, or ended. */
void relay_metrics_healed(size_t raised_schedules, size_t ended_schedules);
void relay_metrics_state(bool is_active, bool is_slot_lost);
void relay_metrics_lag_bytes(int64_t bytes);

/* When the oldest transaction that is not published yet was committed (wall clock); 0: everything known is published. */
void relay_metrics_behind_since(int64_t commit_us);

/* The age of that transaction; 0: there is none. */
int64_t relay_metrics_lag_us(void);

#endif
