/* Prometheus metrics. Modules hold their metrics as static variables and register them once at start; updates are
 * lock-free and may come from any thread. */
#ifndef DRIVER_METRICS_H
#define DRIVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum { METRIC_BUCKETS_MAX = 16 };

/* One time series. Series of one name follow each other in registration order, so that # HELP stands once. */
struct metric {
    enum metric_type type;
    const char *name;   /* "schedule_commands_total" */
    const char *labels; /* "result=\"created\"", or "" */
    const char *help;
    double scale;           /* shown value = stored value * scale; 0 means 1 */
    const int64_t *buckets; /* histograms: ascending upper bounds in stored units, ended by 0 */
    /* Of a gauge whose series come and go: writes each of them with metric_write. NULL: it has the one series of its labels. */
    void (*write_series)(struct buf *out, const struct metric *metric);
    void *ctx;             /* for write_series */
    _Atomic int64_t value; /* histograms: the sum */
    _Atomic int64_t counts[METRIC_BUCKETS_MAX + 1];
    struct metric *next;
};

/* Adds it to what metrics_write shows. Main thread only, before other threads start. Registering twice is a bug. */
void metrics_register(struct metric *metric);

/* A hook called before each metrics_write, to set gauges that are read rather than counted. At most 8. */
void metrics_on_collect(void (*collect)(void *ctx), void *ctx);

static inline void metric_add(struct metric *metric, int64_t amount)
{
    atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}

static inline void metric_set(struct metric *metric, int64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

static inline int64_t metric_get(const struct metric *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

/* Counts one observation of a histogram, in stored units (microseconds with scale 1e-6 for times). */
void metric_observe(struct metric *metric, int64_t value);

/* Appends one sample with these labels. */
void metric_write(struct buf *out, const struct metric *metric, const char *labels, int64_t value);

/* Appends the text exposition format 0.0.4 of everything registered. */
void metrics_write(struct buf *out);

#endif
