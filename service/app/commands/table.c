#include "app/command.h"
#include "app/commands/handlers.h"
#include "app/migrate.h"
#include "app/serve.h"
#include "app/version.h"
#include "app/webhooks.h"

#define KEY_LIMIT \
    (OPTION_BIT(OPT_ID) | OPTION_BIT(OPT_NAME) | OPTION_BIT(OPT_REQUESTS) | OPTION_BIT(OPT_WINDOW) | OPTION_BIT(OPT_BLOCK))

static int serve_command(const struct command_call *call)
{
    return serve_run(call->config);
}

static int webhooks_command(const struct command_call *call)
{
    return webhooks_run(call->config);
}

static int migrate_command(const struct command_call *call)
{
    return migrate_run(call->config->database_url, call->config->slot);
}

static int version_command(const struct command_call *call)
{
    (void)call;
    version_print(stdout);
    return 0;
}

const struct command commands[] = {
    {"serve", serve_command, NEEDS_CONFIG, 0, 0, "run the service"},
    {"webhooks", webhooks_command, NEEDS_CONFIG, 0, 0, "send events to HTTP endpoints"},
    {"migrate", migrate_command, NEEDS_CONFIG, 0, 0, "bring the database's schema up to this build"},
    {"topics", topics_command, NEEDS_CONFIG, 0,
     OPTION_BIT(OPT_PARTITIONS) | OPTION_BIT(OPT_REPLICATION_FACTOR) | OPTION_BIT(OPT_MIN_INSYNC_REPLICAS),
     "make and check the Kafka topics"},
    {"offsets show", offsets_show_command, NEEDS_DATABASE, 0, 0, "show the stored offsets beside the log"},
    {"offsets reset", offsets_reset_command, NEEDS_DATABASE, OPTION_BIT(OPT_PARTITION) | OPTION_BIT(OPT_TO_OFFSET),
     OPTION_BIT(OPT_TOPIC), "set a stored offset"},
    {"offsets skip", offsets_skip_command, NEEDS_DATABASE, OPTION_BIT(OPT_PARTITION), OPTION_BIT(OPT_TOPIC),
     "move a stored offset behind a batch that cannot be read"},
    {"rebuild", rebuild_command, NEEDS_DATABASE, 0, OPTION_BIT(OPT_AFTER) | OPTION_BIT(OPT_SCHEDULE),
     "make a lost slot and its events again"},
    {"import", import_command, NEEDS_DATABASE, 0, 0, "apply directory entries (JSON lines) from stdin"},
    {"hours", hours_command, NEEDS_NOTHING, OPTION_BIT(OPT_FROM) | OPTION_BIT(OPT_TO), OPTION_BIT(OPT_TIME_ZONE),
     "print the hours of a schedule on stdin as instants"},
    {"org add", org_add_command, NEEDS_DATABASE, OPTION_BIT(OPT_NAME), OPTION_BIT(OPT_ID), "add an organization"},
    {"org list", org_list_command, NEEDS_DATABASE, 0, 0, "list the organizations"},
    {"org remove", org_remove_command, NEEDS_DATABASE, OPTION_BIT(OPT_ID), OPTION_BIT(OPT_NO_WAIT),
     "remove an organization and its schedules"},
    {"user add", user_add_command, NEEDS_DATABASE, OPTION_BIT(OPT_NAME), OPTION_BIT(OPT_ID) | OPTION_BIT(OPT_TIME_ZONE),
     "add a user"},
    {"user list", user_list_command, NEEDS_DATABASE, 0, 0, "list the users"},
    {"user remove", user_remove_command, NEEDS_DATABASE, OPTION_BIT(OPT_ID), OPTION_BIT(OPT_NO_WAIT),
     "remove a user and their schedules"},
    {"member add", member_add_command, NEEDS_DATABASE, OPTION_BIT(OPT_ORG) | OPTION_BIT(OPT_USER) | OPTION_BIT(OPT_ROLE), 0,
     "add a member to an organization, or set the role"},
    {"member list", member_list_command, NEEDS_DATABASE, OPTION_BIT(OPT_ORG), 0, "list an organization's members"},
    {"member remove", member_remove_command, NEEDS_DATABASE, OPTION_BIT(OPT_ORG) | OPTION_BIT(OPT_USER), 0,
     "end a membership"},
    {"team add", team_add_command, NEEDS_DATABASE, OPTION_BIT(OPT_ORG) | OPTION_BIT(OPT_NAME), OPTION_BIT(OPT_ID),
     "add a team"},
    {"team list", team_list_command, NEEDS_DATABASE, OPTION_BIT(OPT_ORG), 0, "list an organization's teams"},
    {"team remove", team_remove_command, NEEDS_DATABASE, OPTION_BIT(OPT_ID), 0, "remove a team"},
    {"team-member add", team_member_add_command, NEEDS_DATABASE,
     OPTION_BIT(OPT_TEAM) | OPTION_BIT(OPT_USER) | OPTION_BIT(OPT_ROLE), 0, "add a member to a team, or set the role"},
    {"team-member list", team_member_list_command, NEEDS_DATABASE, OPTION_BIT(OPT_TEAM), 0, "list a team's members"},
    {"team-member remove", team_member_remove_command, NEEDS_DATABASE, OPTION_BIT(OPT_TEAM) | OPTION_BIT(OPT_USER), 0,
     "end a membership of a team"},
    {"apikey create", apikey_create_command, NEEDS_DATABASE, OPTION_BIT(OPT_USER),
     OPTION_BIT(OPT_NOTE) | OPTION_BIT(OPT_DAYS) | OPTION_BIT(OPT_NEVER_EXPIRES), "make an API key, which is shown once"},
    {"apikey list", apikey_list_command, NEEDS_DATABASE, 0, OPTION_BIT(OPT_USER), "list the API keys"},
    {"apikey revoke", apikey_revoke_command, NEEDS_DATABASE, OPTION_BIT(OPT_ID), 0, "revoke an API key"},
    {"apikey limit", apikey_limit_command, NEEDS_DATABASE, KEY_LIMIT, 0, "give an API key a rate limit of its own"},
    {"apikey limits", apikey_limits_command, NEEDS_DATABASE, 0, OPTION_BIT(OPT_ID), "list the API keys' own rate limits"},
    {"apikey unlimit", apikey_unlimit_command, NEEDS_DATABASE, OPTION_BIT(OPT_ID) | OPTION_BIT(OPT_NAME), 0,
     "remove such a limit"},
    {"oauth-client create", oauth_client_create_command, NEEDS_DATABASE, OPTION_BIT(OPT_ORG),
     OPTION_BIT(OPT_NAME) | OPTION_BIT(OPT_PERMISSIONS), "make an OAuth client, whose secret is shown once"},
    {"oauth-client list", oauth_client_list_command, NEEDS_DATABASE, 0, OPTION_BIT(OPT_ORG), "list the OAuth clients"},
    {"oauth-client delete", oauth_client_delete_command, NEEDS_DATABASE, OPTION_BIT(OPT_CLIENT_ID), 0,
     "delete an OAuth client"},
    {"system-admin add", system_admin_add_command, NEEDS_DATABASE, OPTION_BIT(OPT_USER), 0,
     "make a user a system administrator"},
    {"system-admin list", system_admin_list_command, NEEDS_DATABASE, 0, 0, "list the system administrators"},
    {"system-admin remove", system_admin_remove_command, NEEDS_DATABASE, OPTION_BIT(OPT_USER), 0,
     "remove a system administrator"},
    {"webhook list", webhook_list_command, NEEDS_DATABASE, 0, 0, "list the webhooks of all owners"},
    {"webhook show", webhook_show_command, NEEDS_DATABASE, OPTION_BIT(OPT_WEBHOOK_ID), 0, "show a webhook and how it fares"},
    {"webhook disable", webhook_disable_command, NEEDS_DATABASE, OPTION_BIT(OPT_WEBHOOK_ID), 0,
     "send nothing to a webhook, which keeps its place"},
    {"webhook enable", webhook_enable_command, NEEDS_DATABASE, OPTION_BIT(OPT_WEBHOOK_ID), OPTION_BIT(OPT_FROM_NOW),
     "send to a webhook again, from where it stopped"},
    {"webhook replay", webhook_replay_command, NEEDS_DATABASE, OPTION_BIT(OPT_WEBHOOK_ID) | OPTION_BIT(OPT_REPLAY_FROM),
     OPTION_BIT(OPT_REPLAY_TO), "send events to a webhook once more"},
    {"webhook reseal", webhook_reseal_command, NEEDS_DATABASE, 0, 0, "seal all secrets with the current WEBHOOK_SECRET_KEY"},
    {"check-config", check_config_command, NEEDS_CONFIG, 0, OPTION_BIT(OPT_TABLE), "check and print the configuration"},
    {"version", version_command, NEEDS_NOTHING, 0, 0, "print the versions of the build and its libraries"},
    {.words = NULL},
};
