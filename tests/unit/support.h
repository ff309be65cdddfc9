/* What the unit tests share: cmocka with what it needs before it, comparisons that show both sides, and copies in memory of
 * exactly their size, so that the address sanitizer sees any byte read behind them. */
#ifndef TESTS_UNIT_SUPPORT_H
#define TESTS_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/schedule.h"
#include "core/slice.h"
#include "core/time_zone.h"

#define ARRAY_LEN(array_) (sizeof(array_) / sizeof((array_)[0]))
#define TZDATA_PATH "/usr/share/zoneinfo/tzdata.zi"

static inline void expect_bytes_at(struct slice got, struct slice want, const char *file, int line)
{
    if (slice_equal(got, want)) return;
    print_error("got  (%zu bytes): %.*s\nwant (%zu bytes): %.*s\n", got.len, (int)got.len, got.len == 0 ? "" : got.data,
                want.len, (int)want.len, want.len == 0 ? "" : want.data);
    _fail(file, line);
}

#define assert_bytes(got_, want_) expect_bytes_at((got_), (want_), __FILE__, __LINE__)
#define assert_text(got_, want_) expect_bytes_at((got_), slice_of(want_), __FILE__, __LINE__)
#define assert_buf(buf_, want_)                                                \
    do {                                                                       \
        assert_false((buf_)->failed);                                          \
        expect_bytes_at(buf_slice(buf_), slice_of(want_), __FILE__, __LINE__); \
    } while (0)

/* A copy in memory of exactly its size; free .data. */
static inline struct slice exact_copy(struct slice bytes)
{
    char *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    assert_non_null(copy);
    if (bytes.len > 0) memcpy(copy, bytes.data, bytes.len);
    return (struct slice){copy, bytes.len};
}

static inline void free_copy(struct slice copy)
{
    free((char *)(uintptr_t)copy.data);
}

static inline struct arena *make_arena(void)
{
    struct arena *arena = arena_new(16 << 20);
    assert_non_null(arena);
    return arena;
}

/* The whole file; free .data. */
static inline struct slice read_whole_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    char *data = malloc((size_t)size);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, file), size);
    fclose(file);
    return (struct slice){data, (size_t)size};
}

static inline struct time_zones *system_time_zones(void)
{
    struct slice text = read_whole_file(TZDATA_PATH);
    struct time_zones *zones = time_zones_new(text);
    free_copy(text);
    assert_non_null(zones);
    return zones;
}

/* "name isString: name must be a string\n" for each. */
static inline void render_violations(struct buf *out, const struct violations *violations)
{
    for (size_t i = 0; i < violations->len; i++) {
        const struct violation *violation = &violations->items[i];
        buf_append_slice(out, violation->property);
        buf_append_char(out, ' ');
        buf_append_slice(out, violation->constraint);
        buf_append(out, ": ", 2);
        buf_append_slice(out, violation->message);
        buf_append_char(out, '\n');
    }
}

#endif
