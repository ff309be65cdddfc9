/* What readiness means: the process is unready only for what keeps it from its roles, which for HTTP is to answer. All else that is
 * amiss (a partition, the directory, the relay, Kafka) is reported as degraded and keeps no traffic away. */
#ifndef APP_READINESS_H
#define APP_READINESS_H

#include "api/http_api.h"
#include "app/config.h"
#include "consumer/kafka_consumer.h"
#include "relay/relay.h"
#include "store/database_monitor.h"
#include "store/reader.h"
#include "store/writer.h"

/* The parts that are asked; borrowed during the call. */
struct readiness_parts {
    const struct config *config;
    const struct database_view *view;
    struct writer *writer;
    const struct reader *reader;
    const struct relay *relay;               /* NULL: not in this process */
    struct kafka_consumer *const *consumers; /* of these NULL: not started, or not wanted */
    size_t consumers_len;
    bool is_stopping;
};

/* Fills *ret, which is zeroed. */
void readiness_evaluate(const struct readiness_parts *parts, struct readiness *ret);

/* What is amiss with the database for a relay as for all others; static. NULL: nothing. */
const char *readiness_database_obstacle(const struct database_view *view);

/* Why nothing may be written to the database; static. NULL: it may. */
const char *readiness_obstacle(const struct database_view *view);

#endif
