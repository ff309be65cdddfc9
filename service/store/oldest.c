#include "store/oldest.h"

#include <inttypes.h>
#include <stdio.h>

#include "driver/clock.h"
#include "driver/metrics.h"

enum { LABELS_SIZE = 320 }; /* a topic's name has up to 249 bytes */

/* The oldest uncompleted write of a connection, or of a partition. */
struct oldest {
    const struct partition *partition; /* NULL: of a connection */
    const char *purpose;
    size_t number;
    int64_t age_us; /* 0: it has none */
};

/* One look at all that is not completed. */
struct look {
    int64_t now_us;
    void (*each)(void *ctx, const struct oldest *oldest);
    void *ctx;
};

static int64_t age_us(const struct look *look, int64_t submitted_us)
{
    return submitted_us == 0 ? 0 : look->now_us - submitted_us;
}

void oldest_see_connection(struct look *look, const char *purpose, size_t number, int64_t submitted_us)
{
    look->each(look->ctx, &(struct oldest){NULL, purpose, number, age_us(look, submitted_us)});
}

void oldest_see_partition(struct look *look, const struct partition *partition, int64_t submitted_us)
{
    look->each(look->ctx, &(struct oldest){partition, NULL, 0, age_us(look, submitted_us)});
}

static void look_at(oldest_show *show, void *writer, void (*each)(void *ctx, const struct oldest *oldest), void *ctx)
{
    show(writer, &(struct look){clock_steady_us(), each, ctx});
}

/* ---- as metrics ---- */

static oldest_show *shown_by;
static void *shown_of;

struct samples {
    struct buf *out;
    const struct metric *metric;
};

static void write_connection(void *ctx, const struct oldest *oldest)
{
    const struct samples *samples = ctx;
    char labels[LABELS_SIZE];
    if (oldest->partition != NULL) return;
    snprintf(labels, sizeof(labels), "purpose=\"%s\",connection=\"%zu\"", oldest->purpose, oldest->number);
    metric_write(samples->out, samples->metric, labels, oldest->age_us);
}

static void write_partition(void *ctx, const struct oldest *oldest)
{
    const struct samples *samples = ctx;
    char labels[LABELS_SIZE];
    if (oldest->partition == NULL) return;
    snprintf(labels, sizeof(labels), "topic=\"%s\",partition=\"%" PRId32 "\"", oldest->partition->topic,
             oldest->partition->number);
    metric_write(samples->out, samples->metric, labels, oldest->age_us);
}

static void write_connections(struct buf *out, const struct metric *metric)
{
    look_at(shown_by, shown_of, write_connection, &(struct samples){out, metric});
}

static void write_partitions(struct buf *out, const struct metric *metric)
{
    look_at(shown_by, shown_of, write_partition, &(struct samples){out, metric});
}

void oldest_metrics_register(oldest_show *show, void *writer)
{
    static struct metric connections = {.type = METRIC_GAUGE,
                                        .name = "schedule_connection_oldest_write_seconds",
                                        .help = "Age of the oldest write in progress of a write connection.",
                                        .scale = 1e-6,
                                        .write_series = write_connections};
    static struct metric partitions = {.type = METRIC_GAUGE,
                                       .name = "schedule_partition_oldest_write_seconds",
                                       .help = "Age of the oldest message of a partition that is in progress.",
                                       .scale = 1e-6,
                                       .write_series = write_partitions};
    shown_by = show;
    shown_of = writer;
    metrics_register(&connections);
    metrics_register(&partitions);
}

/* ---- in words ---- */

static void report(void *ctx, const struct oldest *oldest)
{
    int64_t age_s = oldest->age_us / 1000000;
    if (oldest->age_us < degraded_after_us) return;
    if (oldest->partition == NULL) {
        degraded_add(ctx, "write connection %zu for %s makes no progress: its oldest write waits for %" PRId64 " s",
                     oldest->number, oldest->purpose, age_s);
    } else {
        degraded_add(ctx, "partition %" PRId32 " of %s makes no progress: its oldest message waits for %" PRId64 " s",
                     oldest->partition->number, oldest->partition->topic, age_s);
    }
}

void oldest_degraded(oldest_show *show, void *writer, struct degraded *degraded)
{
    look_at(show, writer, report, degraded);
}
