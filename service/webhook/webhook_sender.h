/* Sends the events of the events topic to the HTTP endpoints that want them: the role `schedule-service webhooks`, of which there may be
 * any number of replicas, which share the topic's partitions. docs/adr/0033 tells how. */
#ifndef WEBHOOK_WEBHOOK_SENDER_H
#define WEBHOOK_WEBHOOK_SENDER_H

#include <event2/event.h>

#include "codec/event.h"
#include "core/degraded.h"
#include "driver/kafka.h"
#include "webhook/address_rule.h"
#include "webhook/webhook_secret.h"

struct webhook_sender;

/* Borrowed; outlives the sender. */
struct webhook_sender_config {
    const char *database_url;
    const char *topic;
    const char *group;
    const char *slot; /* that the events are published from */
    const struct kafka_settings *kafka;
    struct event_context events; /* of those that it emits itself */
    struct address_rule rule;
    const struct webhook_keys *keys; /* that open secrets */
    size_t requests_max;             /* under way, in all */
    const char *ca_file;             /* PEM; empty: the system's */
    const char *user_agent;
};

/* NULL when it cannot be made; the reason was logged. */
struct webhook_sender *webhook_sender_new(struct event_base *base, const struct webhook_sender_config *config);

/* Ends: gives its partitions up as when they are revoked. is_done once that is so. */
void webhook_sender_drain(struct webhook_sender *sender);
bool webhook_sender_is_done(const struct webhook_sender *sender);
void webhook_sender_free(struct webhook_sender *sender);

/* Why it cannot send anything; static. NULL: it can. Adds what is amiss besides. */
const char *webhook_sender_obstacle(const struct webhook_sender *sender, struct degraded *degraded);

#endif
