#include "driver/pg_dial.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/resolver.h"

enum { PARAMS_MAX = 96, REASON_SIZE = 1024, TIMEOUT_LEAST_S = 2, TIMEOUT_MOST_S = 3600 };

/* One of the URL's lists, "a,b". */
struct list {
    char *text; /* owned; cut at the commas */
    const char *items[DIAL_HOSTS_MAX];
    size_t len;
};

struct pg_dial {
    const char *name;
    const char *url;
    const struct pg_setting *settings;
    size_t settings_len;
    PQconninfoOption *options; /* of the URL; NULL: it is left to libpq */
    struct list hosts;
    struct list hostaddrs;
    struct list ports;
    size_t hosts_len;
    int64_t timeout_ms; /* of each address */
    bool goes_around_twice;
    size_t round;
    size_t host; /* the one under way */
    struct addresses addresses;
    size_t address; /* the next of them */
    struct resolution *resolution;
    PGconn *conn;
    int64_t deadline_us;
    char reason[REASON_SIZE];
};

/* ---- the URL ---- */

static bool split(struct list *list, const char *text)
{
    list->text = strdup(text);
    if (list->text == NULL) return false;
    for (char *rest = list->text; rest != NULL;) {
        char *item = strsep(&rest, ",");
        if (list->len == DIAL_HOSTS_MAX) return false;
        list->items[list->len++] = item;
    }
    return true;
}

static const char *find(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
        if (strcmp(option->keyword, keyword) == 0) return option->val;
    }
    return NULL;
}

/* Of the URL, else of the environment; "" where neither says. */
static const char *value_of(const struct pg_dial *dial, const PQconninfoOption *defaults, const char *keyword)
{
    const char *value = find(dial->options, keyword);
    if (value == NULL) value = find(defaults, keyword);
    return value == NULL ? "" : value;
}

/* As libpq reads it: no less than 2 s; nothing and 0, which are for ever there, are DIAL_TIMEOUT_MS. */
static int64_t timeout_of(const char *text)
{
    long seconds = strtol(text, NULL, 10);
    if (seconds <= 0) return DIAL_TIMEOUT_MS;
    if (seconds < TIMEOUT_LEAST_S) seconds = TIMEOUT_LEAST_S;
    return (seconds > TIMEOUT_MOST_S ? TIMEOUT_MOST_S : seconds) * INT64_C(1000);
}

/* The lists as libpq pairs them: a port for each host, or one for all. */
static bool read_hosts(struct pg_dial *dial, const PQconninfoOption *defaults)
{
    if (!split(&dial->hosts, value_of(dial, defaults, "host")) ||
        !split(&dial->hostaddrs, value_of(dial, defaults, "hostaddr")) ||
        !split(&dial->ports, value_of(dial, defaults, "port"))) {
        return false;
    }
    bool has_addresses = dial->hostaddrs.len > 1 || dial->hostaddrs.items[0][0] != '\0';
    bool has_names = dial->hosts.len > 1 || dial->hosts.items[0][0] != '\0';
    dial->hosts_len = has_addresses ? dial->hostaddrs.len : dial->hosts.len;
    return (!has_addresses || !has_names || dial->hosts.len == dial->hostaddrs.len) &&
           (dial->ports.len == 1 || dial->ports.len == dial->hosts_len);
}

static void read_url(struct pg_dial *dial)
{
    PQconninfoOption *defaults = PQconndefaults();
    dial->options = PQconninfoParse(dial->url, NULL);
    dial->timeout_ms = timeout_of(value_of(dial, defaults, "connect_timeout"));
    dial->goes_around_twice = strcmp(value_of(dial, defaults, "target_session_attrs"), "prefer-standby") == 0;
    if (dial->options == NULL || find(dial->options, "service") != NULL || !read_hosts(dial, defaults)) {
        PQconninfoFree(dial->options);
        dial->options = NULL;
        dial->goes_around_twice = false;
        dial->hosts_len = 1;
    }
    PQconninfoFree(defaults);
}

/* ---- one address ---- */

struct params {
    const char *keywords[PARAMS_MAX + 1];
    const char *values[PARAMS_MAX + 1];
    int len;
};

/* A later one of the same keyword counts; an empty one counts for nothing. */
static void add(struct params *params, const char *keyword, const char *value)
{
    if (value == NULL || value[0] == '\0' || params->len == PARAMS_MAX) return;
    params->keywords[params->len] = keyword;
    params->values[params->len++] = value;
}

static const char *item(const struct list *list, size_t index)
{
    if (list->len == 0) return "";
    return list->items[list->len == 1 ? 0 : index];
}

static bool is_of_hosts(const char *keyword)
{
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 || strcmp(keyword, "port") == 0;
}

static void add_settings(struct params *params, const struct pg_dial *dial, bool gives_way)
{
    for (size_t i = 0; i < dial->settings_len; i++) {
        const struct pg_setting *setting = &dial->settings[i];
        if (setting->gives_way == gives_way) add(params, setting->keyword, setting->value);
    }
}

static void start_connecting(struct pg_dial *dial, const char *address)
{
    struct params params = {.len = 0};
    add_settings(&params, dial, true);
    if (dial->options == NULL) add(&params, "dbname", dial->url);
    for (const PQconninfoOption *option = dial->options; option != NULL && option->keyword != NULL; option++) {
        if (!is_of_hosts(option->keyword)) add(&params, option->keyword, option->val);
    }
    if (dial->options != NULL) {
        add(&params, "host", item(&dial->hosts, dial->host));
        add(&params, "hostaddr", address);
        add(&params, "port", item(&dial->ports, dial->host));
    }
    if (dial->goes_around_twice) add(&params, "target_session_attrs", dial->round == 0 ? "standby" : "any");
    add_settings(&params, dial, false);
    dial->deadline_us = clock_steady_us() + dial->timeout_ms * 1000;
    dial->conn = PQconnectStartParams(params.keywords, params.values, dial->options == NULL);
}

/* Keeps what a host said, in few words: libpq's lines end with a newline. */
static void note(struct pg_dial *dial, const char *why)
{
    size_t len = strlen(dial->reason);
    const char *host = item(&dial->hosts, dial->host);
    bool names_it = strstr(why, "connection to server") != NULL || host[0] == '\0';
    snprintf(dial->reason + len, sizeof(dial->reason) - len, "%s%s%s%s", len > 0 ? "; " : "", names_it ? "" : host,
             names_it ? "" : ": ", why);
    for (len = strlen(dial->reason); len > 0 && dial->reason[len - 1] == '\n'; len--) dial->reason[len - 1] = '\0';
}

static void end_attempt(struct pg_dial *dial)
{
    PQfinish(dial->conn);
    dial->conn = NULL;
    resolution_free(dial->resolution);
    dial->resolution = NULL;
}

/* ---- one host ---- */

static bool is_numeric(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* A directory, an abstract socket, the default: nothing to resolve. */
static bool is_local(const char *host)
{
    return host[0] == '\0' || host[0] == '/' || host[0] == '@';
}

static void start_host(struct pg_dial *dial)
{
    const char *host = item(&dial->hosts, dial->host);
    const char *hostaddr = item(&dial->hostaddrs, dial->host);
    dial->addresses = (struct addresses){0};
    dial->address = 0;
    if (dial->options == NULL || hostaddr[0] != '\0' || is_local(host) || is_numeric(host)) {
        start_connecting(dial, hostaddr);
        return;
    }
    dial->deadline_us = clock_steady_us() + dial->timeout_ms * 1000;
    dial->resolution = resolution_start(host);
    if (dial->resolution == NULL) note(dial, "cannot ask for its address: out of memory, descriptors or threads");
}

static bool is_under_way(const struct pg_dial *dial)
{
    return dial->conn != NULL || dial->resolution != NULL;
}

/* The next address, else the next host, else once more around. False: that was the last. */
static bool go_on(struct pg_dial *dial)
{
    end_attempt(dial);
    while (!is_under_way(dial)) {
        if (dial->address < dial->addresses.len) {
            start_connecting(dial, dial->addresses.items[dial->address++]);
            if (dial->conn == NULL) note(dial, "out of memory");
        } else if (dial->host + 1 < dial->hosts_len) {
            dial->host++;
            start_host(dial);
        } else if (dial->goes_around_twice && dial->round == 0) {
            dial->round++;
            dial->host = 0;
            start_host(dial);
        } else {
            return false;
        }
    }
    return true;
}

/* ---- the walk ---- */

/* False: this attempt has failed, and why was noted. */
static bool step_resolution(struct pg_dial *dial)
{
    if (!resolution_take(dial->resolution, &dial->addresses)) return true;
    if (dial->addresses.len == 0) note(dial, dial->addresses.fault);
    return false; /* go_on takes the first address */
}

static bool step_connection(struct pg_dial *dial, enum pg_dial_state *ret_state)
{
    PostgresPollingStatusType next =
        PQstatus(dial->conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PQconnectPoll(dial->conn);
    if (next == PGRES_POLLING_FAILED) note(dial, PQerrorMessage(dial->conn));
    *ret_state = next == PGRES_POLLING_OK        ? PG_DIAL_CONNECTED
                 : next == PGRES_POLLING_READING ? PG_DIAL_READING
                                                 : PG_DIAL_WRITING;
    return next != PGRES_POLLING_FAILED;
}

/* What has just begun is waited for, not stepped. False: it has failed at once. */
static bool begin(struct pg_dial *dial, enum pg_dial_state *ret_state)
{
    *ret_state = dial->resolution != NULL ? PG_DIAL_READING : PG_DIAL_WRITING;
    if (dial->conn == NULL || PQstatus(dial->conn) != CONNECTION_BAD) return is_under_way(dial);
    note(dial, PQerrorMessage(dial->conn));
    return false;
}

enum pg_dial_state pg_dial_step(struct pg_dial *dial)
{
    enum pg_dial_state state = PG_DIAL_READING;
    bool is_fine;
    if (!is_under_way(dial)) {
        start_host(dial);
        is_fine = begin(dial, &state);
    } else if (clock_steady_us() >= dial->deadline_us) {
        note(dial, "no answer in time");
        is_fine = false;
    } else {
        is_fine = dial->resolution != NULL ? step_resolution(dial) : step_connection(dial, &state);
    }
    while (!is_fine) {
        if (!go_on(dial)) return PG_DIAL_FAILED;
        is_fine = begin(dial, &state);
    }
    return state;
}

int pg_dial_fd(const struct pg_dial *dial)
{
    return dial->resolution != NULL ? resolution_fd(dial->resolution) : PQsocket(dial->conn);
}

int64_t pg_dial_left_ms(const struct pg_dial *dial)
{
    int64_t left_us = dial->deadline_us - clock_steady_us();
    return left_us <= 0 ? 0 : left_us / 1000 + 1;
}

/* ---- what is said ---- */

static enum log_level level_of(const char *severity)
{
    if (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0 || strcmp(severity, "ERROR") == 0)
        return LOG_LEVEL_ERROR;
    return strcmp(severity, "WARNING") == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
}

static const char *field(const PGresult *result, int code)
{
    const char *text = PQresultErrorField(result, code);
    return text == NULL ? "" : text;
}

/* Also what libpq says by itself, which has no severity. */
static void on_notice(void *ctx, const PGresult *result)
{
    const char *message = field(result, PG_DIAG_MESSAGE_PRIMARY);
    LOG_AT(level_of(field(result, PG_DIAG_SEVERITY_NONLOCALIZED)), "postgres says", LOG_STR("name", (const char *)ctx),
           LOG_STR("sqlstate", field(result, PG_DIAG_SQLSTATE)),
           LOG_STR("message", *message == '\0' ? PQresultErrorMessage(result) : message));
}

PGconn *pg_dial_take(struct pg_dial *dial)
{
    PGconn *conn = dial->conn;
    dial->conn = NULL;
    /* libpq hands the context back unchanged; nothing is written through it. */
    PQsetNoticeReceiver(conn, on_notice, (void *)(uintptr_t)dial->name);
    return conn;
}

const char *pg_dial_reason(const struct pg_dial *dial)
{
    return dial->reason;
}

/* ---- life cycle ---- */

struct pg_dial *pg_dial_new(const char *name, const char *url, const struct pg_setting *settings, size_t settings_len)
{
    struct pg_dial *dial = calloc(1, sizeof(*dial));
    if (dial == NULL) return NULL;
    dial->name = name;
    dial->url = url;
    dial->settings = settings;
    dial->settings_len = settings_len;
    read_url(dial);
    return dial;
}

void pg_dial_free(struct pg_dial *dial)
{
    if (dial == NULL) return;
    end_attempt(dial);
    PQconninfoFree(dial->options);
    free(dial->hosts.text);
    free(dial->hostaddrs.text);
    free(dial->ports.text);
    free(dial);
}
