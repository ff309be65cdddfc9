#include "driver/metrics.h"

#include <assert.h>
#include <inttypes.h>

enum { COLLECTORS_MAX = 8 };

static struct metric *first;
static struct metric *last;
static struct {
    void (*collect)(void *ctx);
    void *ctx;
} collectors[COLLECTORS_MAX];
static int collectors_len;

void metrics_register(struct metric *metric)
{
    assert(metric->next == NULL && metric != last);
    if (last == NULL) first = metric;
    else last->next = metric;
    last = metric;
}

void metrics_on_collect(void (*collect)(void *ctx), void *ctx)
{
    assert(collectors_len < COLLECTORS_MAX);
    collectors[collectors_len].collect = collect;
    collectors[collectors_len++].ctx = ctx;
}

void metric_observe(struct metric *metric, int64_t value)
{
    size_t i = 0;
    while (metric->buckets[i] != 0 && value > metric->buckets[i]) i++;
    atomic_fetch_add_explicit(&metric->counts[i], 1, memory_order_relaxed);
    metric_add(metric, value);
}

static double shown(const struct metric *metric, int64_t value)
{
    return (double)value * (metric->scale == 0 ? 1 : metric->scale);
}

static void write_histogram(struct buf *out, const struct metric *metric)
{
    const char *comma = metric->labels[0] == '\0' ? "" : ",";
    const char *brace_open = metric->labels[0] == '\0' ? "" : "{";
    const char *brace_close = metric->labels[0] == '\0' ? "" : "}";
    int64_t total = 0;
    for (size_t i = 0;; i++) {
        total += atomic_load_explicit(&metric->counts[i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{%s%sle=\"", metric->name, metric->labels, comma);
        if (metric->buckets[i] == 0) break;
        buf_printf(out, "%.9g\"} %" PRId64 "\n", shown(metric, metric->buckets[i]), total);
    }
    buf_printf(out, "+Inf\"} %" PRId64 "\n", total);
    buf_printf(out, "%s_sum%s%s%s %.9g\n", metric->name, brace_open, metric->labels, brace_close,
               shown(metric, metric_get(metric)));
    buf_printf(out, "%s_count%s%s%s %" PRId64 "\n", metric->name, brace_open, metric->labels, brace_close, total);
}

void metric_write(struct buf *out, const struct metric *metric, const char *labels, int64_t value)
{
    bool has_labels = labels[0] != '\0';
    buf_printf(out, "%s%s%s%s %.15g\n", metric->name, has_labels ? "{" : "", labels, has_labels ? "}" : "",
               shown(metric, value));
}

void metrics_write(struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    for (int i = 0; i < collectors_len; i++) collectors[i].collect(collectors[i].ctx);
    const char *previous = "";
    for (const struct metric *metric = first; metric != NULL; metric = metric->next) {
        if (strcmp(previous, metric->name) != 0) {
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, types[metric->type]);
        }
        previous = metric->name;
        if (metric->type == METRIC_HISTOGRAM) write_histogram(out, metric);
        else if (metric->write_series != NULL) metric->write_series(out, metric);
        else metric_write(out, metric, metric->labels, metric_get(metric));
    }
}
