/* What Kafka alone knows of partitions: where the log of one begins and ends. Asking blocks, for as long as the broker is away, so a thread asks
 * and the loop goes on. One lookup at a time; what it does not get is asked again, but the end of a partition without a row: that begins with
 * the log then, and what nobody wants is passed over.
 *
 * Where logs begin is looked up every now and then, so that who lost something by that is told before it is active again; and when the head or a
 * scan stands before it, which goes on there once that is stored. */
#include <stdlib.h>

#include "driver/background.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "driver/pg_array.h"
#include "webhook/webhook_sender_state.h"

enum { ASK_MS = 3000, ARRAY_BYTES_MAX = 1 << 20, EVERY_US = 10000000 };

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

static void forget(struct webhook_sender *sender)
{
    free(sender->ranges);
    sender->ranges = NULL;
    if (sender->is_load_wanted && !sender->is_revoking) sender_load(sender);
}

static void on_lost(void *ctx, const PGresult *rows, int statement)
{
    (void)ctx;
    (void)statement;
    int64_t offsets = webhook_db_number(rows, 0, 0);
    if (offsets == 0) return;
    LOG_ERROR("webhooks: events are out of the log that inactive webhooks have not got", LOG_INT("offsets", offsets));
    sender_count_lost(offsets);
}

static void on_stored(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    bool is_head = false;
    (void)sqlstate;
    if (sender->ranges == NULL) return; /* it ends */
    for (size_t i = 0; is_stored && i < sender->ranges->len; i++) {
        const struct range *range = &sender->ranges->ranges[i];
        struct sender_partition *partition = &sender->partitions[range->partition];
        if (!range->is_known) continue;
        partition->ranged_us = clock_steady_us();
        is_head = sender_on_log_range(sender, partition, range->low, range->high) || is_head;
    }
    if (is_head) sender_assign_head(sender);
    if (is_stored && !sender->is_revoking) sender_assign_scans(sender);
    forget(sender);
}

/* What is lost by it. */
static void store(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_lost, on_stored};
    struct pg_array numbers;
    struct pg_array begins;
    buf_init(&numbers.bytes, ARRAY_BYTES_MAX);
    buf_init(&begins.bytes, ARRAY_BYTES_MAX);
    pg_array_start(&numbers, PG_OID_INT4);
    pg_array_start(&begins, PG_OID_INT8);
    for (size_t i = 0; i < sender->ranges->len; i++) {
        const struct range *range = &sender->ranges->ranges[i];
        if (!range->is_known) continue;
        pg_array_add_int4(&numbers, range->partition);
        pg_array_add_int8(&begins, range->low);
    }
    const struct pg_param params[] = {webhook_db_text_param(sender->config->topic), pg_array_param(&numbers),
                                      pg_array_param(&begins)};
    webhook_db_begin(sender->writes, &ops, sender);
    webhook_db_send(sender->writes, "lose", params, 3);
    webhook_db_end(sender->writes);
    buf_done(&numbers.bytes);
    buf_done(&begins.bytes);
}

static void on_asked(void *ctx)
{
    struct range_lookup *lookup = ctx;
    struct webhook_sender *sender = lookup->sender;
    for (size_t i = 0; i < lookup->len; i++) {
        const struct range *range = &lookup->ranges[i];
        struct sender_partition *partition = &sender->partitions[range->partition];
        if (!is_end_wanted(partition)) continue;
        partition->log_begin = range->is_known ? range->low : 0;
        partition->log_end = range->is_known ? range->high : 0;
    }
    if (webhook_db_is_ready(sender->writes)) store(sender);
    else forget(sender);
}

static bool is_due(const struct sender_partition *partition)
{
    return partition->is_loaded && clock_steady_us() - partition->ranged_us >= EVERY_US;
}

static bool is_wanted(const struct sender_partition *partition)
{
    return is_end_wanted(partition) || partition->is_head_outside || partition->is_scan_outside || is_due(partition);
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
    sender->ranges = NULL;
}
