#include "latencies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void latencies_init(struct latencies *latencies, size_t capacity)
{
    *latencies = (struct latencies){.us = calloc(capacity, sizeof(int64_t)), .capacity = capacity};
    if (latencies->us != NULL) return;
    fprintf(stderr, "no memory for %zu latencies\n", capacity);
    exit(1);
}

void latencies_done(struct latencies *latencies)
{
    free(latencies->us);
}

void latencies_add(struct latencies *latencies, int64_t us)
{
    if (latencies->len < latencies->capacity) latencies->us[latencies->len++] = us;
}

static int in_order(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t at_permille(const struct latencies *latencies, size_t permille)
{
    return latencies->len == 0 ? 0 : latencies->us[(latencies->len - 1) * permille / 1000];
}

void latencies_print(struct latencies *latencies)
{
    qsort(latencies->us, latencies->len, sizeof(int64_t), in_order);
    printf("p50=%" PRId64 " p99=%" PRId64 " p999=%" PRId64 " max=%" PRId64 " count=%zu\n", at_permille(latencies, 500),
           at_permille(latencies, 990), at_permille(latencies, 999), at_permille(latencies, 1000), latencies->len);
}
