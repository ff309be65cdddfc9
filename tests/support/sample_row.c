#include "sample_row.h"

#include "codec/command_codec.h"
#include "codec/event.h"
#include "codec/schedule_json.h"
#include "driver/clock.h"

enum { TEXT_BYTES_MAX = 1 << 20 };

void sample_row_init(struct sample_row *row)
{
    buf_init(&row->availability, TEXT_BYTES_MAX);
    buf_init(&row->overrides, TEXT_BYTES_MAX);
    buf_init(&row->record, TEXT_BYTES_MAX);
    row->digester = command_digester_new();
}

void sample_row_done(struct sample_row *row)
{
    buf_done(&row->availability);
    buf_done(&row->overrides);
    buf_done(&row->record);
    command_digester_free(row->digester);
}

static enum status make_texts(struct sample_row *row, int64_t schedule_id)
{
    static const struct event_context context = {.source = SLICE("/schedule-service")};
    const struct command *command = &row->command;
    char command_id[UUID_TEXT_LEN];
    uuid_format(&command->command_id, command_id);
    const struct schedule_event event = {
        .type = SCHEDULE_CREATED,
        .stored = {schedule_id, command->user_id, command->org_id, 1, command->schedule},
        .command_id = {command_id, sizeof(command_id)},
        .occurred_us = clock_wall_us(),
    };
    buf_clear(&row->availability);
    buf_clear(&row->overrides);
    buf_clear(&row->record);
    availability_write_json(&row->availability, &command->schedule);
    overrides_write_json(&row->overrides, &command->schedule);
    event_schedule(&row->record, &context, &event);
    if (row->availability.failed || row->overrides.failed || row->record.failed || row->digester == NULL)
        return STATUS_NO_MEMORY;
    return command_digest(row->digester, command, buf_slice(&row->availability), buf_slice(&row->overrides), row->digest);
}

enum status sample_row_make(struct sample_row *row, struct slice bytes, int64_t schedule_id, const struct time_zones *zones,
                            struct arena *arena)
{
    struct command_input input;
    struct violations violations = {0};
    const char *reason;
    enum status status = command_decode(bytes, COMMAND_CREATE, false, arena, &input, &reason);
    if (status == STATUS_OK) status = command_check(&input, zones, arena, &row->command, &violations);
    return status == STATUS_OK ? make_texts(row, schedule_id) : status;
}
