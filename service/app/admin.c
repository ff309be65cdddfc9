#include "app/admin.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/admin_command.h"

#define BIT(option) (1U << (option))

static const char *const option_names[OPTIONS_LEN] = {
    [OPT_NAME] = "--name",
    [OPT_ID] = "--id",
    [OPT_ORG] = "--org",
    [OPT_USER] = "--user",
    [OPT_ROLE] = "--role",
    [OPT_NOTE] = "--note",
    [OPT_DAYS] = "--days",
    [OPT_NEVER_EXPIRES] = "--never-expires",
    [OPT_CLIENT_ID] = "--id",
    [OPT_PERMISSIONS] = "--permissions",
    [OPT_REQUESTS] = "--requests",
    [OPT_WINDOW] = "--window",
    [OPT_BLOCK] = "--block",
    [OPT_TEAM] = "--team",
    [OPT_TIME_ZONE] = "--time-zone",
    [OPT_NO_WAIT] = "--no-wait",
};

static const unsigned flag_options = BIT(OPT_NEVER_EXPIRES) | BIT(OPT_NO_WAIT);
static const unsigned number_options = BIT(OPT_ID) | BIT(OPT_ORG) | BIT(OPT_USER) | BIT(OPT_DAYS) | BIT(OPT_REQUESTS) |
                                       BIT(OPT_WINDOW) | BIT(OPT_BLOCK) | BIT(OPT_TEAM);

struct admin_command {
    const char *noun;
    const char *verb;
    unsigned required;
    unsigned optional;
    const char *usage;
    int (*run)(PGconn *db, const struct admin_options *options);
};

static const struct admin_command commands[] = {
    {"org", "add", BIT(OPT_NAME), BIT(OPT_ID), "--name NAME [--id N]", org_add},
    {"org", "list", 0, 0, "", org_list},
    {"org", "remove", BIT(OPT_ID), BIT(OPT_NO_WAIT), "--id N [--no-wait]", org_remove},
    {"user", "add", BIT(OPT_NAME), BIT(OPT_ID) | BIT(OPT_TIME_ZONE), "--name NAME [--id N] [--time-zone ZONE]", user_add},
    {"user", "list", 0, 0, "", user_list},
    {"user", "remove", BIT(OPT_ID), BIT(OPT_NO_WAIT), "--id N [--no-wait]", user_remove},
    {"member", "add", BIT(OPT_ORG) | BIT(OPT_USER) | BIT(OPT_ROLE), 0, "--org N --user N --role owner|admin|member",
     member_add},
    {"member", "list", BIT(OPT_ORG), 0, "--org N", member_list},
    {"member", "remove", BIT(OPT_ORG) | BIT(OPT_USER), 0, "--org N --user N", member_remove},
    {"team", "add", BIT(OPT_ORG) | BIT(OPT_NAME), BIT(OPT_ID), "--org N --name NAME [--id N]", team_add},
    {"team", "list", BIT(OPT_ORG), 0, "--org N", team_list},
    {"team", "remove", BIT(OPT_ID), 0, "--id N", team_remove},
    {"team-member", "add", BIT(OPT_TEAM) | BIT(OPT_USER) | BIT(OPT_ROLE), 0, "--team N --user N --role owner|admin|member",
     team_member_add},
    {"team-member", "list", BIT(OPT_TEAM), 0, "--team N", team_member_list},
    {"team-member", "remove", BIT(OPT_TEAM) | BIT(OPT_USER), 0, "--team N --user N", team_member_remove},
    {"apikey", "create", BIT(OPT_USER), BIT(OPT_NOTE) | BIT(OPT_DAYS) | BIT(OPT_NEVER_EXPIRES),
     "--user N [--note TEXT] [--days N | --never-expires]", apikey_create},
    {"apikey", "list", 0, BIT(OPT_USER), "[--user N]", apikey_list},
    {"apikey", "revoke", BIT(OPT_ID), 0, "--id N", apikey_revoke},
    {"apikey", "limit", BIT(OPT_ID) | BIT(OPT_NAME) | BIT(OPT_REQUESTS) | BIT(OPT_WINDOW) | BIT(OPT_BLOCK), 0,
     "--id N --name NAME --requests N --window SECONDS --block SECONDS", apikey_limit},
    {"apikey", "limits", 0, BIT(OPT_ID), "[--id N]", apikey_limits},
    {"apikey", "unlimit", BIT(OPT_ID) | BIT(OPT_NAME), 0, "--id N --name NAME", apikey_unlimit},
    {"oauth-client", "create", BIT(OPT_ORG), BIT(OPT_NAME) | BIT(OPT_PERMISSIONS),
     "--org N [--permissions read,write] [--name TEXT]", oauth_client_create},
    {"oauth-client", "list", 0, BIT(OPT_ORG), "[--org N]", oauth_client_list},
    {"oauth-client", "delete", BIT(OPT_CLIENT_ID), 0, "--id ID", oauth_client_delete},
    {"system-admin", "add", BIT(OPT_USER), 0, "--user N", system_admin_add},
    {"system-admin", "list", 0, 0, "", system_admin_list},
    {"system-admin", "remove", BIT(OPT_USER), 0, "--user N", system_admin_remove},
};
enum { COMMANDS_LEN = sizeof(commands) / sizeof(commands[0]) };

bool admin_has(const char *word)
{
    for (size_t i = 0; i < COMMANDS_LEN; i++) {
        if (strcmp(commands[i].noun, word) == 0) return true;
    }
    return false;
}

void admin_usage(FILE *out)
{
    for (size_t i = 0; i < COMMANDS_LEN; i++) {
        fprintf(out, "  %s %s %s\n", commands[i].noun, commands[i].verb, commands[i].usage);
    }
}

static const struct admin_command *find_command(int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS_LEN && argc >= 2; i++) {
        if (strcmp(commands[i].noun, argv[0]) == 0 && strcmp(commands[i].verb, argv[1]) == 0) return &commands[i];
    }
    return NULL;
}

/* ---- options ---- */

/* The command's option that a word names; *ret_value what follows its "=", or NULL. */
static enum admin_option find_option(const struct admin_command *command, const char *word, const char **ret_value)
{
    unsigned known = command->required | command->optional;
    size_t len = strcspn(word, "=");
    *ret_value = word[len] == '=' ? word + len + 1 : NULL;
    for (int i = 0; i < OPTIONS_LEN; i++) {
        if (!(known & BIT(i))) continue;
        if (strlen(option_names[i]) == len && strncmp(option_names[i], word, len) == 0) return (enum admin_option)i;
    }
    return OPTIONS_LEN;
}

static bool is_number(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 18 && strspn(text, "0123456789") == len && strtoll(text, NULL, 10) > 0;
}

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) return false;
    }
    return true;
}

static bool is_permissions(const char *value)
{
    return strcmp(value, "read") == 0 || strcmp(value, "write") == 0 || strcmp(value, "read,write") == 0;
}

/* The largest value of a number. */
static int64_t most_of(enum admin_option option)
{
    switch ((int)option) {
    case OPT_DAYS: return 36500;
    case OPT_REQUESTS: return 1000000000;
    case OPT_WINDOW:
    case OPT_BLOCK: return 31536000;
    default: return INT64_MAX;
    }
}

static const char *fault_of_number(enum admin_option option, const char *value)
{
    if (!is_number(value)) return "must be a whole number above zero";
    return strtoll(value, NULL, 10) > most_of(option) ? "is too large" : NULL;
}

/* What is wrong with the value, or NULL. */
static const char *fault_of(enum admin_option option, const char *value)
{
    if (value == NULL) return "needs a value";
    if (number_options & BIT(option)) return fault_of_number(option, value);
    if (option == OPT_NAME && value[0] == '\0') return "must not be empty";
    if (!is_plain(value)) return "must not hold control characters";
    if (option == OPT_PERMISSIONS && !is_permissions(value)) return "must be read, write or read,write";
    bool is_role = strcasecmp(value, "owner") == 0 || strcasecmp(value, "admin") == 0 || strcasecmp(value, "member") == 0;
    return option == OPT_ROLE && !is_role ? "must be owner, admin or member" : NULL;
}

static bool parse_options(const struct admin_command *command, int argc, char **argv, struct admin_options *options)
{
    for (int i = 2; i < argc; i++) {
        const char *value;
        enum admin_option option = find_option(command, argv[i], &value);
        if (option == OPTIONS_LEN) {
            database_fail("%s %s knows no option %s", command->noun, command->verb, argv[i]);
            return false;
        }
        if (BIT(option) & flag_options) value = "";
        else if (value == NULL && i + 1 < argc) value = argv[++i];
        const char *fault = fault_of(option, value);
        if (fault != NULL) {
            database_fail("%s %s", option_names[option], fault);
            return false;
        }
        options->values[option] = value;
    }
    return true;
}

static bool are_complete(const struct admin_command *command, const struct admin_options *options)
{
    for (int i = 0; i < OPTIONS_LEN; i++) {
        if ((command->required & BIT(i)) && options->values[i] == NULL) {
            database_fail("%s %s needs %s", command->noun, command->verb, option_names[i]);
            return false;
        }
    }
    if (options->values[OPT_DAYS] != NULL && options->values[OPT_NEVER_EXPIRES] != NULL) {
        database_fail("--days and --never-expires exclude each other");
        return false;
    }
    return true;
}

int admin_run(const struct config *config, int argc, char **argv)
{
    const struct admin_command *command = find_command(argc, argv);
    struct admin_options options = {.tzdata = config->tzdata};
    if (command == NULL) {
        fprintf(stderr, "usage: schedule-service ...\n");
        admin_usage(stderr);
        return 2;
    }
    if (!parse_options(command, argc, argv, &options) || !are_complete(command, &options)) {
        fprintf(stderr, "usage: schedule-service %s %s %s\n", command->noun, command->verb, command->usage);
        return 2;
    }
    PGconn *db = database_connect(config->database_url);
    int code = db == NULL ? 1 : command->run(db, &options);
    PQfinish(db);
    return code;
}
