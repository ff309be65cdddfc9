/* What runs each row of app/commands/table.c. */
#ifndef APP_COMMANDS_HANDLERS_H
#define APP_COMMANDS_HANDLERS_H

#include "app/command.h"

/* Makes the topics that are missing and checks the ones that are there, which are never changed: 1 when Kafka cannot be asked,
 * or the progress topic or the directory's is not compacted. */
int topics_command(const struct command_call *call);

/* The stored offsets beside the topic's log; a stored offset set, or moved behind a batch that cannot be read. */
int offsets_show_command(const struct command_call *call);
int offsets_reset_command(const struct command_call *call);
int offsets_skip_command(const struct command_call *call);

/* Makes a lost replication slot and publishes each schedule's state again; with --schedule one schedule's alone. */
int rebuild_command(const struct command_call *call);

/* Applies directory entries from standard input, one JSON object a line (codec/directory_codec.h), in batches that are one
 * transaction each. A line that is refused stops no other. 0 only when no line was refused. Importing again changes nothing. */
int import_command(const struct command_call *call);

/* Reads a schedule from standard input and prints its ranges as JSON. Of the environment it reads TZDATA alone. */
int hours_command(const struct command_call *call);

int check_config_command(const struct command_call *call);

/* The directory and its keys by hand: each runs one statement or transaction and prints one line of key=value words for each
 * object. */
int org_add_command(const struct command_call *call);
int org_list_command(const struct command_call *call);
int org_remove_command(const struct command_call *call);
int user_add_command(const struct command_call *call);
int user_list_command(const struct command_call *call);
int user_remove_command(const struct command_call *call);
int member_add_command(const struct command_call *call);
int member_list_command(const struct command_call *call);
int member_remove_command(const struct command_call *call);
int team_add_command(const struct command_call *call);
int team_list_command(const struct command_call *call);
int team_remove_command(const struct command_call *call);
int team_member_add_command(const struct command_call *call);
int team_member_list_command(const struct command_call *call);
int team_member_remove_command(const struct command_call *call);
int apikey_create_command(const struct command_call *call);
int apikey_list_command(const struct command_call *call);
int apikey_revoke_command(const struct command_call *call);
int apikey_limit_command(const struct command_call *call);
int apikey_limits_command(const struct command_call *call);
int apikey_unlimit_command(const struct command_call *call);
int oauth_client_create_command(const struct command_call *call);
int oauth_client_list_command(const struct command_call *call);
int oauth_client_delete_command(const struct command_call *call);
int system_admin_add_command(const struct command_call *call);
int system_admin_list_command(const struct command_call *call);
int system_admin_remove_command(const struct command_call *call);
int webhook_list_command(const struct command_call *call);
int webhook_show_command(const struct command_call *call);
int webhook_disable_command(const struct command_call *call);
int webhook_enable_command(const struct command_call *call);
int webhook_replay_command(const struct command_call *call);

/* 1 when a secret does not open; all others are sealed with the current key then. */
int webhook_reseal_command(const struct command_call *call);

#endif
