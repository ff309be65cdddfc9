#include "relay/interruptible_wait.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool interruptible_wait_init(struct interruptible_wait *wait_state)
{
    atomic_init(&wait_state->stopping, false);
    atomic_init(&wait_state->draining, false);
    wait_state->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wait_state->wake_fd >= 0;
}

void interruptible_wait_done(struct interruptible_wait *wait_state)
{
    close(wait_state->wake_fd);
}

static void wake(struct interruptible_wait *wait_state)
{
    uint64_t one = 1;
    ssize_t written = write(wait_state->wake_fd, &one, sizeof(one));
    (void)written; /* fails only when the counter is full, and then the thread is awake anyway */
}

void interruptible_wait_stop(struct interruptible_wait *wait_state)
{
    atomic_store(&wait_state->stopping, true);
    wake(wait_state);
}

void interruptible_wait_drain(struct interruptible_wait *wait_state)
{
    atomic_store(&wait_state->draining, true);
    wake(wait_state);
}

bool interruptible_wait_is_stopping(struct interruptible_wait *wait_state)
{
    return atomic_load(&wait_state->stopping);
}

bool interruptible_wait_is_draining(struct interruptible_wait *wait_state)
{
    return atomic_load(&wait_state->draining);
}

bool interruptible_wait_sleep(struct interruptible_wait *wait_state, int fd, short events, int timeout_ms)
{
    if (interruptible_wait_is_stopping(wait_state)) return false;
    struct pollfd fds[] = {{wait_state->wake_fd, POLLIN, 0}, {fd, events, 0}};
    if (poll(fds, fd < 0 ? 1 : 2, timeout_ms) <= 0) return false;
    uint64_t count;
    if (fds[0].revents != 0 && read(wait_state->wake_fd, &count, sizeof(count)) < 0) return false;
    return fds[1].revents != 0;
}
