/* A command from bytes to the record that is emitted for it. The first byte says whether it comes as JSON, and its kind. */
#include "codec/command_codec.h"
#include "codec/dead_letter.h"
#include "codec/command_digest.h"
#include "codec/event.h"
#include "codec/schedule_json.h"
#include "fuzz.h"

static const struct record_origin origin = {{"commands", 8}, 1, 2};

static void must_unpack(struct buf *bytes, enum record_topic topic)
{
    struct record record;
    struct slice rest = buf_slice(bytes);
    MUST(!bytes->failed && record_take(&rest, &record) && rest.len == 0 && record.topic == topic);
    buf_done(bytes);
}

static void emit(const struct command *command, const struct command_input *input, const struct violations *violations,
                 struct arena *arena)
{
    for (int json = 0; json < 2; json++) {
        const struct event_context context = {{"/fuzz", 5}, json != 0};
        struct buf bytes;
        buf_init(&bytes, 32 << 20);
        const struct schedule_event event = {.type = SCHEDULE_CREATED,
                                             .stored = {.id = 1,
                                                        .owner_id = command->user_id,
                                                        .schedule = command->schedule},
                                             .command_id = SLICE("id"),
                                             .occurred_us = 1700000000000000};
        if (violations->len == 0) event_schedule(&bytes, &context, &event);
        else
            event_rejected(&bytes, &context, input->command_id.text, command->org_id, command->user_id, violations, &origin,
                           1, SLICE("t"), arena);
        must_unpack(&bytes, RECORD_EVENT);
    }
}

static void digest(const struct command *command)
{
    struct buf availability;
    struct buf overrides;
    uint8_t bytes[16];
    buf_init(&availability, 32 << 20);
    buf_init(&overrides, 32 << 20);
    availability_write_json(&availability, &command->schedule);
    overrides_write_json(&overrides, &command->schedule);
    struct command_digester *digester = command_digester_new();
    MUST(digester != NULL);
    MUST(command_digest(digester, command, buf_slice(&availability), buf_slice(&overrides), bytes) == STATUS_OK);
    command_digester_free(digester);
    buf_done(&availability);
    buf_done(&overrides);
}

static void dead_letter(struct slice bytes, const char *reason)
{
    struct record original = {.key = {NULL, 0}, .value = bytes};
    struct buf packed;
    MUST(reason != NULL);
    buf_init(&packed, 32 << 20);
    dead_letter_pack(&packed, &original, slice_of(reason), &origin, 1 << 20);
    must_unpack(&packed, RECORD_DEAD_LETTER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct time_zones *zones;
    if (zones == NULL) zones = time_zones_new(SLICE(FUZZ_ZONES));
    if (size == 0) return 0;
    struct slice bytes = slice_of_input(data + 1, size - 1);
    struct arena *arena = arena_new(64 << 20);
    struct command_input input;
    struct command command;
    struct violations violations = {0};
    const char *reason = NULL;
    enum status status =
        command_decode(bytes, (enum command_kind)(data[0] / 2 % 3), (data[0] & 1) != 0, arena, &input, &reason);
    MUST(status == STATUS_OK || status == STATUS_UNDECODABLE || status == STATUS_NO_MEMORY);
    if (status == STATUS_UNDECODABLE) dead_letter(bytes, reason);
    if (status == STATUS_OK) {
        status = command_check(&input, zones, arena, &command, &violations);
        MUST(status == STATUS_OK        ? violations.len == 0
             : status == STATUS_INVALID ? violations.len > 0
                                        : status == STATUS_NO_MEMORY);
        if (status != STATUS_NO_MEMORY) emit(&command, &input, &violations, arena);
        if (status == STATUS_OK) digest(&command);
    }
    arena_free(arena);
    return 0;
}
