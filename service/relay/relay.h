/* The relay: the WAL stream in, transactions of Kafka out (architecture: "out, exactly once, in commit order"). It runs on
 * its own thread, where everything may block, and shares with the rest of the process a stop flag and its metrics. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/event.h"
#include "core/degraded.h"
#include "driver/kafka.h"

/* Borrowed; outlives the relay. */
struct relay_config {
    const char *database_url; /* a direct connection: replication does not pass through poolers */
    const char *slot;
    const char *events_topic;
    const char *dead_letter_topic;
    const char *progress_topic;
    const char *transactional_id;
    const struct kafka_settings *kafka;
    struct event_context events;
};

/* STANDBY: another process holds the slot, or this one is (re)connecting. SLOT_LOST: the slot is gone or invalidated. */
enum relay_state { RELAY_STANDBY, RELAY_ACTIVE, RELAY_SLOT_LOST };

struct relay;

/* Starts the thread. NULL when that fails. */
struct relay *relay_start(const struct relay_config *config);

enum relay_state relay_state(const struct relay *relay);

/* Bytes of WAL between what is published and the server's end of WAL, as last seen; 0 while standby. */
int64_t relay_lag_bytes(const struct relay *relay);

/* Names what keeps it from publishing. */
void relay_degraded(const struct relay *relay, struct degraded *degraded);

/* Asks it to publish everything committed up to now and then to end; returns at once. One that does not hold the slot ends
 * without publishing; one that finds a server away keeps retrying. */
void relay_drain(struct relay *relay);

/* True once the thread has ended by itself (after relay_drain). */
bool relay_is_done(const struct relay *relay);

/* Stops it, drained or not, joins the thread and frees it: at once, but up to 5 s later while Kafka owes the answer to a
 * commit. What was not published is on the next start. */
void relay_free(struct relay *relay);

#endif
