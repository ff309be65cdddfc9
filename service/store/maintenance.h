/* What the database has to have done beside the writes, on a connection of its own: the steps of removals (migrations/functions/removals.sql) and the sweep of
 * completed commands whose time is over (commands.sql). Every process runs it; of removals the database lets one step through at a
 * time. */
#ifndef STORE_MAINTENANCE_H
#define STORE_MAINTENANCE_H

#include <event2/event.h>
#include <stdbool.h>

struct maintenance;

/* Registers its metrics and starts its connection; database_url is borrowed and outlives it. NULL: no memory. Removals are held back
 * at first. */
struct maintenance *maintenance_new(struct event_base *base, const char *database_url);
void maintenance_free(struct maintenance *maintenance);

/* Lets removals continue, or holds them back: while the slot that their events need is not there, or too much waits for the relay. */
void maintenance_allow_removals(struct maintenance *maintenance, bool allowed);

#endif
