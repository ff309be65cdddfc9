/* The relay's metrics. One relay in a process uses them; all but meter_register may be called from its thread. */
#ifndef RELAY_METER_H
#define RELAY_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/unpublishable.h"

void meter_register(void);

/* A committed Kafka transaction. */
void meter_published(size_t events, size_t dead_letters, int64_t commit_us);
void meter_restarted(void);
void meter_unpublishable(enum unpublishable_kind kind); /* a record that Kafka refused for good */
void meter_waiting(bool is_waiting);                    /* for Kafka to take what it refuses */

/* Events that are published of changes that the database has not. */
void meter_published_beyond(size_t events);

/* Schedules that were told again as the database has them: raised to a version above the published one, or ended. */
void meter_healed(size_t raised_schedules, size_t ended_schedules);
void meter_state(bool is_active, bool is_slot_lost);
void meter_lag_bytes(int64_t bytes);

/* When the oldest transaction that is not published yet was committed (wall clock); 0: everything known is published. */
void meter_behind_since(int64_t commit_us);

/* The age of that transaction; 0: there is none. */
int64_t meter_lag_us(void);

#endif
