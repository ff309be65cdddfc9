#include "relay/waiter.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool waiter_init(struct waiter *waiter)
{
    atomic_init(&waiter->stopping, false);
    atomic_init(&waiter->draining, false);
    waiter->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return waiter->wake_fd >= 0;
}

void waiter_done(struct waiter *waiter)
{
    close(waiter->wake_fd);
}

static void wake(struct waiter *waiter)
{
    uint64_t one = 1;
    ssize_t written = write(waiter->wake_fd, &one, sizeof(one));
    (void)written; /* fails only when the counter is full, and then the thread is awake anyway */
}

void waiter_stop(struct waiter *waiter)
{
    atomic_store(&waiter->stopping, true);
    wake(waiter);
}

void waiter_drain(struct waiter *waiter)
{
    atomic_store(&waiter->draining, true);
    wake(waiter);
}

bool waiter_is_stopping(struct waiter *waiter)
{
    return atomic_load(&waiter->stopping);
}

bool waiter_is_draining(struct waiter *waiter)
{
    return atomic_load(&waiter->draining);
}

bool waiter_wait(struct waiter *waiter, int fd, short events, int timeout_ms)
{
    if (waiter_is_stopping(waiter)) return false;
    struct pollfd fds[] = {{waiter->wake_fd, POLLIN, 0}, {fd, events, 0}};
    if (poll(fds, fd < 0 ? 1 : 2, timeout_ms) <= 0) return false;
    uint64_t count;
    if (fds[0].revents != 0 && read(waiter->wake_fd, &count, sizeof(count)) < 0) return false;
    return fds[1].revents != 0;
}
