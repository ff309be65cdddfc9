/* What every use of librdkafka here shares: where the brokers are, the properties that pass through, and its logs in ours. */
#ifndef DRIVER_KAFKA_H
#define DRIVER_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <librdkafka/rdkafka.h>

#include "core/buf.h"
#include "core/status.h"

struct kafka_property {
    const char *name;
    const char *value;
};

/* Borrowed by those who hold it; outlives every client. */
struct kafka_settings {
    const char *brokers;
    const struct kafka_property *properties;
    size_t properties_len;
};

/* Whether librdkafka takes all of them; what is wrong is appended to *faults, one a line. */
bool kafka_properties_check(const struct kafka_settings *settings, struct buf *faults);

/* A configuration with brokers, logging and the settings common to all clients, then the given properties, then what passes
 * through from the operator, last so that it wins. Properties of the other kind of client (consumer, producer) are passed over
 * by librdkafka. NULL when one is not accepted; the reason was logged. The caller owns it until rd_kafka_new takes it. */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *settings, const struct kafka_property *properties,
                                size_t properties_len);

/* Makes the client; takes conf in every case. NULL on failure; the reason was logged. */
rd_kafka_t *kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf);

/* rd_kafka_assign, which every assignment goes through: one of partitions returns when what was fetched before is stopped. librdkafka
 * up to 2.15 aborts the process when a partition is taken away a second time before it has stopped (its issue 5573). Waits for the
 * client's main thread alone. */
rd_kafka_resp_err_t kafka_assign(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *partitions);

#endif
