/* What is amiss at the moment though the process answers, in words: a bounded list to which each part adds what it knows of itself. */
#ifndef CORE_DEGRADED_H
#define CORE_DEGRADED_H

#include <stddef.h>
#include <stdint.h>

enum { DEGRADED_MAX = 16, DEGRADED_BYTES_MAX = 192 };

/* Work that waits so long counts as making no progress. */
static const int64_t degraded_after_us = 30 * 1000000LL;

struct degraded {
    char texts[DEGRADED_MAX][DEGRADED_BYTES_MAX];
    size_t len; /* what comes when it is full is left out */
};

/* Adds a text, cut to its maximum. */
void degraded_add(struct degraded *degraded, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
