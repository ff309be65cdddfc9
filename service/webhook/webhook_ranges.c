/* What Kafka alone knows of partitions: where the log of one begins and ends. Asking blocks, for as long as the broker is away, so a thread asks
 * and the loop goes on. One lookup at a time; what it does not get is asked again, but the end of a partition without a row: that begins with
 * the log then, and what nobody wants is passed over. */
#include <stdlib.h>

#include "driver/background.h"
#include "webhook/webhook_sender_state.h"

enum { ASK_MS = 3000 };

struct range {
    int32_t partition;
    bool is_known;
    int64_t low;
    int64_t high;
};

struct range_lookup {
    struct webhook_sender *sender;
    struct background *background;
    size_t len;
    struct range ranges[SENDER_PARTITIONS_MAX];
};

static bool is_end_wanted(const struct sender_partition *partition)
{
    return partition->is_assigned && !partition->has_row && partition->log_end < 0;
}

/* Behind the first one that is not answered the others would wait as long. */
static void ask(void *ctx)
{
    struct range_lookup *lookup = ctx;
    const struct webhook_sender *sender = lookup->sender;
    bool ok = true;
    for (size_t i = 0; ok && i < lookup->len; i++) {
        struct range *range = &lookup->ranges[i];
        ok = rd_kafka_query_watermark_offsets(sender->scan, sender->config->topic, range->partition, &range->low,
                                              &range->high, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
        range->is_known = ok;
    }
}

static void on_asked(void *ctx)
{
    struct range_lookup *lookup = ctx;
    struct webhook_sender *sender = lookup->sender;
    sender->ranges = NULL;
    for (size_t i = 0; i < lookup->len; i++) {
        const struct range *range = &lookup->ranges[i];
        struct sender_partition *partition = &sender->partitions[range->partition];
        if (is_end_wanted(partition)) partition->log_end = range->is_known ? range->high : 0;
        if (range->is_known) sender_on_log_range(sender, partition, range->low, range->high);
    }
    free(lookup);
    if (sender->is_load_wanted && !sender->is_revoking) sender_load(sender);
}

static bool is_wanted(const struct sender_partition *partition)
{
    return is_end_wanted(partition) || partition->is_head_outside || partition->is_scan_outside;
}

bool sender_mind_ranges(struct webhook_sender *sender)
{
    int32_t first = 0;
    while (first < SENDER_PARTITIONS_MAX && !is_wanted(&sender->partitions[first])) first++;
    if (first == SENDER_PARTITIONS_MAX) return false;
    struct range_lookup *lookup = sender->ranges != NULL ? NULL : calloc(1, sizeof(*lookup));
    if (lookup == NULL) return true;
    lookup->sender = sender;
    for (int32_t i = first; i < SENDER_PARTITIONS_MAX; i++) {
        if (is_wanted(&sender->partitions[i])) lookup->ranges[lookup->len++].partition = i;
    }
    background_start(&lookup->background, sender->base, ask, on_asked, lookup);
    if (lookup->background != NULL) sender->ranges = lookup;
    else free(lookup); /* the next tick tries again */
    return true;
}

void sender_stop_ranges(struct webhook_sender *sender)
{
    if (sender->ranges == NULL) return;
    background_free(sender->ranges->background);
    free(sender->ranges);
}
