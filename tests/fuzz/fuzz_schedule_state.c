/* States of schedules: what can be read makes an event in both formats. */
#include "codec/schedule_state.h"
#include "fuzz.h"

static void emit(const struct schedule_event *event, bool json)
{
    const struct event_context context = {{"/fuzz", 5}, json};
    struct record record;
    struct buf bytes;
    buf_init(&bytes, 32 << 20);
    event_schedule(&bytes, &context, event);
    struct slice rest = buf_slice(&bytes);
    MUST(!bytes.failed && record_take(&rest, &record) && rest.len == 0 && record.topic == RECORD_EVENT);
    buf_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schedule_event event = {0};
    struct arena *arena = arena_new(64 << 20);
    if (schedule_state_read(slice_of_input(data, size), arena, &event) == STATUS_OK) {
        MUST(event.stored.id > 0);
        emit(&event, false);
        emit(&event, true);
    }
    arena_free(arena);
    return 0;
}
