/* Makes one allocation fail: that of malloc, calloc, realloc or strdup in what is linked with FAIL_MALLOC's --wrap (see the Makefile),
 * which is the service's own code and the test's; jansson's are among them, as the service hands it an allocator. Those of other
 * libraries are not. Not thread safe. */
#ifndef TESTS_SUPPORT_FAILING_MALLOC_H
#define TESTS_SUPPORT_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Lets the nth allocation from now on fail, counted from 1. */
void failing_malloc_arm(size_t nth);

/* For libraries that are handed an allocator and do not survive its failure. */
void *failing_malloc_never(size_t size);

/* Lets none fail any more. Whether one has since it was armed. */
bool failing_malloc_disarm(void);

#endif
