#include "app/descriptors.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "driver/log.h"

/* For the connections to PostgreSQL, of which there are some ten, librdkafka's to each of a cluster's brokers, of four clients, and the HTTP
 * connections that are about to be refused. */
enum { RESERVED = 256 };

/* Of fewer descriptors than twice as many, HTTP has half. */
static size_t left_for_http(size_t descriptors)
{
    return descriptors < 2 * RESERVED ? descriptors / 2 : descriptors - RESERVED;
}

static size_t raise_limit(void)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    const struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    else LOG_WARN("the limit of open files stays", LOG_STR("reason", strerror(errno)));
    return limit.rlim_cur;
}

size_t descriptors_for_http(size_t wanted)
{
    size_t descriptors = raise_limit();
    size_t left = left_for_http(descriptors);
    if (left >= wanted) return wanted;
    LOG_WARN("fewer HTTP connections than HTTP_MAX_CONNECTIONS: there are not enough descriptors (RLIMIT_NOFILE)",
             LOG_INT("connections", left), LOG_INT("wanted", wanted), LOG_INT("descriptors", descriptors));
    return left;
}
