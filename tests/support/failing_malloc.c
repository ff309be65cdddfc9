#include "failing_malloc.h"

#include <string.h>

static size_t left; /* allocations until the one that fails; 0: none does */
static bool failed;

void failing_malloc_arm(size_t nth)
{
    left = nth;
    failed = false;
}

bool failing_malloc_disarm(void)
{
    left = 0;
    return failed;
}

static bool is_to_fail(void)
{
    if (left == 0 || --left > 0) return false;
    failed = true;
    return true;
}

/* The linker's names. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

void *failing_malloc_never(size_t size)
{
    return __real_malloc(size);
}

void *__wrap_malloc(size_t size)
{
    return is_to_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_to_fail() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return is_to_fail() ? NULL : __real_strdup(text);
}
