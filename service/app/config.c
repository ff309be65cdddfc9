#include "app/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/config_value.h"
#include "app/kafka_fixed.h"
#include "driver/zone_files.h"

enum kind {
    KIND_ROLES,
    KIND_NUMBER,
    KIND_CHOICE, /* this and all that follow are texts */
    KIND_TEXT,
    KIND_DATABASE_URL,
    KIND_BROKERS,
    KIND_LISTEN,
    KIND_TOPIC,
    KIND_OPTIONAL_TOPIC,
    KIND_SLOT,
    KIND_HEADER
};

static const char *(*const faults[])(const char *value) = {
    [KIND_TEXT] = config_text_fault,
    [KIND_DATABASE_URL] = config_database_url_fault,
    [KIND_BROKERS] = config_brokers_fault,
    [KIND_LISTEN] = config_listen_fault,
    [KIND_TOPIC] = config_topic_fault,
    [KIND_SLOT] = config_slot_fault,
    [KIND_OPTIONAL_TOPIC] = config_topic_fault,
    [KIND_HEADER] = config_header_fault,
};

struct option {
    const char *name;
    enum kind kind;
    const char *fallback; /* NULL: must be given; for RELAY_DATABASE_URL see below */
    const char *choices;  /* of a choice: "a|b"; of a number: "least|most" */
    bool is_secret;
    size_t at; /* offset of the member */
    const char *doc;
};

#define AT(member) offsetof(struct config, member)

static const struct option options[] = {
    {"DATABASE_URL", KIND_DATABASE_URL, NULL, NULL, true, AT(database_url), "PostgreSQL, as a libpq URL or keyword string"},
    {"RELAY_DATABASE_URL", KIND_DATABASE_URL, "", NULL, true, AT(relay_database_url),
     "the same database without a pooler between, for replication; empty: `DATABASE_URL`"},
    {"KAFKA_BROKERS", KIND_BROKERS, "127.0.0.1:9092", NULL, false, AT(kafka_brokers), "bootstrap servers, `host:port,...`"},
    {"HTTP_LISTEN", KIND_LISTEN, "127.0.0.1:8080", NULL, false, AT(http_listen), "`host:port`; port 0 takes a free one"},
    {"HTTP_TLS_CERTIFICATE", KIND_TEXT, "", NULL, false, AT(http_tls_certificate),
     "PEM file with the certificate and the chain behind it: HTTP over TLS alone; empty: no TLS"},
    {"HTTP_TLS_KEY", KIND_TEXT, "", NULL, false, AT(http_tls_key), "PEM file with its key, without a password"},
    {"COMMANDS_TOPIC", KIND_TOPIC, "schedules.commands.v1", NULL, false, AT(commands_topic), "commands in"},
    {"EVENTS_TOPIC", KIND_TOPIC, "schedules.events.v1", NULL, false, AT(events_topic), "events and rejections out"},
    {"DEAD_LETTER_TOPIC", KIND_TOPIC, "schedules.commands.v1.dlq", NULL, false, AT(dead_letter_topic),
     "messages that are not commands"},
    {"PROGRESS_TOPIC", KIND_TOPIC, "schedules.relay.progress", NULL, false, AT(progress_topic),
     "the relay's progress; compacted"},
    {"DIRECTORY_TOPIC", KIND_OPTIONAL_TOPIC, "schedules.directory.v1", NULL, false, AT(directory_topic),
     "directory updates in; compacted; empty: the directory is maintained by commands and imports only"},
    {"CONSUMER_GROUP", KIND_TEXT, "schedule-service", NULL, false, AT(consumer_group),
     "the consumer group of all replicas; with `.directory` behind it, that of the directory's topic, and with `.webhooks`, "
     "that of the senders of webhooks"},
    {"EVENT_SOURCE", KIND_TEXT, "/schedule-service", NULL, false, AT(event_source), "`ce_source` of the events"},
    {"EVENT_FORMAT", KIND_CHOICE, "protobuf", "protobuf|json", false, AT(event_format), "the events' values"},
    {"REPLICATION_SLOT", KIND_SLOT, "schedule_service", NULL, false, AT(slot), "the logical replication slot"},
    {"TRANSACTIONAL_ID", KIND_TEXT, "schedule-service-relay", NULL, false, AT(transactional_id),
     "of the relay's first producer, and with `.1` of its second; the same in all replicas"},
    {"ROLES", KIND_ROLES, "http,consumer,relay", NULL, false, AT(roles),
     "what the process does: any of `http` (the API), `consumer` (commands and the directory from Kafka) and `relay` "
     "(events to Kafka); health, metrics and documentation are served by all"},
    {"DRAIN_SECONDS", KIND_NUMBER, "5", "0|20", false, AT(drain_seconds),
     "how long HTTP goes on at a stop, with `/readyz` 503, so that load balancers turn away first; 0: not at all"},
    {"WAL_BUDGET", KIND_NUMBER, "1073741824", "1|4611686018427387904", false, AT(wal_budget_bytes),
     "maximum bytes of unpublished WAL; above it `/readyz` answers 503"},
    {"COMMAND_WRITE_CONNECTIONS", KIND_NUMBER, "2", "2|16", false, AT(command_write_connections),
     "connections to PostgreSQL for commands; one that a partition blocks leaves the others free"},
    {"HTTP_WRITE_CONNECTIONS", KIND_NUMBER, "2", "2|16", false, AT(http_write_connections),
     "connections to PostgreSQL for writes over HTTP"},
    {"DIRECTORY_WRITE_CONNECTIONS", KIND_NUMBER, "1", "1|16", false, AT(directory_write_connections),
     "connections to PostgreSQL for directory updates"},
    {"UNPACKED_BATCH_BYTES", KIND_NUMBER, "67108864", "1048576|700000000", false, AT(unpacked_batch_bytes),
     "maximum unpacked size of a compressed batch of commands or directory updates, in bytes; a larger one stops its "
     "partition"},
    {"HTTP_MAX_CONNECTIONS", KIND_NUMBER, "4096", "1|1000000", false, AT(http_max_connections),
     "maximum open connections; a further one is closed, or replaces an idle one of the address that has most; lowered, "
     "with a log line, where the limit of open files requires it"},
    {"IDEMPOTENCY_KEY_SECONDS", KIND_NUMBER, "86400", "1|2678400", false, AT(idempotency_key_seconds),
     "how long an `Idempotency-Key` is kept, in seconds"},
    {"MAX_SCHEDULES_PER_USER", KIND_NUMBER, "1000", "0|1000000000", false, AT(max_schedules_per_user),
     "maximum schedules of a user that a create may reach; 0: no limit. The same in all replicas"},
    {"RATE_LIMIT_API_KEY", KIND_NUMBER, "120", "0|1000000000", false, AT(rate_limit_api_key),
     "requests of an API key without own limits in a window; 0: no limit"},
    {"RATE_LIMIT_OAUTH_CLIENT", KIND_NUMBER, "500", "0|1000000000", false, AT(rate_limit_oauth_client),
     "requests of an OAuth client in a window; 0: no limit"},
    {"RATE_LIMIT_ADDRESS", KIND_NUMBER, "120", "0|1000000000", false, AT(rate_limit_address),
     "requests of an address without a valid credential in a window; 0: no limit"},
    {"RATE_LIMIT_WINDOW_SECONDS", KIND_NUMBER, "60", "1|31536000", false, AT(rate_limit_window_s),
     "length of a window, from its first request"},
    {"RATE_LIMIT_BLOCK_SECONDS", KIND_NUMBER, "60", "1|31536000", false, AT(rate_limit_block_s),
     "how long the first request beyond the limit blocks further ones"},
    {"CLIENT_ADDRESS_HEADER", KIND_HEADER, "", NULL, false, AT(client_address_header),
     "a header such as `X-Forwarded-For` whose last entry a trusted proxy writes; empty: the peer's address is used"},
    {"WEBHOOK_SECRET_KEY", KIND_TEXT, "", NULL, true, AT(webhook_secret_key),
     "64 hexadecimal digits, the key that the secrets of webhooks are sealed with in the database; empty: webhooks have "
     "none. The same in all replicas"},
    {"WEBHOOK_FORMER_SECRET_KEYS", KIND_TEXT, "", NULL, true, AT(webhook_former_secret_keys),
     "keys that came before it and still open what they sealed, with commas between"},
    {"WEBHOOK_ALLOWED_NETWORKS", KIND_TEXT, "", NULL, false, AT(webhook_allowed_networks),
     "networks such as `10.1.0.0/16,fd00:1::/32` that webhooks may reach although they are private, over `http` too; empty: "
     "only public addresses over `https`"},
    {"WEBHOOK_LISTEN", KIND_LISTEN, "127.0.0.1:8081", NULL, false, AT(webhook_listen),
     "`host:port` of health and metrics of `schedule-service webhooks`; port 0 takes a free one"},
    {"WEBHOOK_REQUESTS", KIND_NUMBER, "512", "8|4096", false, AT(webhook_requests_max),
     "requests to webhooks that a process has in progress, at most; a host gets a quarter of them, an owner three quarters"},
    {"WEBHOOK_CA_FILE", KIND_TEXT, "", NULL, false, AT(webhook_ca_file),
     "PEM file with the certificates that webhooks' servers are verified by; empty: the system's"},
    {"TZDATA", KIND_TEXT, TZDATA_PATH, NULL, false, AT(tzdata), "the time zone names"},
    {"LOG_LEVEL", KIND_CHOICE, "info", "debug|info|warn|error", false, AT(log_level), "minimum level of logged lines"},
    {"LOG_FORMAT", KIND_CHOICE, "logfmt", "logfmt|json", false, AT(log_format), "one line an event"},
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]), FILE_MAX_BYTES = 65535 };

static const char property_prefix[] = "RDKAFKA_";

static void fault(struct buf *errors, const char *name, const char *what)
{
    buf_printf(errors, "%s: %s\n", name, what);
}

/* The content of a file without its last newlines; NULL when it is not one that can be a value, which was said. The caller frees it. */
static char *read_file(const char *name, const char *path, struct buf *errors)
{
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : calloc(1, FILE_MAX_BYTES + 1);
    size_t len = text == NULL ? 0 : fread(text, 1, FILE_MAX_BYTES + 1, file);
    bool is_read = text != NULL && !ferror(file);
    if (file != NULL) fclose(file);
    if (!is_read) fault(errors, name, "the file cannot be read");
    else if (len > FILE_MAX_BYTES) fault(errors, name, "the file is larger than 65535 bytes");
    else if (memchr(text, '\0', len) != NULL) fault(errors, name, "the file holds a NUL byte");
    else {
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) text[--len] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

/* The variable, or what is in the file that its _FILE twin names; NULL when neither can be had. The caller frees it. */
static char *read_variable(const char *name, struct buf *errors)
{
    char twin[256];
    bool fits = snprintf(twin, sizeof(twin), "%s_FILE", name) < (int)sizeof(twin);
    const char *value = getenv(name);
    const char *path = fits ? getenv(twin) : NULL;
    if (value != NULL && path != NULL) fault(errors, name, "is set together with its _FILE twin; set one of them");
    if (value != NULL) return strdup(value);
    return path == NULL ? NULL : read_file(twin, path, errors);
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strcspn(value, "|");
    if (value[len] != '\0') return false; /* some of the choices in a row are none of them */
    for (const char *p = choices; p != NULL; p = strchr(p, '|')) {
        if (*p == '|') p++;
        if (strncmp(p, value, len) == 0 && (p[len] == '|' || p[len] == '\0')) return true;
    }
    return false;
}

static bool read_number(const struct option *option, const char *value, int64_t *ret_number)
{
    char *end = NULL;
    int64_t least = strtoll(option->choices, &end, 10);
    int64_t most = strtoll(end + 1, NULL, 10);
    errno = 0;
    *ret_number = strtoll(value, &end, 10);
    return errno == 0 && end != value && *end == '\0' && *ret_number >= least && *ret_number <= most;
}

static const struct {
    const char *name;
    enum role role;
} roles[] = {{"http", SERVES_HTTP}, {"consumer", SERVES_CONSUMER}, {"relay", SERVES_RELAY}};

enum { ROLES = sizeof(roles) / sizeof(roles[0]) };

/* The role that the first len bytes name; 0: none. */
static unsigned role_of(const char *name, size_t len)
{
    for (size_t i = 0; i < ROLES; i++) {
        if (strlen(roles[i].name) == len && strncmp(roles[i].name, name, len) == 0) return roles[i].role;
    }
    return 0;
}

/* Names with commas between; 0 when one is unknown, or there is none. */
static unsigned parse_roles(const char *value)
{
    unsigned all = 0;
    for (const char *p = value;; p++) {
        size_t len = strcspn(p, ",");
        unsigned role = role_of(p, len);
        if (role == 0) return 0;
        all |= role;
        p += len;
        if (*p == '\0') return all;
    }
}

static bool is_text(const struct option *option)
{
    return option->kind >= KIND_CHOICE;
}

static void check_text(const struct option *option, const char *value, struct buf *errors)
{
    if (option->kind == KIND_CHOICE) {
        if (!is_choice(option->choices, value)) buf_printf(errors, "%s: must be one of %s\n", option->name, option->choices);
        return;
    }
    bool may_be_empty = option->kind == KIND_OPTIONAL_TOPIC || (option->fallback != NULL && option->fallback[0] == '\0');
    const char *what = faults[option->kind](value);
    if (what != NULL && !(may_be_empty && value[0] == '\0')) fault(errors, option->name, what);
}

/* Stores the value, which is taken where the member is a text. */
static void store(struct config *config, const struct option *option, char *value, struct buf *errors)
{
    void *member = (char *)config + option->at;
    if (is_text(option)) {
        *(char **)member = value;
        return;
    }
    if (option->kind == KIND_ROLES) {
        *(unsigned *)member = parse_roles(value);
        if (*(unsigned *)member == 0)
            fault(errors, option->name, "must be some of http, consumer and relay, with commas between");
    } else if (!read_number(option, value, member)) {
        buf_printf(errors, "%s: must be a whole number between %.*s and %s\n", option->name,
                   (int)strcspn(option->choices, "|"), option->choices, strchr(option->choices, '|') + 1);
    }
    free(value);
}

/* The switches that ROLES replaced. False where the variable is not "off". */
static bool is_switched_off(const char *name, struct config *config, struct buf *errors)
{
    const char *value = getenv(name);
    if (value == NULL) return false;
    config->has_former_roles = true;
    if (!is_choice("on|off", value)) fault(errors, name, "must be on or off");
    return strcmp(value, "off") == 0;
}

static void read_former_roles(struct config *config, struct buf *errors)
{
    bool has_roles = config->roles != 0; /* else it was said */
    if (is_switched_off("RELAY", config, errors)) config->roles &= ~(unsigned)SERVES_RELAY;
    if (is_switched_off("DOORS", config, errors)) config->roles &= (unsigned)SERVES_RELAY;
    if (has_roles && config->roles == 0) fault(errors, "ROLES", "RELAY and DOORS leave nothing to do");
}

static void read_option(struct config *config, const struct option *option, struct buf *errors)
{
    char *value = read_variable(option->name, errors);
    if (value != NULL && is_text(option)) check_text(option, value, errors);
    if (value == NULL && option->fallback == NULL) fault(errors, option->name, "must be set");
    if (value == NULL) value = strdup(option->fallback == NULL ? "" : option->fallback);
    if (value != NULL) store(config, option, value, errors);
}

/* RDKAFKA_SASL_PASSWORD -> sasl.password */
static char *property_name(const char *variable, size_t len)
{
    char *name = strndup(variable + sizeof(property_prefix) - 1, len - (sizeof(property_prefix) - 1));
    for (char *p = name; p != NULL && *p != '\0'; p++) *p = *p == '_' ? '.' : (char)tolower((unsigned char)*p);
    return name;
}

static void read_property(struct config *config, const char *entry, struct buf *errors)
{
    static const char twin[] = "_FILE";
    const char *equals = strchr(entry, '=');
    size_t len = equals == NULL ? strlen(entry) : (size_t)(equals - entry);
    size_t twin_len = sizeof(twin) - 1;
    if (len >= sizeof(property_prefix) - 1 + twin_len && strncmp(entry + len - twin_len, twin, twin_len) == 0)
        len -= twin_len;
    if (config->kafka.properties_len == CONFIG_KAFKA_PROPERTIES_MAX) {
        fault(errors, property_prefix, "too many properties");
        return;
    }
    char *variable = strndup(entry, len);
    struct kafka_property *property = &config->properties[config->kafka.properties_len++];
    property->name = property_name(entry, len);
    property->value = read_variable(variable, errors);
    if (property->value == NULL) property->value = strdup("");
    const char *reason = property->name == NULL ? "out of memory" : kafka_fixed_reason(property->name);
    if (reason != NULL) buf_printf(errors, "%s: may not be set: %s\n", variable, reason);
    free(variable);
}

static bool is_topic(const struct option *option)
{
    return option->kind == KIND_TOPIC || option->kind == KIND_OPTIONAL_TOPIC;
}

/* In one topic the service would read what it writes. */
static void check_topics_differ(const struct config *config, struct buf *errors)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        for (size_t j = i + 1; is_topic(&options[i]) && j < OPTIONS; j++) {
            const char *one = *(char *const *)((const char *)config + options[i].at);
            const char *other = *(char *const *)((const char *)config + options[j].at);
            if (!is_topic(&options[j]) || one[0] == '\0' || strcmp(one, other) != 0) continue;
            buf_printf(errors, "%s: is the topic of %s too\n", options[j].name, options[i].name);
        }
    }
}

bool config_load(struct config *config, struct buf *errors)
{
    *config = (struct config){0};
    for (size_t i = 0; i < OPTIONS; i++) read_option(config, &options[i], errors);
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strncmp(*entry, property_prefix, sizeof(property_prefix) - 1) == 0) read_property(config, *entry, errors);
    }
    if (config->relay_database_url[0] == '\0') {
        free(config->relay_database_url);
        config->relay_database_url = strdup(config->database_url);
    }
    if (asprintf(&config->directory_group, "%s.directory", config->consumer_group) < 0) config->directory_group = NULL;
    if (asprintf(&config->webhook_group, "%s.webhooks", config->consumer_group) < 0) config->webhook_group = NULL;
    if (config->directory_group == NULL || config->webhook_group == NULL) fault(errors, "CONSUMER_GROUP", "out of memory");
    config->kafka.brokers = config->kafka_brokers;
    config->kafka.properties = config->properties;
    if ((config->http_tls_certificate[0] == '\0') != (config->http_tls_key[0] == '\0')) {
        fault(errors, "HTTP_TLS_CERTIFICATE", "goes with HTTP_TLS_KEY; set both or none");
    }
    if (!webhook_keys_init(&config->webhook_keys, slice_of(config->webhook_secret_key),
                           slice_of(config->webhook_former_secret_keys))) {
        fault(errors, "WEBHOOK_SECRET_KEY", "and WEBHOOK_FORMER_SECRET_KEYS must be keys of 64 hexadecimal digits");
    }
    if (!address_rule_init(&config->webhook_rule, slice_of(config->webhook_allowed_networks))) {
        fault(errors, "WEBHOOK_ALLOWED_NETWORKS", "must be networks such as 10.1.0.0/16, with commas between");
    }
    check_topics_differ(config, errors);
    read_former_roles(config, errors);
    return errors->len == 0;
}

void config_done(struct config *config)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (is_text(&options[i])) free(*(char **)((char *)config + options[i].at));
    }
    free(config->directory_group);
    free(config->webhook_group);
    for (size_t i = 0; i < config->kafka.properties_len; i++) {
        free((char *)config->properties[i].name);
        free((char *)config->properties[i].value);
    }
}

static void print_roles(unsigned set, FILE *out)
{
    const char *separator = "";
    for (size_t i = 0; i < ROLES; i++) {
        if (!(set & roles[i].role)) continue;
        fprintf(out, "%s%s", separator, roles[i].name);
        separator = ",";
    }
}

static void print_value(const struct config *config, const struct option *option, FILE *out)
{
    const void *member = (const char *)config + option->at;
    if (option->is_secret && **(char *const *)member != '\0') fprintf(out, "***");
    else if (option->kind == KIND_NUMBER) fprintf(out, "%" PRId64, *(const int64_t *)member);
    else if (option->kind == KIND_ROLES) print_roles(*(const unsigned *)member, out);
    else fprintf(out, "%s", *(char *const *)member);
}

void config_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        fprintf(out, "%s=", options[i].name);
        print_value(config, &options[i], out);
        fprintf(out, "\n");
    }
    /* Any of these may be a password: only the names are shown. */
    for (size_t i = 0; i < config->kafka.properties_len; i++) {
        fprintf(out, "%s%s=***\n", property_prefix, config->properties[i].name);
    }
}

const char *config_name(size_t index)
{
    return index < OPTIONS ? options[index].name : NULL;
}

void config_print_table(FILE *out)
{
    fprintf(out, "| variable | default | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *option = &options[i];
        fprintf(out, "| `%s`%s | ", option->name, option->is_secret ? " (secret)" : "");
        if (option->fallback == NULL) fprintf(out, "required");
        else if (option->fallback[0] == '\0') fprintf(out, "empty");
        else fprintf(out, "`%s`", option->fallback);
        fprintf(out, " | %s", option->doc);
        if (option->kind == KIND_CHOICE) {
            fprintf(out, ": ");
            for (const char *p = option->choices; *p != '\0'; p++) fprintf(out, *p == '|' ? " or " : "%c", *p);
        }
        fprintf(out, " |\n");
    }
}
