/* How the relay's thread sleeps: until a socket is ready, a time has passed, or another thread wakes it to stop or drain.
 * This is all that the relay shares with the rest of the process besides its metrics and its state. */
#ifndef RELAY_INTERRUPTIBLE_WAIT_H
#define RELAY_INTERRUPTIBLE_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>

struct interruptible_wait {
    int wake_fd; /* an eventfd, owned */
    atomic_bool stopping;
    atomic_bool draining;
};

bool interruptible_wait_init(struct interruptible_wait *wait_state);
void interruptible_wait_done(struct interruptible_wait *wait_state);

/* Any thread: asks the relay's thread to end, or to drain, and wakes it. */
void interruptible_wait_stop(struct interruptible_wait *wait_state);
void interruptible_wait_drain(struct interruptible_wait *wait_state);

bool interruptible_wait_is_stopping(struct interruptible_wait *wait_state);
bool interruptible_wait_is_draining(struct interruptible_wait *wait_state);

/* Sleeps until fd (-1: none) has one of the poll(2) events, timeout_ms have passed, or it is woken. True when fd is ready,
 * an error of its own included. Returns at once when stopping. */
bool interruptible_wait_sleep(struct interruptible_wait *wait_state, int fd, short events, int timeout_ms);

#endif
