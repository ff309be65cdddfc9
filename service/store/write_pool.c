#include "store/write_pool.h"

#include "driver/clock.h"
#include "driver/log.h"
#include "store/write_connection.h"

enum { DELAY_FIRST_MS = 20, DELAY_MAX_MS = 2000 };

const char *const write_purpose_names[] = {
    [WRITE_COMMANDS] = "commands", [WRITE_DIRECTORY] = "directory", [WRITE_HTTP] = "http"};

void write_pool_kick(struct write_pool *pool)
{
    event_active(pool->shared->kick, EV_TIMEOUT, 0);
}

/* ---- partitions in turn ---- */

static void list(struct write_pool *pool, struct partition *partition)
{
    if (partition->is_listed) return;
    partition->is_listed = true;
    partition->next = NULL;
    if (pool->last == NULL) pool->first = partition;
    else pool->last->next = partition;
    pool->last = partition;
}

static void unlist(struct write_pool *pool, struct partition *partition)
{
    struct partition *before = NULL;
    if (!partition->is_listed) return;
    partition->is_listed = false;
    for (struct partition *p = pool->first; p != partition; p = p->next) before = p;
    if (before == NULL) pool->first = partition->next;
    else before->next = partition->next;
    if (pool->last == partition) pool->last = before;
}

void write_pool_rotate(struct write_pool *pool, struct partition *partition)
{
    if (!partition->is_listed) return;
    unlist(pool, partition);
    list(pool, partition);
}

struct pending_write *write_pool_take(struct write_pool *pool, struct partition *partition)
{
    struct pending_write *pending_write = queue_take(&partition->waiting);
    if (partition->waiting.first == NULL) unlist(pool, partition);
    return pending_write;
}

/* One connection is left to those that nothing is in the way of. */
static bool may_be_tried(const struct write_pool *pool, const struct hold *hold, int64_t now_us)
{
    size_t patient_max = pool->connections_len > 1 ? pool->connections_len - 1 : 1;
    return !hold_has_failed(hold) || (hold->next_us <= now_us && pool->patient < patient_max);
}

/* What is behind writes that are under way goes where they went: on another connection their offset would not be there yet. */
static bool may_take(const struct write_pool *pool, const struct write_connection *connection,
                     const struct partition *partition, bool only_own)
{
    if (partition->sent_in != NULL) return partition->sent_in->connection == connection;
    return !only_own || (size_t)partition->number % pool->connections_len == connection->number;
}

struct partition *write_pool_next_partition(struct write_pool *pool, const struct write_batch *batch, bool only_own,
                                            int64_t now_us)
{
    for (struct partition *partition = pool->first; partition != NULL; partition = partition->next) {
        if (partition->sent_in == batch || !may_take(pool, batch->connection, partition, only_own)) continue;
        if (may_be_tried(pool, &partition->hold, now_us)) return partition;
    }
    return NULL;
}

bool write_pool_has_rows(const struct write_pool *pool, const struct write_connection *connection, size_t rows)
{
    size_t waiting = 0;
    for (const struct partition *partition = pool->first; partition != NULL && waiting < rows; partition = partition->next) {
        if (!partition->hold.is_alone && may_take(pool, connection, partition, true)) waiting += partition->waiting.len;
    }
    return waiting >= rows;
}

/* ---- writes of HTTP ---- */

static void take_from(struct queue *queue, struct pending_write *pending_write)
{
    struct queue all = *queue;
    *queue = (struct queue){0};
    for (struct pending_write *one; (one = queue_take(&all)) != NULL;) {
        if (one != pending_write) queue_add(queue, one);
    }
}

struct pending_write *write_pool_next_alone(struct write_pool *pool, int64_t now_us)
{
    for (struct pending_write *pending_write = pool->alone.first; pending_write != NULL;
         pending_write = pending_write->next) {
        if (!may_be_tried(pool, &pending_write->hold, now_us)) continue;
        take_from(&pool->alone, pending_write);
        return pending_write;
    }
    return NULL;
}

/* The write of the same owner that is tried alone, or is on its way so. */
static struct pending_write *leader_of(const struct write_pool *pool, const struct pending_write *pending_write)
{
    int64_t owner_id = pending_write->command.user_id;
    for (struct pending_write *leader = pool->alone.first; leader != NULL; leader = leader->next) {
        if (leader->command.user_id == owner_id) return leader;
    }
    for (size_t i = 0; i < pool->connections_len; i++) {
        struct pending_write *leader = write_connection_alone(pool->connections[i]);
        if (leader != NULL && leader != pending_write && leader->command.user_id == owner_id) return leader;
    }
    return NULL;
}

struct pending_write *write_pool_take_fresh(struct write_pool *pool)
{
    for (struct pending_write *pending_write; (pending_write = queue_take(&pool->fresh)) != NULL;) {
        struct pending_write *leader =
            pool->alone.first == NULL && pool->patient == 0 ? NULL : leader_of(pool, pending_write);
        if (leader == NULL || !hold_has_failed(&leader->hold)) return pending_write;
        queue_add(&leader->followers, pending_write);
    }
    return NULL;
}

/* The first of the followers leads the others. */
static void follow(struct write_pool *pool, struct queue followers, const struct hold *hold)
{
    struct pending_write *leader = queue_take(&followers);
    if (leader == NULL) return;
    leader->hold = *hold;
    leader->followers = followers;
    queue_add(&pool->alone, leader);
}

static void part_http(struct write_pool *pool, struct pending_write *pending_write)
{
    struct pending_write *leader = leader_of(pool, pending_write);
    pending_write->hold.is_alone = true;
    if (leader == NULL) queue_put_back(&pool->alone, pending_write);
    else queue_put_back(&leader->followers, pending_write);
}

static void expire(struct write_pool *pool, struct queue *queue, int64_t now_us)
{
    struct queue all = *queue;
    *queue = (struct queue){0};
    for (struct pending_write *pending_write; (pending_write = queue_take(&all)) != NULL;) {
        expire(pool, &pending_write->followers, now_us);
        if (pending_write->deadline_us == 0 || pending_write->deadline_us > now_us) queue_add(queue, pending_write);
        else
            write_pool_complete(pool, pending_write,
                                pending_write->is_doubtful ? STATUS_UNKNOWN_OUTCOME : STATUS_UNAVAILABLE);
    }
}

void write_pool_expire(struct write_pool *pool, int64_t now_us)
{
    expire(pool, &pool->fresh, now_us);
    expire(pool, &pool->alone, now_us);
    for (size_t i = 0; i < pool->connections_len; i++) {
        struct pending_write *leader = write_connection_alone(pool->connections[i]);
        if (leader != NULL) expire(pool, &leader->followers, now_us);
    }
}

/* ---- coming and going ---- */

void write_pool_submit(struct write_pool *pool, struct pending_write *pending_write)
{
    struct partition *partition = pending_write->partition;
    pending_write->submitted_us = clock_steady_us();
    pending_write->is_doubtful = false;
    pending_write->hold = (struct hold){0};
    pending_write->followers = (struct queue){0};
    pool->pending++;
    if (partition == NULL) {
        queue_add(&pool->fresh, pending_write);
        return;
    }
    partition->is_dropped = false;
    queue_add(&partition->waiting, pending_write);
    list(pool, partition);
}

void write_pool_complete(struct write_pool *pool, struct pending_write *pending_write, enum status status)
{
    static const struct hold tried_next = {.is_alone = true};
    const struct hold hold = status_class(status) == STATUS_CLASS_RETRY ? pending_write->hold : tried_next;
    struct queue followers = pending_write->followers;
    pool->pending--;
    pending_write->ops->done(pending_write, status);
    follow(pool, followers, &hold);
}

void write_pool_put_back(struct write_pool *pool, struct pending_write *pending_write)
{
    struct partition *partition = pending_write->partition;
    if (partition == NULL) {
        queue_put_back(pending_write->hold.is_alone ? &pool->alone : &pool->fresh, pending_write);
    } else if (partition->is_dropped) {
        write_pool_complete(pool, pending_write, STATUS_OFFSET_MOVED);
    } else {
        queue_put_back(&partition->waiting, pending_write);
        list(pool, partition);
    }
}

void write_pool_part(struct write_pool *pool, struct pending_write *pending_write)
{
    if (pending_write->partition == NULL) {
        part_http(pool, pending_write);
        return;
    }
    struct partition *partition = pending_write->partition;
    if (!partition->hold.is_alone) partition->rows_max = BATCH_ROWS_MAX;
    partition->hold.is_alone = true;
    write_pool_put_back(pool, pending_write);
}

/* ---- holds ---- */

static void hold_fail(struct hold *hold)
{
    int64_t now_us = clock_steady_us();
    if (!hold_has_failed(hold)) hold->since_us = now_us;
    hold->is_alone = true;
    hold->failures++;
    hold->delay_ms = hold->delay_ms == 0 ? DELAY_FIRST_MS : hold->delay_ms * 2;
    if (hold->delay_ms > DELAY_MAX_MS) hold->delay_ms = DELAY_MAX_MS;
    hold->next_us = now_us + hold->delay_ms * 1000;
}

bool partition_is_waiting(const struct partition *partition)
{
    return partition->hold.failures >= PARTITION_WAITS_AFTER_FAILURES;
}

bool partition_is_idle(const struct partition *partition)
{
    return partition->sent_next == 0 && partition->waiting.len == 0;
}

void write_pool_fail_alone(struct write_pool *pool, struct pending_write *pending_write, const char *sqlstate,
                           const char *reason)
{
    struct partition *partition = pending_write->partition;
    if (partition == NULL) {
        hold_fail(&pending_write->hold);
        queue_add(&pool->alone, pending_write); /* the others have their turn first */
        return;
    }
    partition->rows_max = 1;
    hold_fail(&partition->hold);
    if (partition->hold.failures == PARTITION_WAITS_AFTER_FAILURES) {
        LOG_WARN("partition waits: its first write cannot be stored now and is retried; other partitions continue",
                 LOG_STR("topic", partition->topic), LOG_INT("partition", partition->number),
                 LOG_INT("offset", pending_write->offset), LOG_STR("sqlstate", sqlstate), LOG_STR("reason", reason));
    }
    write_pool_put_back(pool, pending_write);
}

void partition_halve(struct partition *partition, size_t rows)
{
    partition->rows_max = rows > 1 ? rows / 2 : 1;
}

void partition_goes_on(struct partition *partition)
{
    if (partition_is_waiting(partition)) {
        LOG_INFO("partition continues", LOG_STR("topic", partition->topic), LOG_INT("partition", partition->number),
                 LOG_INT("waited_ms", (clock_steady_us() - partition->hold.since_us) / 1000));
    }
    partition->hold = (struct hold){.is_alone = partition->hold.is_alone};
}

/* It goes with others again once it takes as many as they do. */
void partition_succeed(struct partition *partition)
{
    if (!partition->hold.is_alone) return;
    partition_goes_on(partition);
    partition->rows_max *= 2;
    partition->hold.is_alone = partition->rows_max < BATCH_ROWS_MAX;
}

void write_pool_drop(struct write_pool *pool, struct partition *partition)
{
    partition->is_dropped = partition->sent_next != 0;
    partition->hold = (struct hold){0};
    struct queue all = partition->waiting;
    partition->waiting = (struct queue){0};
    unlist(pool, partition);
    for (struct pending_write *pending_write; (pending_write = queue_take(&all)) != NULL;)
        write_pool_complete(pool, pending_write, STATUS_OFFSET_MOVED);
}

int64_t write_pool_shorten(struct write_pool *pool, struct partition *partition)
{
    bool is_first_on_its_way = partition->sent_next != 0;
    struct queue all = partition->waiting;
    struct pending_write *first = is_first_on_its_way ? NULL : queue_take(&all);
    int64_t offset = all.first == NULL ? -1 : all.first->offset;
    partition->waiting = (struct queue){0};
    if (first == NULL) unlist(pool, partition);
    else queue_add(&partition->waiting, first);
    for (struct pending_write *pending_write; (pending_write = queue_take(&all)) != NULL;)
        write_pool_complete(pool, pending_write, STATUS_OFFSET_MOVED);
    return offset;
}
