/* Preloaded into a process it makes the resolver take SLOW_RESOLVER_SECONDS for a name that is no address, as one whose server does not answer
 * does. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    unsigned char bytes[16];
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *seconds = getenv("SLOW_RESOLVER_SECONDS");
    if (node != NULL && inet_pton(AF_INET, node, bytes) != 1) sleep((unsigned)atoi(seconds == NULL ? "0" : seconds));
    return next(node, service, hints, found);
}
