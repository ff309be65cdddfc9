/* What Kafka alone knows of partitions: where the log of one begins and ends. Asking blocks, for as long as the broker is away, so a thread asks
 * and the loop goes on. One lookup at a time; what it does not get is asked again, but the end of a partition without a row: that begins with
 * the log then, and what nobody wants is passed over.
 *
 * Where logs begin is looked up every now and then, so that who lost something by that is told before it is active again; and when the head or a
 * scan stands before it, which goes on there once that is stored.
 *
 * A log that ends before the head is another one, as the topic was deleted and made again. What is in memory of the former may end for a while, as it
 * can be read nowhere; then all endpoints begin at the beginning of the new one, as the database has it. */
#include <stdlib.h>

#include "driver/background.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "webhook/webhook_parameters.h"
#include "webhook/webhook_sender_state.h"

enum { ASK_MS = 3000, EVERY_US = 10000000, ENDING_MAX_US = 20000000 }; /* the last: longer than a request takes */

struct range {
    int32_t partition;
    bool is_head_outside; /* of it, before it was asked for */
    bool is_known;
    bool is_another; /* than the head is of */
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
    int64_t offsets = statement == 0 ? webhook_db_number(rows, 0, 0) : 0;
    if (offsets == 0) return;
    LOG_ERROR("webhooks: events are out of the log that inactive webhooks have not got", LOG_INT("offsets", offsets));
    sender_count_lost(offsets);
}

static void tell_of_another(const struct range *range, const struct sender_partition *partition)
{
    LOG_ERROR("webhooks: the log of a partition is another one; what was not sent of the former is lost",
              LOG_INT("partition", range->partition), LOG_INT("from", partition->head.position), LOG_INT("to", range->low));
    sender_count_lost(1); /* nobody knows how many */
}

static void on_stored(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    bool is_head = false;
    bool is_any_another = false;
    (void)sqlstate;
    if (sender->ranges == NULL) return; /* it ends */
    for (size_t i = 0; is_stored && i < sender->ranges->len; i++) {
        const struct range *range = &sender->ranges->ranges[i];
        struct sender_partition *partition = &sender->partitions[range->partition];
        if (!range->is_known) continue;
        partition->ranged_us = clock_steady_us();
        if (range->is_another) tell_of_another(range, partition);
        else is_head = sender_on_log_begin(sender, partition, range->low) || is_head;
        is_any_another = is_any_another || range->is_another;
    }
    if (is_any_another) {
        sender_forget_everything(sender);
        sender->is_load_wanted = true;
        is_head = false;
    }
    if (is_head) sender_assign_head(sender);
    if (is_stored && !sender->is_revoking) sender_assign_scans(sender);
    forget(sender);
}

static void send_begins(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_INT4, PG_OID_INT8};
    struct webhook_parameters begins;
    webhook_parameters_start(&begins, types, 2);
    for (size_t i = 0; i < sender->ranges->len; i++) {
        const struct range *range = &sender->ranges->ranges[i];
        if (!range->is_known || range->is_another) continue;
        pg_array_add_int4(&begins.arrays[0], range->partition);
        pg_array_add_int8(&begins.arrays[1], range->low);
    }
    webhook_parameters_send(sender->writes, "lose", sender->config->topic, &begins, 0);
}

static void send_others(struct webhook_sender *sender)
{
    static const enum pg_oid types[] = {PG_OID_INT4, PG_OID_INT8, PG_OID_INT8};
    struct webhook_parameters others;
    webhook_parameters_start(&others, types, 3);
    for (size_t i = 0; i < sender->ranges->len; i++) {
        const struct range *range = &sender->ranges->ranges[i];
        if (!range->is_another) continue;
        pg_array_add_int4(&others.arrays[0], range->partition);
        pg_array_add_int8(&others.arrays[1], sender->partitions[range->partition].stored);
        pg_array_add_int8(&others.arrays[2], range->low);
    }
    webhook_parameters_send(sender->writes, "replace", sender->config->topic, &others, 0);
}

/* What is lost by it. */
static void store(struct webhook_sender *sender, bool is_any_another)
{
    static const struct webhook_db_ops ops = {on_lost, on_stored};
    webhook_db_begin(sender->writes, &ops, sender);
    send_begins(sender);
    if (is_any_another) send_others(sender);
    webhook_db_end(sender->writes);
}

/* Nothing is in memory, of any partition, as all are of the one topic; or long enough was waited for that. */
static bool has_ended(const struct webhook_sender *sender, const struct sender_partition *first)
{
    if (clock_steady_us() - first->another_log_us >= ENDING_MAX_US) return true;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        const struct sender_partition *partition = &sender->partitions[i];
        if (partition->is_loaded && (partition->head.first != NULL || partition->scan.first != NULL ||
                                     partition->stored != partition->head.position))
            return false;
    }
    return true;
}

/* Another log stays another one, though it may have grown past the head meanwhile. Until the former has ended its range counts as not known, and is
 * asked for again. */
static void find_another(const struct webhook_sender *sender, struct range *range)
{
    struct sender_partition *partition = &sender->partitions[range->partition];
    if (!range->is_known || !range->is_head_outside || !partition->is_loaded || sender->is_revoking) return;
    if (partition->another_log_us == 0 && partition->head.position > range->high)
        partition->another_log_us = clock_steady_us();
    if (partition->another_log_us != 0) range->is_known = range->is_another = has_ended(sender, partition);
}

static void on_asked(void *ctx)
{
    struct range_lookup *lookup = ctx;
    struct webhook_sender *sender = lookup->sender;
    bool is_any_another = false;
    for (size_t i = 0; i < lookup->len; i++) {
        struct range *range = &lookup->ranges[i];
        struct sender_partition *partition = &sender->partitions[range->partition];
        find_another(sender, range);
        is_any_another = is_any_another || range->is_another;
        if (!is_end_wanted(partition)) continue;
        partition->log_begin = range->is_known ? range->low : 0;
        partition->log_end = range->is_known ? range->high : 0;
    }
    if (webhook_db_is_ready(sender->writes)) store(sender, is_any_another);
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
        const struct sender_partition *partition = &sender->partitions[i];
        if (!is_wanted(partition)) continue;
        lookup->ranges[lookup->len++] = (struct range){.partition = i, .is_head_outside = partition->is_head_outside};
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
