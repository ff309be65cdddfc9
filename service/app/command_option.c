#include "app/command_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/instant.h"
#include "core/uuid.h"
#include "store/offsets.h"

static bool is_digits(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 18 && strspn(text, "0123456789") == len;
}

static const char *number_fault(const char *value, int64_t min, int64_t max)
{
    if (!is_digits(value) || strtoll(value, NULL, 10) < min) {
        return min > 0 ? "must be a whole number above zero" : "must be a whole number";
    }
    return strtoll(value, NULL, 10) > max ? "is too large" : NULL;
}

static const char *id_fault(const char *value)
{
    return number_fault(value, 1, INT64_MAX);
}

static const char *days_fault(const char *value)
{
    return number_fault(value, 1, 36500);
}

static const char *requests_fault(const char *value)
{
    return number_fault(value, 1, 1000000000);
}

static const char *seconds_fault(const char *value)
{
    return number_fault(value, 1, 31536000);
}

static const char *partitions_fault(const char *value)
{
    return number_fault(value, 1, OFFSETS_PARTITIONS_MAX);
}

static const char *replicas_fault(const char *value)
{
    return number_fault(value, 1, INT16_MAX);
}

static const char *partition_fault(const char *value)
{
    return number_fault(value, 0, INT32_MAX);
}

static const char *text_fault(const char *value)
{
    for (; *value != '\0'; value++) {
        if ((unsigned char)*value < 0x20 || *value == 0x7f) return "must not hold control characters";
    }
    return NULL;
}

static const char *name_fault(const char *value)
{
    return value[0] == '\0' ? "must not be empty" : text_fault(value);
}

static const char *role_fault(const char *value)
{
    bool is_role = strcasecmp(value, "owner") == 0 || strcasecmp(value, "admin") == 0 || strcasecmp(value, "member") == 0;
    return is_role ? NULL : "must be owner, admin or member";
}

static const char *permissions_fault(const char *value)
{
    bool is_known = strcmp(value, "read") == 0 || strcmp(value, "write") == 0 || strcmp(value, "read,write") == 0;
    return is_known ? NULL : "must be read, write or read,write";
}

/* Only the log says which offsets there are. */
static const char *offset_fault(const char *value)
{
    bool is_word = strcmp(value, "earliest") == 0 || strcmp(value, "latest") == 0;
    return is_word || is_digits(value) ? NULL : "must be earliest, latest or an offset";
}

static const char *after_fault(const char *value)
{
    char *end = NULL;
    bool has_owner = strtoll(value, &end, 10) > 0 && *end == '/';
    return has_owner && id_fault(end + 1) == NULL ? NULL : "must be OWNER/ID, two numbers above zero";
}

static const char *uuid_fault(const char *value)
{
    struct uuid id;
    return uuid_parse(slice_of(value), &id) ? NULL : "must be a UUID";
}

static const char *instant_fault(const char *value)
{
    int64_t instant_s;
    return instant_parse(slice_of(value), &instant_s) ? NULL : "must be a time such as 2026-01-31T08:00:00Z";
}

static const char *replay_from_fault(const char *value)
{
    size_t len = strspn(value, "0123456789");
    bool is_event = len > 0 && value[len] == '.' && is_digits(value + len + 1);
    return is_event ? NULL : instant_fault(value);
}

const struct command_option_row command_option_rows[OPTIONS_LEN] = {
    [OPT_NAME] = {"name", "NAME", "its name", name_fault},
    [OPT_ID] = {"id", "N", "its id; default of an addition: the next one", id_fault},
    [OPT_ORG] = {"org", "N", "the organization's id", id_fault},
    [OPT_USER] = {"user", "N", "the user's id", id_fault},
    [OPT_ROLE] = {"role", "ROLE", "owner, admin or member", role_fault},
    [OPT_NOTE] = {"note", "TEXT", "what the key is for", text_fault},
    [OPT_DAYS] = {"days", "N", "how long the key is valid; default 30", days_fault},
    [OPT_NEVER_EXPIRES] = {"never-expires", NULL, "the key is valid until it is revoked", NULL},
    [OPT_TEAM] = {"team", "N", "the team's id", id_fault},
    [OPT_TIME_ZONE] = {"time-zone", "ZONE", "an IANA time zone", text_fault},
    [OPT_CLIENT_ID] = {"id", "ID", "the client's id", text_fault},
    [OPT_PERMISSIONS] = {"permissions", "LIST", "read, write or read,write", permissions_fault},
    [OPT_REQUESTS] = {"requests", "N", "how many requests a window has", requests_fault},
    [OPT_WINDOW] = {"window", "SECONDS", "how long a window is", seconds_fault},
    [OPT_BLOCK] = {"block", "SECONDS", "how long a key is refused when its window is used up", seconds_fault},
    [OPT_NO_WAIT] = {"no-wait", NULL, "the service removes what belongs to it; do not wait for that", NULL},
    [OPT_PARTITIONS] = {"partitions", "N", "of new topics; default 8", partitions_fault},
    [OPT_REPLICATION_FACTOR] = {"replication-factor", "N", "replicas of new topics; default: the brokers'", replicas_fault},
    [OPT_MIN_INSYNC_REPLICAS] = {"min-insync-replicas", "N", "of new topics; default: the brokers'", replicas_fault},
    [OPT_TOPIC] = {"topic", "TOPIC", "that of the commands (the default) or of the directory", text_fault},
    [OPT_PARTITION] = {"partition", "N", "the partition's number", partition_fault},
    [OPT_TO_OFFSET] = {"to", "OFFSET", "earliest, latest or an offset inside the log", offset_fault},
    [OPT_AFTER] = {"after", "OWNER/ID", "go on behind this schedule of this owner", after_fault},
    [OPT_SCHEDULE] = {"schedule", "ID", "publish the last event of this schedule alone", id_fault},
    [OPT_TABLE] = {"table", NULL, "print the variables and what they mean instead", NULL},
    [OPT_FROM] = {"from", "WHEN", "a date-time with offset (2024-03-10T09:00:00-05:00) or a date", text_fault},
    [OPT_TO] = {"to", "WHEN", "the end, of the same form, at most 366 days later", text_fault},
    [OPT_WEBHOOK_ID] = {"id", "UUID", "the webhook's id", uuid_fault},
    [OPT_FROM_NOW] = {"from-now", NULL, "skip what was not sent", NULL},
    [OPT_REPLAY_FROM] = {"from", "TIME", "a time with offset, or the id of an event such as 17.3", replay_from_fault},
    [OPT_REPLAY_TO] = {"to", "TIME", "a time with offset; default now", instant_fault},
};
