/* Latencies of one measurement, kept whole: percentiles are exact. */
#ifndef LATENCIES_H
#define LATENCIES_H

#include <stddef.h>
#include <stdint.h>

struct latencies {
    int64_t *us; /* owned */
    size_t len;
    size_t capacity;
};

/* Makes room for at most capacity of them. Ends the program when memory is out. */
void latencies_init(struct latencies *latencies, size_t capacity);
void latencies_done(struct latencies *latencies);

/* Beyond the capacity it is left out. */
void latencies_add(struct latencies *latencies, int64_t us);

/* Prints "p50=<us> p99=<us> p999=<us> max=<us> count=<n>" and a newline. */
void latencies_print(struct latencies *latencies);

#endif
