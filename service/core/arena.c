#include "core/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(from, len) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(from, len) ((void)0)
#endif

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
    struct arena_pool *pool; /* NULL: of none */
    size_t left;
    enum status failure;
};

struct arena_pool {
    struct chunk *chunks; /* of CHUNK_BYTES */
    size_t left;          /* so many more may be kept */
};

static struct chunk *chunk_new(size_t size)
{
    struct chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL) return NULL;
    *chunk = (struct chunk){.size = size};
    return chunk;
}

static void chunks_free(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
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

/* NULL: there is none, or there is no pool. */
static struct chunk *take_kept(struct arena_pool *pool)
{
    struct chunk *chunk = pool == NULL ? NULL : pool->chunks;
    if (chunk == NULL) return NULL;
    ASAN_UNPOISON_MEMORY_REGION(chunk->data, CHUNK_BYTES);
    pool->chunks = chunk->next;
    pool->left++;
    *chunk = (struct chunk){.size = CHUNK_BYTES};
    return chunk;
}

static bool keep(struct arena_pool *pool, struct chunk *chunk)
{
    if (pool == NULL || pool->left == 0 || chunk->size != CHUNK_BYTES) return false;
    ASAN_POISON_MEMORY_REGION(chunk->data, CHUNK_BYTES);
    chunk->next = pool->chunks;
    pool->chunks = chunk;
    pool->left--;
    return true;
}

struct arena *arena_pool_take(struct arena_pool *pool, size_t max_bytes)
{
    struct chunk *chunk = take_kept(pool);
    if (chunk == NULL) chunk = chunk_new(CHUNK_BYTES);
    if (chunk == NULL) return NULL;
    struct arena *arena = chunk_take(chunk, align_up(sizeof(*arena)));
    *arena = (struct arena){.chunks = chunk, .pool = pool, .left = max_bytes};
    return arena;
}

struct arena *arena_new(size_t max_bytes)
{
    return arena_pool_take(NULL, max_bytes);
}

/* The arena itself is in the last one. */
void arena_free(struct arena *arena)
{
    struct arena_pool *pool = arena == NULL ? NULL : arena->pool;
    for (struct chunk *chunk = arena == NULL ? NULL : arena->chunks; chunk != NULL;) {
        struct chunk *next = chunk->next;
        if (!keep(pool, chunk)) free(chunk);
        chunk = next;
    }
}

struct arena_pool *arena_pool_new(size_t arenas_max)
{
    struct arena_pool *pool = malloc(sizeof(*pool));
    if (pool != NULL) *pool = (struct arena_pool){.left = arenas_max};
    return pool;
}

void arena_pool_free(struct arena_pool *pool)
{
    if (pool != NULL) chunks_free(pool->chunks);
    free(pool);
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
