/* An arena owns every byte of one command: allocations are never freed one by one, all die with the arena.
 * Its maximum is set when it is made; at the maximum, and when malloc fails, allocation returns NULL, and arena_failure says which. */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "core/slice.h"
#include "core/status.h"

struct arena;

/* Makes an arena that will hand out at most max_bytes; NULL when memory is out. Free it with arena_free. */
struct arena *arena_new(size_t max_bytes);

/* Keeps the memory of arenas that were freed, up to so many small ones, for those that come: the allocator's way costs more than what most
 * commands do with theirs. NULL when memory is out. Free it once no arena of it is left. */
struct arena_pool;
struct arena_pool *arena_pool_new(size_t arenas_max);
void arena_pool_free(struct arena_pool *pool);

/* As arena_new, with memory of the pool where there is some. */
struct arena *arena_pool_take(struct arena_pool *pool, size_t max_bytes);

/* Frees the arena and all that was allocated from it. NULL is fine. */
void arena_free(struct arena *arena);

/* Why the first allocation that failed did: STATUS_TOO_LARGE, it was beyond the maximum, as it would be again; STATUS_NO_MEMORY. STATUS_OK
 * when none has. */
enum status arena_failure(const struct arena *arena);

/* size bytes, aligned for any type, not zeroed; NULL when that fails. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same for count elements, zeroed, with the multiplication checked. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* A copy of the bytes, with a NUL behind them that the length does not count; data is NULL when that fails. */
struct slice arena_copy(struct arena *arena, struct slice bytes);

/* printf into the arena; data is NULL when that fails. */
struct slice arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
