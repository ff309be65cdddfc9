/* The smaller of two sizes or positions. Pure. */
#ifndef CORE_SMALLER_H
#define CORE_SMALLER_H

#include <stdint.h>

static inline uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
