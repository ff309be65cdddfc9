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
