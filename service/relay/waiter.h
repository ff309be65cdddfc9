/* How the relay's thread sleeps: until a socket is ready, a time has passed, or another thread wakes it to stop or drain.
 * This is all that the relay shares with the rest of the process besides its metrics and its state. */
#ifndef RELAY_WAITER_H
#define RELAY_WAITER_H

#include <stdatomic.h>
#include <stdbool.h>

struct waiter {
    int wake_fd; /* an eventfd, owned */
    atomic_bool stopping;
    atomic_bool draining;
};

bool waiter_init(struct waiter *waiter);
void waiter_done(struct waiter *waiter);

/* Any thread: asks the relay's thread to end, or to drain, and wakes it. */
void waiter_stop(struct waiter *waiter);
void waiter_drain(struct waiter *waiter);

bool waiter_is_stopping(struct waiter *waiter);
bool waiter_is_draining(struct waiter *waiter);

/* Sleeps until fd (-1: none) has one of the poll(2) events, timeout_ms have passed, or it is woken. True when fd is ready,
 * an error of its own included. Returns at once when stopping. */
bool waiter_wait(struct waiter *waiter, int fd, short events, int timeout_ms);

#endif
