#include "driver/resolver.h"

#include <netdb.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>

#include "driver/thread.h"

/* Held by who asked and by the thread; the last of the two frees it. */
struct resolution {
    atomic_int holders;
    int fd; /* an eventfd: what the thread writes before, the reader sees behind it */
    char *host;
    struct addresses addresses;
};

static atomic_int threads;

static void release(struct resolution *resolution)
{
    if (atomic_fetch_sub(&resolution->holders, 1) > 1) return;
    if (resolution->fd >= 0) close(resolution->fd);
    free(resolution->host);
    free(resolution);
}

static void resolve(const char *host, struct addresses *ret_addresses)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, NULL, &hints, &found);
    if (error != 0) {
        ret_addresses->fault = gai_strerror(error);
        return;
    }
    for (struct addrinfo *one = found; one != NULL && ret_addresses->len < RESOLVER_ADDRESSES_MAX; one = one->ai_next) {
        char *text = ret_addresses->items[ret_addresses->len];
        if (getnameinfo(one->ai_addr, one->ai_addrlen, text, RESOLVER_ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST) == 0) {
            ret_addresses->len++;
        }
    }
    freeaddrinfo(found);
    if (ret_addresses->len == 0) ret_addresses->fault = "no address";
}

static void *run(void *ctx)
{
    struct resolution *resolution = ctx;
    const uint64_t one = 1;
    resolve(resolution->host, &resolution->addresses);
    ssize_t written = write(resolution->fd, &one, sizeof(one));
    (void)written; /* an eventfd that is at 0 takes it */
    release(resolution);
    atomic_fetch_sub(&threads, 1);
    return NULL;
}

static bool start_thread(struct resolution *resolution)
{
    pthread_t thread;
    if (atomic_fetch_add(&threads, 1) >= RESOLVER_THREADS_MAX) {
        atomic_fetch_sub(&threads, 1);
        return false;
    }
    bool is_started = thread_start(&thread, run, resolution);
    if (is_started) pthread_detach(thread);
    else atomic_fetch_sub(&threads, 1);
    return is_started;
}

struct resolution *resolution_start(const char *host)
{
    struct resolution *resolution = calloc(1, sizeof(*resolution));
    if (resolution == NULL) return NULL;
    atomic_init(&resolution->holders, 1);
    resolution->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    resolution->host = strdup(host);
    if (resolution->fd >= 0 && resolution->host != NULL) {
        atomic_store(&resolution->holders, 2);
        if (start_thread(resolution)) return resolution;
        atomic_store(&resolution->holders, 1);
    }
    release(resolution);
    return NULL;
}

int resolution_fd(const struct resolution *resolution)
{
    return resolution->fd;
}

bool resolution_take(struct resolution *resolution, struct addresses *ret_addresses)
{
    uint64_t count;
    if (read(resolution->fd, &count, sizeof(count)) != sizeof(count)) return false;
    *ret_addresses = resolution->addresses;
    return true;
}

void resolution_free(struct resolution *resolution)
{
    if (resolution != NULL) release(resolution);
}
