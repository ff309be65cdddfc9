#include "core/rate_limit.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 8 };

struct counter {
    struct rate_limit limit;
    int64_t hits;
    int64_t ends_us; /* of the window, or of the block */
    bool is_blocked;
};

struct tracker {
    uint8_t id[RATE_TRACKER_ID_LEN];
    int64_t seen_us;
    struct counter counters[RATE_LIMITS_MAX];
    size_t len; /* 0: the place is free */
};

struct rate_limiter {
    size_t sets;
    struct tracker trackers[];
};

struct rate_limiter *rate_limiter_new(size_t trackers)
{
    size_t sets = (trackers + WAYS - 1) / WAYS;
    struct rate_limiter *limiter = calloc(1, sizeof(*limiter) + sets * WAYS * sizeof(struct tracker));
    if (limiter != NULL) limiter->sets = sets;
    return limiter;
}

void rate_limiter_free(struct rate_limiter *limiter)
{
    free(limiter);
}

/* ---- trackers ---- */

/* The places where the tracker may be. Ids are digests, so their first bytes are spread evenly. */
static struct tracker *set_of(struct rate_limiter *limiter, const uint8_t *id)
{
    uint64_t head;
    memcpy(&head, id, sizeof(head));
    return limiter->trackers + head % limiter->sets * WAYS;
}

static struct tracker *find(struct rate_limiter *limiter, const uint8_t *id)
{
    struct tracker *set = set_of(limiter, id);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].len > 0 && memcmp(set[i].id, id, RATE_TRACKER_ID_LEN) == 0) return &set[i];
    }
    return NULL;
}

static bool gives_way_before(const struct tracker *a, const struct tracker *b)
{
    if (a->len == 0 || b->len == 0) return a->len == 0 && b->len > 0;
    return a->seen_us < b->seen_us;
}

static struct tracker *find_or_place(struct rate_limiter *limiter, const uint8_t *id)
{
    struct tracker *tracker = find(limiter, id);
    if (tracker != NULL) return tracker;
    struct tracker *set = set_of(limiter, id);
    tracker = set;
    for (size_t i = 1; i < WAYS; i++) {
        if (gives_way_before(&set[i], tracker)) tracker = &set[i];
    }
    *tracker = (struct tracker){0};
    memcpy(tracker->id, id, RATE_TRACKER_ID_LEN);
    return tracker;
}

/* ---- counters ---- */

/* What was counted under the limit's name until now. */
static struct counter counter_of(const struct tracker *tracker, const struct rate_limit *limit)
{
    struct counter counter = {.ends_us = INT64_MIN};
    for (size_t i = 0; i < tracker->len; i++) {
        if (strcmp(tracker->counters[i].limit.name, limit->name) == 0) counter = tracker->counters[i];
    }
    counter.limit = *limit;
    return counter;
}

static void set_limits(struct tracker *tracker, const struct rate_limits *limits)
{
    struct counter counters[RATE_LIMITS_MAX];
    for (size_t i = 0; i < limits->len; i++) counters[i] = counter_of(tracker, &limits->items[i]);
    memcpy(tracker->counters, counters, limits->len * sizeof(counters[0]));
    tracker->len = limits->len;
}

static void count(struct counter *counter, int64_t now_us)
{
    if (now_us >= counter->ends_us) {
        *counter = (struct counter){.limit = counter->limit, .ends_us = now_us + counter->limit.window_us};
    }
    if (counter->is_blocked || ++counter->hits <= counter->limit.requests) return;
    counter->is_blocked = true;
    counter->ends_us = now_us + counter->limit.block_us;
}

static struct rate_usage usage_of(const struct counter *counter, int64_t now_us)
{
    const struct rate_limit *limit = &counter->limit;
    bool is_open = counter->ends_us > now_us;
    int64_t hits = is_open ? counter->hits : 0;
    struct rate_usage usage = {.requests = limit->requests, .reset_us = is_open ? counter->ends_us - now_us : 0};
    usage.remaining = hits < limit->requests ? limit->requests - hits : 0;
    memcpy(usage.name, limit->name, sizeof(usage.name));
    return usage;
}

static bool is_blocked(const struct counter *counter, int64_t now_us)
{
    return counter->is_blocked && counter->ends_us > now_us;
}

static void check(const struct tracker *tracker, int64_t now_us, struct rate_verdict *ret_verdict)
{
    *ret_verdict = (struct rate_verdict){.is_refused = tracker->len > 0, .len = tracker->len};
    for (size_t i = 0; i < tracker->len; i++) {
        const struct counter *counter = &tracker->counters[i];
        ret_verdict->usages[i] = usage_of(counter, now_us);
        ret_verdict->is_refused = ret_verdict->is_refused && is_blocked(counter, now_us);
    }
}

/* ---- requests ---- */

void rate_limiter_hit(struct rate_limiter *limiter, const uint8_t id[RATE_TRACKER_ID_LEN], const struct rate_limits *limits,
                      int64_t now_us, struct rate_verdict *ret_verdict)
{
    *ret_verdict = (struct rate_verdict){0};
    if (limits->len == 0) return;
    struct tracker *tracker = find_or_place(limiter, id);
    tracker->seen_us = now_us;
    set_limits(tracker, limits);
    for (size_t i = 0; i < tracker->len; i++) count(&tracker->counters[i], now_us);
    check(tracker, now_us, ret_verdict);
}

bool rate_limiter_peek(struct rate_limiter *limiter, const uint8_t id[RATE_TRACKER_ID_LEN], int64_t now_us,
                       struct rate_verdict *ret_verdict)
{
    struct tracker *tracker = find(limiter, id);
    bool is_live = false;
    for (size_t i = 0; tracker != NULL && i < tracker->len; i++) is_live |= tracker->counters[i].ends_us > now_us;
    if (!is_live) return false;
    tracker->seen_us = now_us;
    check(tracker, now_us, ret_verdict);
    return true;
}
