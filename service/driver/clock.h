/* The clocks, in microseconds. */
#ifndef DRIVER_CLOCK_H
#define DRIVER_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Since the Unix epoch; may jump. For what is stored and shown. */
static inline int64_t clock_wall_us(void)
{
    return clock_read_us(CLOCK_REALTIME);
}

/* Never jumps. For deadlines and durations. */
static inline int64_t clock_steady_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}

#endif
