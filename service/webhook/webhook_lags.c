/* Endpoints that are not at the head of a partition: they leave it, are served by scans of the topic, and join it again. A scan is shared by all
 * that lag on its partition, and reads from the lowest of their cursors. */
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "webhook/webhook_sender_state.h"

enum { SCAN_HELD_MAX_US = 20000000 }; /* longer than a request takes */

struct lag *lag_of(const struct endpoint *endpoint, const struct sender_partition *partition)
{
    struct lag *lag = endpoint->lags;
    while (lag != NULL && lag->partition != partition) lag = lag->next_of_endpoint;
    return lag;
}

bool lag_add(struct endpoint *endpoint, struct sender_partition *partition, int64_t next_offset)
{
    struct lag *lag = calloc(1, sizeof(*lag));
    if (lag == NULL) return false;
    *lag = (struct lag){.endpoint = endpoint,
                        .partition = partition,
                        .next_of_partition = partition->lags,
                        .next_of_endpoint = endpoint->lags,
                        .next_offset = next_offset,
                        .stored = -1};
    partition->lags = lag;
    endpoint->lags = lag;
    return true;
}

void lag_remove(struct lag *lag)
{
    struct lag **at = &lag->partition->lags;
    while (*at != lag) at = &(*at)->next_of_partition;
    *at = lag->next_of_partition;
    at = &lag->endpoint->lags;
    while (*at != lag) at = &(*at)->next_of_endpoint;
    *at = lag->next_of_endpoint;
    free(lag);
}

bool lag_lets(const struct endpoint *endpoint, const struct sender_partition *partition, int64_t offset, bool is_scan)
{
    const struct lag *lag = lag_of(endpoint, partition);
    if (lag == NULL) return !is_scan;
    if (is_scan) return lag->state == LAG_SCANNING && offset >= lag->next_offset;
    return lag->state == LAG_JOINED && offset >= lag->joined;
}

/* ---- leaving ---- */

static int64_t position_of(const struct lag *lag, const struct sender_partition *partition)
{
    if (lag == NULL || lag->state == LAG_JOINED) return partition->head.position;
    return lag->state == LAG_FULL ? lag->full : partition->scan.position;
}

void sender_leave(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition)
{
    struct lag *lag = lag_of(endpoint, partition);
    if (lag != NULL && lag->state == LAG_WAITING) return;
    int64_t position = position_of(lag, partition);
    if (lag == NULL) {
        if (!lag_add(endpoint, partition, 0)) return; /* without memory it stays */
        lag = endpoint->lags;
    }
    int64_t lowest = sender_forget(sender, endpoint, partition);
    lag->state = LAG_WAITING;
    lag->next_offset = lowest < position ? lowest : position;
}

/* What it has is not forgotten: a scan reads faster than anybody answers, so each one would get on by no more than what was answered meanwhile. */
bool lag_fill(const struct endpoint *endpoint, const struct sender_partition *partition, int64_t offset)
{
    struct lag *lag = lag_of(endpoint, partition);
    if (lag == NULL || lag->state != LAG_SCANNING) return false;
    lag->state = LAG_FULL;
    lag->full = offset + 1;
    return true;
}

/* ---- scanning ---- */

/* It keeps up again, or is to be tried. */
static bool is_fit(const struct webhook_sender *sender, const struct endpoint *endpoint, int64_t now_us)
{
    return endpoint->is_active && !endpoint->is_disabling && now_us >= endpoint->rests_until_us &&
           endpoint->queued < sender_queued_max(sender) / 2 && endpoint->rows < SENDER_ROWS_MAX / 2;
}

/* INT64_MAX: nobody waits for a scan. */
static int64_t lowest_waiting(const struct webhook_sender *sender, const struct sender_partition *partition, int64_t now_us)
{
    int64_t lowest = INT64_MAX;
    for (const struct lag *lag = partition->lags; lag != NULL; lag = lag->next_of_partition) {
        if (lag->state == LAG_WAITING && is_fit(sender, lag->endpoint, now_us) && lag->next_offset < lowest)
            lowest = lag->next_offset;
    }
    return lowest;
}

/* Whether something that a scan gave it is not done; what the head gives it has higher offsets. */
static bool holds_scan(const struct endpoint *endpoint, const struct sender_partition *partition)
{
    const struct chain *chain = endpoint->chains;
    while (chain != NULL &&
           (chain->partition != partition || chain->first == NULL || chain->first->offset >= partition->scan.position)) {
        chain = chain->next_of_endpoint;
    }
    return chain != NULL;
}

/* A scan begins only when all of the last one is done, as its window is one. Who is slow with that keeps others waiting for so long and no
 * longer: then the next scan brings him again what he has not acknowledged. */
static void free_window(struct webhook_sender *sender, struct sender_partition *partition, int64_t now_us)
{
    if (partition->held_since_us == 0) partition->held_since_us = now_us;
    if (now_us - partition->held_since_us < SCAN_HELD_MAX_US) return;
    for (const struct lag *lag = partition->lags; lag != NULL; lag = lag->next_of_partition) {
        if (lag->state != LAG_WAITING && holds_scan(lag->endpoint, partition))
            sender_leave(sender, lag->endpoint, partition);
    }
    window_complete(&partition->scan);
}

static void start_scan(struct webhook_sender *sender, struct sender_partition *partition, int64_t now_us)
{
    int64_t from = lowest_waiting(sender, partition, now_us);
    if (from != INT64_MAX && partition->scan.first != NULL) {
        free_window(sender, partition, now_us);
        return;
    }
    partition->held_since_us = 0;
    if (from == INT64_MAX) return;
    partition->is_scanned = true;
    partition->is_scan_fetched = false; /* what is fetched may be of a scan that has just ended further on */
    partition->scan.position = from;
}

/* Those that wait for what is still to come. */
static void get_on(const struct webhook_sender *sender, struct sender_partition *partition, int64_t now_us)
{
    for (struct lag *lag = partition->lags; lag != NULL; lag = lag->next_of_partition) {
        if (lag->state == LAG_WAITING && is_fit(sender, lag->endpoint, now_us) &&
            lag->next_offset >= partition->scan.position) {
            lag->state = LAG_SCANNING;
        }
    }
}

/* What the head takes next is below the cursor of some: they wait for it there. */
void lags_join(struct sender_partition *partition)
{
    int64_t position = partition->head.position;
    for (struct lag *lag = partition->lags; lag != NULL; lag = lag->next_of_partition) {
        if (lag->state != LAG_SCANNING) continue;
        lag->state = LAG_JOINED;
        lag->joined = lag->next_offset > position ? lag->next_offset : position;
    }
    partition->scan.position = position;
    partition->is_scanned = false; /* what comes of it now is passed over */
}

void lags_lose(struct sender_partition *partition, int64_t low)
{
    for (struct lag *lag = partition->lags; lag != NULL; lag = lag->next_of_partition) {
        if (lag->state == LAG_JOINED || lag->next_offset >= low) continue;
        lag->next_offset = low;
        lag->is_lost = true;
    }
}

static bool has_any_in(const struct sender_partition *partition, enum lag_state state)
{
    const struct lag *lag = partition->lags;
    while (lag != NULL && lag->state != state) lag = lag->next_of_partition;
    return lag != NULL;
}

/* What is done of the scan is done for all that it serves. */
static void move_cursors(struct sender_partition *partition)
{
    window_complete(&partition->scan);
    int64_t prefix = window_prefix(&partition->scan);
    for (struct lag *lag = partition->lags; lag != NULL; lag = lag->next_of_partition) {
        int64_t done = lag->state == LAG_FULL && lag->full < prefix ? lag->full : prefix;
        if (lag->state != LAG_WAITING && done > lag->next_offset) lag->next_offset = done;
        if (lag->state == LAG_FULL && lag->next_offset >= lag->full) lag->state = LAG_WAITING;
    }
}

/* Goes on with a scan, or ends it. */
static void mind_scan(const struct webhook_sender *sender, struct sender_partition *partition, int64_t now_us)
{
    get_on(sender, partition, now_us);
    if (partition->scan.position >= partition->head.position) lags_join(partition);
    else if (!has_any_in(partition, LAG_SCANNING)) partition->is_scanned = false;
}

void sender_mind_lags(struct webhook_sender *sender)
{
    int64_t now_us = clock_steady_us();
    size_t scans = 0;
    sender->is_minding_due = sender->staged_len > 0; /* what is staged is of the scans as they are */
    if (sender->is_minding_due || sender->is_revoking) return;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        if (partition->lags != NULL) move_cursors(partition);
        if (partition->is_scanned) mind_scan(sender, partition, now_us);
        scans += partition->is_scanned;
    }
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX && scans < SENDER_SCANS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        if (!partition->is_loaded || partition->is_scanned || partition->lags == NULL) continue;
        start_scan(sender, partition, now_us);
        if (partition->is_scanned) mind_scan(sender, partition, now_us);
        scans += partition->is_scanned;
    }
    sender_assign_scans(sender);
}
