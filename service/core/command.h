/* The create-schedule command as the rest of the line sees it: ids and a checked schedule. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include "core/schedule.h"
#include "core/uuid.h"

/* What a sender said. Ids are text or numbers in JSON and numbers in protobuf; *_ok is false when one is not usable. */
struct command_input {
    struct input_text command_id;
    int64_t org_id; /* 0: none, the user's own schedule */
    int64_t user_id;
    bool org_id_ok;
    bool user_id_ok;
    struct schedule_input schedule;
};

struct create_command {
    struct uuid command_id;
    int64_t org_id;  /* 0: none */
    int64_t user_id; /* the owner */
    struct schedule schedule;
};

/* Checks ids and schedule; outcomes as schedule_check. All violations are listed, those of the ids first. The ids that
 * could be read are set in *ret_command even then, so that a rejection can name its command. */
enum status command_check(const struct command_input *input, const struct time_zones *zones, struct arena *arena,
                          struct create_command *ret_command, struct violations *violations);

/* The one violation of a refusal that only the database can see (STATUS_NOT_A_MEMBER, STATUS_CONFLICT). */
void command_refusal(const struct create_command *command, enum status refusal, struct arena *arena,
                     struct violations *violations);

#endif
