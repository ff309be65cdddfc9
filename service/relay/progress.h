/* How far the relay has come, kept with Kafka because replication slots go backwards when PostgreSQL crashes: one record in
 * a compacted topic, written in the transaction of the events it stands for. */
#ifndef RELAY_PROGRESS_H
#define RELAY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/kafka.h"
#include "relay/error_text.h"
#include "relay/progress_record.h"

/* Where progress is kept, and who is called while it is read. Borrowed. */
struct progress_topic {
    rd_kafka_t *client; /* of topic_client_new() */
    const char *name;
    bool (*on_wait)(void *ctx); /* as the publisher's */
    void *ctx;
    struct error_text *reason;
};

/* Reads the progress that was published last under the key; all zero when there is none, but for highest_id: that is the highest of all
 * keys, of earlier servers and slots too. Only when the producer that will write on was made can no older one commit any more;
 * is_passing: it was not, and a transaction that is open is not waited for. False when that fails within 30 s. */
bool progress_read(const struct progress_topic *topic, const char *key, bool is_passing, struct progress *ret_progress);

#endif
