#include "core/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 2048 };

struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) char data[];
};

/* The arena lives at the start of its first chunk, so that a small command costs one malloc. */
struct arena {
    struct chunk *chunks;
    size_t left;
    enum status failure;
};

static struct chunk *chunk_new(size_t size)
{
    struct chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL) return NULL;
    *chunk = (struct chunk){.size = size};
    return chunk;
}

static void *chunk_take(struct chunk *chunk, size_t size)
{
    void *p = chunk->data + chunk->used;
    chunk->used += size;
    return p;
}

static size_t align_up(size_t size)
{
    const size_t mask = _Alignof(max_align_t) - 1;
    return (size + mask) & ~mask;
}

struct arena *arena_new(size_t max_bytes)
{
    struct chunk *chunk = chunk_new(CHUNK_BYTES);
    if (chunk == NULL) return NULL;
    struct arena *arena = chunk_take(chunk, align_up(sizeof(*arena)));
    *arena = (struct arena){.chunks = chunk, .left = max_bytes};
    return arena;
}

void arena_free(struct arena *arena)
{
    struct chunk *chunk = arena == NULL ? NULL : arena->chunks;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

enum status arena_failure(const struct arena *arena)
{
    return arena->failure;
}

static void *fail(struct arena *arena, enum status failure)
{
    if (arena->failure == STATUS_OK) arena->failure = failure;
    return NULL;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) return fail(arena, STATUS_TOO_LARGE);
    size = align_up(size == 0 ? 1 : size);
    if (size > arena->left) return fail(arena, STATUS_TOO_LARGE);
    struct chunk *chunk = arena->chunks;
    if (chunk->size - chunk->used < size) {
        chunk = chunk_new(size > CHUNK_BYTES ? size : CHUNK_BYTES);
        if (chunk == NULL) return fail(arena, STATUS_NO_MEMORY);
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    arena->left -= size;
    return chunk_take(chunk, size);
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return fail(arena, STATUS_TOO_LARGE);
    void *p = arena_alloc(arena, bytes);
    if (p != NULL) memset(p, 0, bytes);
    return p;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *p = arena_alloc(arena, bytes.len + 1);
    if (p == NULL) return (struct slice){NULL, 0};
    if (bytes.len > 0) memcpy(p, bytes.data, bytes.len);
    p[bytes.len] = '\0';
    return (struct slice){p, bytes.len};
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    struct slice text = {NULL, 0};
    int len = vsnprintf(NULL, 0, format, args);
    char *p = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (p != NULL) {
        vsnprintf(p, (size_t)len + 1, format, again);
        text = (struct slice){p, (size_t)len};
    }
    va_end(again);
    va_end(args);
    return text;
}
