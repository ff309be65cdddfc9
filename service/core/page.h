/* A page of a list: which of its items, counted in the list's order, which is that of their ids. */
#ifndef CORE_PAGE_H
#define CORE_PAGE_H

#include <stdint.h>

enum { PAGE_TAKE_MAX = 250, PAGE_SKIP_MAX = 10000 };

struct page {
    int64_t take;   /* at most so many: 1 to PAGE_TAKE_MAX */
    int64_t skip;   /* behind the first so many: 0 to PAGE_SKIP_MAX, as they are passed over one by one */
    int64_t cursor; /* of those behind the item with this id; 0: all */
};

#endif
