#include "codec/protobuf.h"

#include "core/utf8.h"

static void *arena_allocate(void *ctx, size_t size)
{
    return arena_alloc(ctx, size);
}

static void arena_release(void *ctx, void *p)
{
    (void)ctx; /* dies with the arena */
    (void)p;
}

ProtobufCAllocator protobuf_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){arena_allocate, arena_release, arena};
}

struct input_text protobuf_text(const ProtobufCBinaryData *bytes, bool *utf8)
{
    struct slice text = {bytes->data == NULL ? "" : (const char *)bytes->data, bytes->len};
    *utf8 = *utf8 && utf8_is_valid(text);
    return (struct input_text){INPUT_GIVEN, text};
}

static bool read_window(const Schedules__V1__AvailabilityWindow *window, struct arena *arena, struct input_item *item,
                        bool *utf8)
{
    uint8_t *days = arena_alloc(arena, window->n_days);
    if (days == NULL) return false;
    item->is_object = true;
    item->days = (struct input_days){INPUT_GIVEN, true, days, window->n_days};
    for (size_t i = 0; i < window->n_days; i++) {
        bool known = window->days[i] >= (int)MONDAY && window->days[i] <= (int)SUNDAY;
        days[i] = (uint8_t)(known ? (int)window->days[i] : (int)WEEKDAY_NONE);
        if (!known) item->days.all_valid = false;
    }
    item->start_time = protobuf_text(&window->start_time, utf8);
    item->end_time = protobuf_text(&window->end_time, utf8);
    return true;
}

bool protobuf_windows(Schedules__V1__AvailabilityWindow *const *windows, size_t len, struct arena *arena,
                      struct input_list *ret_list, bool *utf8)
{
    struct input_item *items = arena_calloc(arena, len, sizeof(*items));
    if (items == NULL) return false;
    for (size_t i = 0; i < len; i++) {
        if (!read_window(windows[i], arena, &items[i], utf8)) return false;
    }
    *ret_list = (struct input_list){.kind = INPUT_GIVEN, .items = items, .len = len};
    return true;
}

bool protobuf_overrides(Schedules__V1__DateOverride *const *overrides, size_t len, struct arena *arena,
                        struct input_list *ret_list, bool *utf8)
{
    struct input_item *items = arena_calloc(arena, len, sizeof(*items));
    if (items == NULL) return false;
    for (size_t i = 0; i < len; i++) {
        const Schedules__V1__DateOverride *override = overrides[i];
        items[i].is_object = true;
        items[i].date = protobuf_text(&override->date, utf8);
        items[i].start_time = protobuf_text(&override->start_time, utf8);
        items[i].end_time = protobuf_text(&override->end_time, utf8);
    }
    *ret_list = (struct input_list){.kind = INPUT_GIVEN, .items = items, .len = len};
    return true;
}

bool confluent_unframe(struct slice *bytes)
{
    enum { MAGIC_AND_SCHEMA = 5 };
    if (bytes->len <= MAGIC_AND_SCHEMA) return false;
    const char *path = bytes->data + MAGIC_AND_SCHEMA;
    size_t left = bytes->len - MAGIC_AND_SCHEMA;
    size_t path_len = path[0] == 0 ? 1 : left >= 2 && path[0] == 2 && path[1] == 0 ? 2 : 0;
    if (path_len == 0) return false;
    *bytes = (struct slice){path + path_len, left - path_len};
    return true;
}
