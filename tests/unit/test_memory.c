/* The arena and the buffer: what they hand out, and that at their maximum, and when malloc fails, they say so. */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1"; /* a malloc that is too large fails, as it does without the sanitizer */
}

/* No machine has it. */
static volatile size_t too_much = SIZE_MAX / 4;

static void arena_memory_is_aligned_distinct_and_writable(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    static const size_t sizes[] = {0, 1, 7, 8, 15, 16, 17, 100, 2047, 2048, 2049, 4096, 100000, 1, 0};
    char *parts[ARRAY_LEN(sizes)];
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        parts[i] = arena_alloc(arena, sizes[i]);
        assert_non_null(parts[i]);
        assert_int_equal((uintptr_t)parts[i] % _Alignof(max_align_t), 0);
        memset(parts[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t j = 0; j < sizes[i]; j++) assert_int_equal(parts[i][j], i + 1);
    }
    arena_free(arena);
}

static void arena_ends_at_its_maximum_and_not_before(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64);
    assert_non_null(arena_alloc(arena, 32));
    assert_null(arena_alloc(arena, 33));
    assert_non_null(arena_alloc(arena, 32)); /* what did not fit took nothing */
    assert_null(arena_alloc(arena, 1));
    assert_null(arena_alloc(arena, 0));
    arena_free(arena);
}

static void arena_refuses_what_cannot_be(void **state)
{
    (void)state;
    struct arena *arena = arena_new(SIZE_MAX);
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_alloc(arena, SIZE_MAX - 8));
    assert_null(arena_calloc(arena, SIZE_MAX / 2, 3));
    assert_null(arena_calloc(arena, 3, SIZE_MAX / 2));
    assert_non_null(arena_calloc(arena, 0, SIZE_MAX));
    assert_int_equal(arena_failure(arena), STATUS_TOO_LARGE);
    arena_free(arena);
    arena = arena_new(SIZE_MAX);
    assert_int_equal(arena_failure(arena), STATUS_OK);
    assert_null(arena_alloc(arena, too_much)); /* malloc fails */
    assert_int_equal(arena_failure(arena), STATUS_NO_MEMORY);
    assert_null(arena_alloc(arena, SIZE_MAX)); /* the first reason counts */
    assert_int_equal(arena_failure(arena), STATUS_NO_MEMORY);
    assert_non_null(arena_alloc(arena, 10));
    arena_free(arena);
    arena_free(NULL);
}

static void pool_hands_out_again_what_was_freed_up_to_its_maximum(void **state)
{
    (void)state;
    enum { KEPT = 2, MADE = 4 };
    struct arena_pool *pool = arena_pool_new(KEPT);
    struct arena *arenas[MADE];
    assert_non_null(pool);
    for (size_t i = 0; i < MADE; i++) {
        arenas[i] = arena_pool_take(pool, 1 << 20);
        assert_non_null(memset(arena_alloc(arenas[i], 1000), 'x', 1000));
        assert_non_null(arena_alloc(arenas[i], 100000)); /* is not kept */
    }
    for (size_t i = 0; i < MADE; i++) arena_free(arenas[i]);
    struct arena *last = arena_pool_take(pool, 64);
    struct arena *first = arena_pool_take(pool, 64);
    assert_ptr_equal(last, arenas[1]);
    assert_ptr_equal(first, arenas[0]);
    assert_null(arena_alloc(last, 65)); /* the maximum is its own */
    assert_int_equal(arena_failure(last), STATUS_TOO_LARGE);
    assert_int_equal(arena_failure(first), STATUS_OK);
    assert_non_null(memset(arena_alloc(first, 64), 'y', 64));
    arena_free(first);
    arena_free(last);
    arena_pool_free(pool);
    arena_pool_free(NULL);
}

static void arena_calloc_zeroes_memory(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    for (int i = 0; i < 100; i++) {
        char *p = arena_calloc(arena, 10, 13);
        for (int j = 0; j < 130; j++) assert_int_equal(p[j], 0);
        memset(p, 0xff, 130);
    }
    arena_free(arena);
}

static void arena_copies_end_with_nul(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    struct slice source = exact_copy(SLICE("a\0b"));
    struct slice copy = arena_copy(arena, source);
    free_copy(source);
    assert_bytes(copy, SLICE("a\0b"));
    assert_int_equal(copy.data[3], '\0');
    struct slice empty = arena_copy(arena, (struct slice){NULL, 0});
    assert_non_null(empty.data);
    assert_int_equal(empty.len, 0);
    assert_int_equal(empty.data[0], '\0');
    struct slice printed = arena_printf(arena, "%s-%d%c", "x", -7, '!');
    assert_text(printed, "x--7!");
    assert_int_equal(printed.data[printed.len], '\0');
    arena_free(arena);
    struct arena *small = arena_new(16);
    assert_null(arena_printf(small, "%100d", 1).data);
    assert_null(arena_copy(small, (struct slice){"0123456789abcdef", 16}).data);
    assert_non_null(arena_copy(small, (struct slice){"0123456789abcde", 15}).data);
    arena_free(small);
}

static void buf_grows_and_keeps_what_it_holds(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100000);
    for (int i = 0; i < 10000; i++) buf_append_char(&buf, (char)('a' + i % 26));
    assert_false(buf.failed);
    assert_int_equal(buf.len, 10000);
    for (int i = 0; i < 10000; i++) assert_int_equal(buf.data[i], 'a' + i % 26);
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    buf_append_int(&buf, INT64_MIN);
    buf_append_char(&buf, ' ');
    buf_append_int(&buf, INT64_MAX);
    buf_append(&buf, NULL, 0);
    buf_append_slice(&buf, (struct slice){NULL, 0});
    assert_buf(&buf, "-9223372036854775808 9223372036854775807");
    buf_done(&buf);
    assert_null(buf.data);
}

static void buf_fails_over_its_maximum_and_stays_failed(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    buf_append(&buf, "12345678", 8);
    assert_false(buf.failed);
    buf_append_char(&buf, '9');
    assert_int_equal(buf_status(&buf), STATUS_TOO_LARGE);
    assert_int_equal(buf.len, 8);
    buf_clear(&buf);
    assert_int_equal(buf_status(&buf), STATUS_OK);
    buf_append(&buf, "123456789", 9);
    assert_true(buf.failed);
    assert_null(buf_extend(&buf, 1));
    assert_int_equal(buf.len, 0); /* a shorter piece must not stand where a longer one was lost */
    buf_done(&buf);
}

static void buf_fails_when_malloc_does(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    buf_append_char(&buf, 'x');
    assert_null(buf_extend(&buf, too_much));
    assert_int_equal(buf_status(&buf), STATUS_NO_MEMORY);
    buf_fail(&buf, STATUS_TOO_LARGE); /* the first reason counts */
    assert_int_equal(buf_status(&buf), STATUS_NO_MEMORY);
    assert_int_equal(buf.len, 1);
    assert_int_equal(buf.data[0], 'x');
    buf_done(&buf);
}

static void buf_prints_texts_of_any_length(void **state)
{
    (void)state;
    static const int lengths[] = {0, 1, 254, 255, 256, 257, 511, 512, 1000, 5000};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf buf;
        buf_init(&buf, 10000);
        buf_printf(&buf, "<%*s>", lengths[i], "");
        assert_false(buf.failed);
        assert_int_equal(buf.len, lengths[i] + 2);
        assert_int_equal(buf.data[0], '<');
        assert_int_equal(buf.data[buf.len - 1], '>');
        buf_append_char(&buf, '!');
        assert_int_equal(buf.data[lengths[i] + 2], '!');
        buf_done(&buf);
    }
    struct buf small;
    buf_init(&small, 300);
    buf_printf(&small, "%301d", 1);
    assert_true(small.failed);
    buf_done(&small);
}

#ifdef __SANITIZE_ADDRESS__
/* What all tests with the address sanitizer rely on: here too it sees leaks, and ends the process with a status of its own. */
static void a_leak_does_not_pass(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        void *volatile leaked = malloc(1000);
        (void)leaked;
        leaked = NULL;
        fclose(stderr);
        exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_aligned_distinct_and_writable),
        cmocka_unit_test(arena_ends_at_its_maximum_and_not_before),
        cmocka_unit_test(arena_refuses_what_cannot_be),
        cmocka_unit_test(pool_hands_out_again_what_was_freed_up_to_its_maximum),
        cmocka_unit_test(arena_calloc_zeroes_memory),
        cmocka_unit_test(arena_copies_end_with_nul),
        cmocka_unit_test(buf_grows_and_keeps_what_it_holds),
        cmocka_unit_test(buf_fails_over_its_maximum_and_stays_failed),
        cmocka_unit_test(buf_fails_when_malloc_does),
        cmocka_unit_test(buf_prints_texts_of_any_length),
#ifdef __SANITIZE_ADDRESS__
        cmocka_unit_test(a_leak_does_not_pass),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
