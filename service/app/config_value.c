#include "app/config_value.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <libpq-fe.h>

enum { PORT_MAX = 65535, TOPIC_LEN_MAX = 249, SLOT_LEN_MAX = 63 };

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const char empty[] = "must not be empty";

const char *config_text_fault(const char *value)
{
    if (value[0] == '\0') return empty;
    for (; *value != '\0'; value++) {
        if ((unsigned char)*value < 0x20 || *value == 0x7f) return "must not hold control characters";
    }
    return NULL;
}

static bool is_port(const char *text, size_t len, long min)
{
    if (len == 0 || len > 5 || strspn(text, DIGITS) < len) return false;
    long port = strtol(text, NULL, 10);
    return port >= min && port <= PORT_MAX;
}

/* A name or a numeric address, of which an IPv6 one stands in brackets. */
static bool is_host(const char *text, size_t len)
{
    if (len >= 2 && text[0] == '[')
        return text[len - 1] == ']' && strspn(text + 1, LETTERS CAPITALS DIGITS ":.%") >= len - 2;
    return len > 0 && strspn(text, LETTERS CAPITALS DIGITS ".-_") >= len;
}

/* ---- Kafka and HTTP ---- */

/* Librdkafka takes "SSL://" and the like before a host. */
static size_t protocol_len(const char *text)
{
    static const char *const protocols[] = {"PLAINTEXT://", "SSL://", "SASL_PLAINTEXT://", "SASL_SSL://"};
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        size_t len = strlen(protocols[i]);
        if (strncasecmp(text, protocols[i], len) == 0) return len;
    }
    return 0;
}

static bool is_broker(const char *text, size_t len)
{
    size_t skipped = protocol_len(text);
    text += skipped;
    len -= skipped;
    const char *colon = memrchr(text, ':', len);
    const char *bracket = memrchr(text, ']', len);
    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        size_t host_len = (size_t)(colon - text);
        return is_host(text, host_len) && is_port(colon + 1, len - host_len - 1, 1);
    }
    return is_host(text, len);
}

const char *config_brokers_fault(const char *value)
{
    for (const char *p = value;; p++) {
        p += strspn(p, " ");
        size_t len = strcspn(p, ",");
        size_t text_len = len;
        while (text_len > 0 && p[text_len - 1] == ' ') text_len--;
        if (!is_broker(p, text_len)) return "must be host:port, or several with commas between";
        p += len;
        if (*p == '\0') return NULL;
    }
}

const char *config_listen_fault(const char *value)
{
    const char *colon = strrchr(value, ':');
    size_t host_len = colon == NULL ? 0 : (size_t)(colon - value);
    bool is_fine = colon != NULL && (host_len == 0 || is_host(value, host_len)) && is_port(colon + 1, strlen(colon + 1), 0);
    return is_fine ? NULL : "must be host:port, such as 127.0.0.1:8080 or [::1]:8080";
}

const char *config_topic_fault(const char *value)
{
    size_t len = strlen(value);
    bool is_fine = len > 0 && len <= TOPIC_LEN_MAX && strspn(value, LETTERS CAPITALS DIGITS "._-") == len &&
                   strcmp(value, ".") != 0 && strcmp(value, "..") != 0;
    return is_fine ? NULL : "must be 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-', as Kafka's topics are";
}

const char *config_header_fault(const char *value)
{
    size_t len = strlen(value);
    bool is_fine = len > 0 && strspn(value, LETTERS CAPITALS DIGITS "!#$%&'*+-.^_`|~") == len;
    return is_fine ? NULL : "must be the name of a header";
}

/* ---- PostgreSQL ---- */

const char *config_slot_fault(const char *value)
{
    size_t len = strlen(value);
    bool is_fine = len > 0 && len <= SLOT_LEN_MAX && strspn(value, LETTERS DIGITS "_") == len;
    return is_fine ? NULL : "must be 1 to 63 of the characters a-z, 0-9 and '_', as replication slots are";
}

static const char *find(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++) {
        if (strcmp(options->keyword, keyword) == 0) return options->val == NULL ? "" : options->val;
    }
    return "";
}

static bool are_ports(const char *list)
{
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        if (len > 0 && !is_port(p, len, 1)) return false; /* libpq takes its default for an empty one */
        p += len;
        if (*p == '\0') return true;
    }
}

static bool is_one_of(const char *value, const char *const *names)
{
    while (*names != NULL && strcmp(*names, value) != 0) names++;
    return value[0] == '\0' || *names != NULL;
}

/* What libpq itself says of these only when it connects. */
static const char *options_fault(const PQconninfoOption *options)
{
    static const char *const modes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full", NULL};
    static const char *const attributes[] = {"any", "read-write", "read-only", "primary", "standby", "prefer-standby", NULL};
    if (!are_ports(find(options, "port"))) return "has a port that is not a number between 1 and 65535";
    if (!is_one_of(find(options, "sslmode"), modes)) return "has an sslmode that libpq does not know";
    if (!is_one_of(find(options, "target_session_attrs"), attributes)) {
        return "has a target_session_attrs that libpq does not know";
    }
    return NULL;
}

/* An '@' that is not the one between login and host, before the parameters: libpq takes what follows for a host or a database. */
static bool has_stray_at(const char *url)
{
    const char *scheme = strstr(url, "://");
    bool is_url = strncmp(url, "postgres://", 11) == 0 || strncmp(url, "postgresql://", 13) == 0;
    if (!is_url || scheme == NULL) return false;
    const char *login = scheme + 3;
    const char *at = login + strcspn(login, "@/");
    const char *rest = *at == '@' ? at + 1 : login;
    return rest[strcspn(rest, "@?")] == '@';
}

const char *config_database_url_fault(const char *value)
{
    if (value[0] == '\0') return empty;
    PQconninfoOption *options = PQconninfoParse(value, NULL);
    if (options == NULL || has_stray_at(value)) {
        PQconninfoFree(options);
        return "cannot be read as a libpq URL or keyword string. In a URL write special characters of the user and the "
               "password as %XX (@ is %40, : %3A, / %2F, % %25); in a keyword string put a value with spaces into single "
               "quotes";
    }
    const char *fault = options_fault(options);
    PQconninfoFree(options);
    return fault;
}
