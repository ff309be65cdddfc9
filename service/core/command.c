#include "core/command.h"

#include <inttypes.h>

enum status command_check(const struct command_input *input, const struct time_zones *zones, struct arena *arena,
                          struct create_command *ret_command, struct violations *violations)
{
    size_t before = violations->len;
    *ret_command = (struct create_command){0};
    if (input->command_id.kind != INPUT_GIVEN || !uuid_parse(input->command_id.text, &ret_command->command_id)) {
        violations_add(violations, arena, SLICE("commandId"), SLICE("isUuid"), SLICE("commandId must be a UUID"));
    }
    if (!input->org_id_ok || input->org_id < 0) {
        violations_add(violations, arena, SLICE("orgId"), SLICE("min"),
                       SLICE("orgId must be a positive integer, or 0 for none"));
    } else {
        ret_command->org_id = input->org_id;
    }
    if (!input->user_id_ok || input->user_id < 1) {
        violations_add(violations, arena, SLICE("userId"), SLICE("isPositive"), SLICE("userId must be a positive integer"));
    } else {
        ret_command->user_id = input->user_id;
    }
    enum status status = schedule_check(&input->schedule, zones, arena, &ret_command->schedule, violations);
    if (violations->out_of_memory) return STATUS_NO_MEMORY;
    return status == STATUS_OK && violations->len > before ? STATUS_INVALID : status;
}

void command_refusal(const struct create_command *command, enum status refusal, struct arena *arena,
                     struct violations *violations)
{
    if (refusal == STATUS_CONFLICT) {
        violations_add(violations, arena, SLICE("commandId"), SLICE("isUnique"),
                       SLICE("commandId was used before with other content"));
    } else if (command->org_id == 0) {
        violations_add(violations, arena, SLICE("userId"), SLICE("isUser"),
                       arena_printf(arena, "user with id=%" PRId64 " does not exist.", command->user_id));
    } else {
        violations_add(violations, arena, SLICE("userId"), SLICE("isUserInOrg"),
                       arena_printf(arena, "user with id=%" PRId64 " is not part of the organization with id=%" PRId64 ".",
                                    command->user_id, command->org_id));
    }
}
