/* The commands as the rest of the line sees them: ids and a checked schedule. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include "core/schedule.h"
#include "core/uuid.h"

enum command_kind { COMMAND_CREATE, COMMAND_UPDATE, COMMAND_DELETE };

/* What a sender said. Ids are text or numbers in JSON and numbers in protobuf. */
struct command_input {
    enum command_kind kind;
    struct input_text command_id;
    struct input_id org_id; /* 0: none, the user's own schedule */
    struct input_id user_id;
    struct input_id schedule_id;      /* of a change */
    struct input_id expected_version; /* of a change; 0: any */
    struct schedule_input schedule;   /* not of a delete */
};

struct command {
    enum command_kind kind;
    struct uuid command_id;
    int64_t org_id;           /* 0: none */
    int64_t user_id;          /* the owner */
    int64_t schedule_id;      /* of a change: which */
    int64_t expected_version; /* of a change: it happens only to this one; 0: any */
    struct schedule schedule; /* of an update: what it sets */
};

/* Checks ids and schedule; outcomes as schedule_check. All violations are listed, those of the ids first. The ids that
 * could be read are set in *ret_command even then, so that a rejection can name its command. */
enum status command_check(const struct command_input *input, const struct time_zones *zones, struct arena *arena,
                          struct command *ret_command, struct violations *violations);

/* The one violation of a refusal that only the database can see (STATUS_NOT_A_MEMBER, _CONFLICT, _NOT_FOUND, _NOT_THE_OWNER,
 * _OTHER_VERSION, _AT_LIMIT, which is schedules_max). */
void command_refusal(const struct command *command, enum status refusal, int64_t schedules_max, struct arena *arena,
                     struct violations *violations);

#endif
