/* How far the relay has come, kept with Kafka because replication slots go backwards when PostgreSQL crashes: one record in
 * a compacted topic, written in the transaction of the events it stands for. */
#ifndef RELAY_PROGRESS_H
#define RELAY_PROGRESS_H

#include <stdbool.h>

#include "relay/progress_record.h"
#include "relay/topic_reader.h"

/* Reads the progress that was published last under the key; all zero when there is none, but for highest_id: that is the highest of all
 * keys, of earlier servers and slots too. Only when the producer that will write on was made can no older one commit any more;
 * is_passing: it was not, and a transaction that is open is not waited for. False when that fails within 30 s. */
bool progress_read(const struct topic_source *topic, const char *key, bool is_passing, struct progress *ret_progress);

#endif
