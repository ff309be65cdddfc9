/* The configuration: environment variables read once at start into one struct. One table in config.c holds each variable's
 * name, kind, default and documentation; the table of docs/configuration.md is checked against it. */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/buf.h"
#include "driver/kafka.h"
#include "webhook/address_rule.h"
#include "webhook/webhook_secret.h"

enum { CONFIG_KAFKA_PROPERTIES_MAX = 64 };

/* What a process does. */
enum role { SERVES_HTTP = 1, SERVES_CONSUMER = 2, SERVES_RELAY = 4 };

/* Texts are owned by the struct and never NULL. */
struct config {
    char *database_url;
    char *relay_database_url; /* database_url where none was given */
    char *kafka_brokers;
    char *http_listen;          /* "host:port" */
    char *http_tls_certificate; /* may be empty, and then the key is too */
    char *http_tls_key;
    char *commands_topic;
    char *events_topic;
    char *dead_letter_topic;
    char *progress_topic;
    char *directory_topic; /* empty: none */
    char *consumer_group;
    char *directory_group; /* consumer_group and ".directory" */
    char *event_source;    /* CloudEvents ce_source */
    char *slot;            /* replication slot */
    char *tzdata;          /* path of tzdata.zi */
    char *log_level;
    char *log_format;
    char *event_format;     /* "protobuf" or "json" */
    char *transactional_id; /* of the relay's producer */
    unsigned roles;         /* of enum role */
    bool has_former_roles;
    int64_t drain_seconds;
    int64_t wal_budget_bytes;
    int64_t command_write_connections;
    int64_t http_write_connections;
    int64_t directory_write_connections;
    int64_t unpacked_batch_bytes; /* driver/kafka_unpack.h */
    int64_t http_max_connections;
    int64_t idempotency_key_seconds;
    int64_t max_schedules_per_user; /* 0: no limit */
    int64_t rate_limit_api_key;     /* requests in a window; 0: no limit */
    int64_t rate_limit_oauth_client;
    int64_t rate_limit_address;
    int64_t rate_limit_window_s;
    int64_t rate_limit_block_s;
    char *webhook_secret_key; /* may be empty, as the next two */
    char *webhook_former_secret_keys;
    char *webhook_allowed_networks;
    char *webhook_listen;  /* "host:port" */
    char *webhook_ca_file; /* may be empty */
    char *webhook_group;   /* consumer_group and ".webhooks" */
    int64_t webhook_requests_max;
    struct webhook_keys webhook_keys; /* what these three say */
    struct address_rule webhook_rule;
    char *client_address_header;                                   /* may be empty */
    struct kafka_property properties[CONFIG_KAFKA_PROPERTIES_MAX]; /* RDKAFKA_*, both texts owned */
    struct kafka_settings kafka;                                   /* the brokers and these properties */
};

/* Reads the environment. On a fault returns false with every fault in *errors, one a line; secrets are never shown.
 * Free with config_done either way. */
bool config_load(struct config *config, struct buf *errors);
void config_done(struct config *config);

/* The name of a variable, by its place in the table; NULL behind the last. */
const char *config_name(size_t index);

/* Prints every variable with its value as KEY=value; secrets show as "***". */
void config_print(const struct config *config, FILE *out);

/* Prints the table as Markdown, the same that stands in docs/configuration.md. */
void config_print_table(FILE *out);

#endif
