/* A page of a list: which of its items, counted in the list's order. */
#ifndef CORE_PAGE_H
#define CORE_PAGE_H

#include <stdint.h>

enum { PAGE_TAKE_MAX = 250 };

struct page {
    int64_t take; /* at most so many: 1 to PAGE_TAKE_MAX */
    int64_t skip; /* behind the first so many: not negative */
};

#endif
