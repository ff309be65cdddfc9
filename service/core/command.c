#include "core/command.h"

#include <inttypes.h>

static int64_t check_id(const struct input_id *id, int64_t least, struct slice property, struct slice constraint,
                        struct slice message, struct arena *arena, struct violations *violations)
{
    if (id->is_usable && id->value >= least) return id->value;
    violations_add(violations, arena, property, constraint, message);
    return 0;
}

static void check_ids(const struct command_input *input, struct arena *arena, struct command *command,
                      struct violations *violations)
{
    if (input->command_id.kind != INPUT_GIVEN || !uuid_parse(input->command_id.text, &command->command_id)) {
        violations_add(violations, arena, SLICE("commandId"), SLICE("isUuid"), SLICE("commandId must be a UUID"));
    }
    command->org_id = check_id(&input->org_id, 0, SLICE("orgId"), SLICE("min"),
                               SLICE("orgId must be a positive integer, or 0 for none"), arena, violations);
    command->user_id = check_id(&input->user_id, 1, SLICE("userId"), SLICE("isPositive"),
                                SLICE("userId must be a positive integer"), arena, violations);
    if (input->kind == COMMAND_CREATE) return;
    command->schedule_id = check_id(&input->schedule_id, 1, SLICE("scheduleId"), SLICE("isPositive"),
                                    SLICE("scheduleId must be a positive integer"), arena, violations);
    command->expected_version =
        check_id(&input->expected_version, 0, SLICE("expectedVersion"), SLICE("min"),
                 SLICE("expectedVersion must be a positive integer, or 0 for any"), arena, violations);
}

enum status command_check(const struct command_input *input, const struct time_zones *zones, struct arena *arena,
                          struct command *ret_command, struct violations *violations)
{
    size_t before = violations->len;
    enum schedule_use use = input->kind == COMMAND_CREATE ? SCHEDULE_NEW : SCHEDULE_CHANGE;
    *ret_command = (struct command){.kind = input->kind};
    check_ids(input, arena, ret_command, violations);
    enum status status = schedule_check(&input->schedule, use, zones, arena, &ret_command->schedule, violations);
    if (violations->out_of_memory) return arena_failure(arena);
    return status == STATUS_OK && violations->len > before ? STATUS_INVALID : status;
}

static void refuse_member(const struct command *command, struct arena *arena, struct violations *violations)
{
    if (command->org_id == 0) {
        violations_add(violations, arena, SLICE("userId"), SLICE("isUser"),
                       arena_printf(arena, "user with id=%" PRId64 " does not exist.", command->user_id));
    } else {
        violations_add(violations, arena, SLICE("userId"), SLICE("isUserInOrg"),
                       arena_printf(arena, "user with id=%" PRId64 " is not part of the organization with id=%" PRId64 ".",
                                    command->user_id, command->org_id));
    }
}

void command_refusal(const struct command *command, enum status refusal, int64_t schedules_max, struct arena *arena,
                     struct violations *violations)
{
    switch (refusal) {
    case STATUS_CONFLICT:
        violations_add(violations, arena, SLICE("commandId"), SLICE("isUnique"),
                       SLICE("commandId was used before with other content"));
        break;
    case STATUS_NOT_FOUND:
        violations_add(violations, arena, SLICE("scheduleId"), SLICE("exists"),
                       arena_printf(arena, "Schedule with ID=%" PRId64 " does not exist.", command->schedule_id));
        break;
    case STATUS_NOT_THE_OWNER:
        violations_add(violations, arena, SLICE("scheduleId"), SLICE("isOwner"),
                       arena_printf(arena, "User with ID=%" PRId64 " does not own schedule with ID=%" PRId64,
                                    command->user_id, command->schedule_id));
        break;
    case STATUS_OTHER_VERSION:
        violations_add(violations, arena, SLICE("expectedVersion"), SLICE("isCurrent"),
                       arena_printf(arena, "the schedule's version is not %" PRId64, command->expected_version));
        break;
    case STATUS_AT_LIMIT:
        violations_add(violations, arena, SLICE("userId"), SLICE("maxSchedules"),
                       arena_printf(arena, "user with id=%" PRId64 " has at most %" PRId64 " schedules.", command->user_id,
                                    schedules_max));
        break;
    default: refuse_member(command, arena, violations);
    }
}
