/* Limits on how often somebody may ask, in fixed windows: the first request opens a window, `requests` of them pass in it, the
 * next one is refused and so is every other until the block is over. Pure: the time is passed in.
 *
 * Who asks is a tracker, known by 32 bytes. The table of trackers has a fixed size; where it is full, the one that was seen
 * least recently gives way. */
#ifndef CORE_RATE_LIMIT_H
#define CORE_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RATE_LIMIT_NAME_SIZE = 33, /* with its terminator */
    RATE_LIMITS_MAX = 4,       /* of one tracker */
    RATE_TRACKER_ID_LEN = 32
};

struct rate_limit {
    char name[RATE_LIMIT_NAME_SIZE];
    int64_t requests;
    int64_t window_us;
    int64_t block_us;
};

/* The limits of one tracker; none: it is not limited. */
struct rate_limits {
    struct rate_limit items[RATE_LIMITS_MAX];
    size_t len;
};

/* How a limit stands after a request. */
struct rate_usage {
    char name[RATE_LIMIT_NAME_SIZE];
    int64_t requests;  /* of the limit */
    int64_t remaining; /* in the window; 0 while blocked */
    int64_t reset_us;  /* until the window or the block ends */
};

/* A request is refused only when every limit is blocked. */
struct rate_verdict {
    bool is_refused;
    struct rate_usage usages[RATE_LIMITS_MAX];
    size_t len;
};

struct rate_limiter;

/* A table of that many trackers, rounded up to a multiple of eight. NULL: no memory. */
struct rate_limiter *rate_limiter_new(size_t trackers);
void rate_limiter_free(struct rate_limiter *limiter);

/* Counts a request against each of the limits. A limit is known by its name: one that has changed keeps its count. */
void rate_limiter_hit(struct rate_limiter *limiter, const uint8_t id[RATE_TRACKER_ID_LEN], const struct rate_limits *limits,
                      int64_t now_us, struct rate_verdict *ret_verdict);

/* How the tracker stands, without counting. False, and no verdict, when no window or block of its own is open. */
bool rate_limiter_peek(struct rate_limiter *limiter, const uint8_t id[RATE_TRACKER_ID_LEN], int64_t now_us,
                       struct rate_verdict *ret_verdict);

#endif
