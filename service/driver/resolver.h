/* A host's addresses, asked of the system's resolver by a thread of its own, as getaddrinfo(3) cannot be waited for in an event loop. */
#ifndef DRIVER_RESOLVER_H
#define DRIVER_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>

enum {
    RESOLVER_ADDRESSES_MAX = 16,
    RESOLVER_ADDRESS_SIZE = 80, /* an IPv6 address with the name of its interface */
    RESOLVER_THREADS_MAX = 32   /* of the process; a resolver that hangs holds one for each question */
};

struct resolution;

struct addresses {
    size_t len;
    char items[RESOLVER_ADDRESSES_MAX][RESOLVER_ADDRESS_SIZE]; /* numeric, in the resolver's order */
    const char *fault;                                         /* static; why there is none */
};

/* Starts asking. NULL: out of memory, descriptors or threads. */
struct resolution *resolution_start(const char *host);

/* Readable once it is answered. */
int resolution_fd(const struct resolution *resolution);

/* False while it is not answered. */
bool resolution_take(struct resolution *resolution, struct addresses *ret_addresses);

/* May be given up at any time; the thread ends by itself when the resolver does. */
void resolution_free(struct resolution *resolution);

#endif
