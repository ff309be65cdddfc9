/* Happy path: partitions are assigned -> their stored offsets are read -> fetching starts there -> messages become writes,
 * up to a maximum in flight -> each settled one makes room for the next. At a partition's end its offset is stored too where no message is
 * the last: transactions of senders leave records behind that are none.
 *
 * Failure modes: PostgreSQL away: in-flight fills up, fetching is paused, polling goes on so that the group keeps this member.
 * A rebalance: what is queued of a revoked partition is dropped, what is on its way is settled by the compare-and-set. A stored
 * offset outside of the log, and a batch that librdkafka cannot read: that partition stops and says so. A stored offset that somebody else
 * has moved (an operator, a database that failed over): found by the next write, or by a look every few seconds at partitions of which nothing
 * is on its way; it is read on from there, also what was stopped. A partition that waits in the
 * writer: all but its first message is given back, so that it takes no room from others, and read again when it goes on. Out of
 * memory: the message at hand is kept, which is logged and counted, and tried again. */
#include "source/kafka_door.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "codec/dead_letter.h"
#include "driver/clock.h"
#include "driver/kafka_limit.h"
#include "driver/kafka_unpack.h"
#include "driver/log.h"
#include "driver/metrics.h"
#include "store/offsets.h"

enum {
    IN_FLIGHT_MAX = 4096,          /* messages: four batches for each connection */
    IN_FLIGHT_BYTES_MAX = 8 << 20, /* of them */
    TURN_US = 5000,                /* before all other events get their turn */
    REST_MS = 5,                   /* after all that was there is taken: what comes meanwhile shares a batch */
    TICK_MS = 200,
    PAUSE_AFTER_TICKS = 10, /* full for so long: pause, and keep polling for the group's sake */
    COMMIT_EVERY_TICKS = 25,
    LOOK_EVERY_TICKS = 10, /* at stored offsets that somebody may have moved */
    UNREADABLE_FAILURES = 3
};

/* When a full fetch queue is looked at again. Older versions do so when something wakes the broker's thread, which may be a second later;
 * an answer with metadata does. */
static struct kafka_property queue_backoff(void)
{
    const int has_property = 0x020200ff;
    if (rd_kafka_version() >= has_property) return (struct kafka_property){"fetch.queue.backoff.ms", "10"};
    return (struct kafka_property){"topic.metadata.refresh.interval.ms", "100"};
}

/* A batch that could not be read: whether for good shows only when it fails again, see on_unreadable. */
struct doubt {
    unsigned failures; /* in a row; 0: no doubt */
    int64_t offset;
    uint64_t turned_away; /* as it was at the first of them */
    uint64_t drained;     /* likewise */
};

/* What the door knows of one partition of the topic. */
struct door_partition {
    struct partition stored; /* first: the writer's view */
    bool assigned;
    bool fetching;  /* from its stored offset: until that is known again, what comes is of an older fetch and not taken */
    int64_t looked; /* its stored offset to our knowledge when the database was last asked */
    bool stopped;   /* its stored offset is outside of its log, or what is there cannot be read */
    bool held_back; /* it waits in the writer: what was taken behind its first message was given back, and none is fetched */
    int64_t taken;  /* the next offset to take; lower ones were taken already */
    int64_t end;    /* where the consumer has last reached the partition's end; 0: not since it was assigned */
    bool storing_end;
    int64_t committed; /* to the group, for lag tools */
    struct doubt doubt;
};

/* Moves a partition's stored offset to its end. */
struct end_write {
    struct write write; /* first: the writer's view */
    struct kafka_door *door;
};

struct kafka_door {
    struct event_base *base;
    const struct kafka_door_config *config;
    struct kafka_context context;
    rd_kafka_t *consumer;
    struct kafka_unpack unpack;
    struct kafka_limit *topic_limit;
    struct kafka_limit *dead_letter_limit;
    uint64_t drained; /* times that the consumer had nothing to give */
    struct offsets *offsets;
    bool
        is_loading; /* the stored offsets of what is assigned are asked for to begin with, not to see whether they were moved */
    int wake_fd;
    struct event *wake;
    struct event *rest; /* pending: what comes waits */
    struct event *tick;
    /* By number; here, so that none can lack memory when it is assigned. */
    struct door_partition partitions[OFFSETS_PARTITIONS_MAX];
    rd_kafka_message_t *held; /* could not be judged for want of memory */
    bool lacks_memory;        /* since that was logged, nothing could */
    size_t in_flight;
    size_t in_flight_bytes;
    int ticks;
    int full_ticks;
    bool is_kafka_away;
    bool paused;
    bool giving_back; /* what is done now with STATUS_OFFSET_MOVED was given back */
    bool draining;
};

/* ---- metrics ---- */

static int64_t partition_lag(const struct kafka_door *door, const struct door_partition *partition)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_get_watermark_offsets(door->consumer, partition->stored.topic, partition->stored.number, &low, &high);
    int64_t next = partition->stored.next_offset > low ? partition->stored.next_offset : low;
    return high > next ? high - next : 0;
}

static void collect(void *ctx)
{
    const struct kafka_door *door = ctx;
    int64_t total_lag = 0;
    int64_t total_assigned = 0;
    int64_t total_stopped = 0;
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned) continue;
        total_assigned++;
        total_stopped += partition->stopped;
        total_lag += partition_lag(door, partition);
    }
    struct kafka_gauges *gauges = door->config->kind->gauges;
    metric_set(&gauges->lag, total_lag);
    metric_set(&gauges->assigned, total_assigned);
    metric_set(&gauges->stopped, total_stopped);
    metric_set(&gauges->in_flight, (int64_t)door->in_flight);
}

/* ---- partitions ---- */

static struct door_partition *partition_at(struct kafka_door *door, int32_t number)
{
    if (number < 0 || number >= OFFSETS_PARTITIONS_MAX) return NULL;
    struct door_partition *partition = &door->partitions[number];
    partition->stored.topic = door->config->topic;
    partition->stored.number = number;
    partition->stored.purpose = door->config->kind->purpose;
    return partition;
}

/* Reads the stored offsets of what is assigned; fetching starts when they are there. */
static void load_offsets(struct kafka_door *door)
{
    int32_t numbers[OFFSETS_PARTITIONS_MAX];
    size_t len = 0;
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        if (door->partitions[i].assigned) numbers[len++] = i;
    }
    door->is_loading = true;
    offsets_load(door->offsets, numbers, len);
}

/* Reads those of which nothing is on its way to the database, unless all are being read anyway. */
static void look_at_offsets(struct kafka_door *door)
{
    int32_t numbers[OFFSETS_PARTITIONS_MAX];
    size_t len = 0;
    if (door->is_loading) return;
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->fetching || !partition_is_idle(&partition->stored)) continue;
        partition->looked = partition->stored.next_offset;
        numbers[len++] = i;
    }
    if (len > 0) offsets_look(door->offsets, numbers, len);
}

static rd_kafka_topic_partition_list_t *fetched_partitions(const struct kafka_door *door)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (partition->fetching && !partition->stopped) rd_kafka_topic_partition_list_add(list, door->config->topic, i);
    }
    return list;
}

/* Fetches everything that is assigned from what is to be taken next; what is stopped or held back stays paused. */
static void assign(struct kafka_door *door)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (!partition->fetching && !partition->held_back) continue;
        int64_t from = partition->taken == 0 ? RD_KAFKA_OFFSET_BEGINNING : partition->taken;
        rd_kafka_topic_partition_list_add(list, door->config->topic, i)->offset = from;
    }
    rd_kafka_resp_err_t error = rd_kafka_assign(door->consumer, list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        LOG_ERROR("partitions not assigned", LOG_STR("reason", rd_kafka_err2str(error)));
    rd_kafka_topic_partition_list_destroy(list);
    list = fetched_partitions(door);
    rd_kafka_resume_partitions(door->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    door->paused = false;
    event_active(door->wake, EV_READ, 0);
}

static void start_at(struct door_partition *partition, int64_t next_offset)
{
    partition->stored.next_offset = next_offset;
    partition->taken = next_offset;
    partition->end = 0;
    partition->doubt = (struct doubt){0};
    partition->stopped = false;
    partition->held_back = false;
    partition->fetching = true;
}

/* Not by us: nothing was on its way when the database was asked, and nothing has been since. */
static bool is_moved(const struct door_partition *partition, int64_t next_offset)
{
    return partition->fetching && partition_is_idle(&partition->stored) &&
           partition->stored.next_offset == partition->looked && next_offset != partition->looked;
}

static void on_offsets(void *ctx, const struct stored_offset *items, size_t len)
{
    struct kafka_door *door = ctx;
    bool is_new = false;
    for (size_t i = 0; i < len; i++) {
        struct door_partition *partition = partition_at(door, items[i].partition);
        if (partition == NULL || !partition->assigned) continue;
        if (!door->is_loading && !is_moved(partition, items[i].next_offset)) continue;
        start_at(partition, items[i].next_offset);
        is_new = true;
        LOG_INFO(door->is_loading ? "partition assigned" : "stored offset was moved: partition goes on there",
                 LOG_STR("topic", door->config->topic), LOG_INT("partition", items[i].partition),
                 LOG_INT("next_offset", items[i].next_offset));
    }
    door->is_loading = false;
    if (is_new) assign(door);
}

/* What is not on its way to the database, and what comes of the fetch that is under way. */
static void drop_taken(struct kafka_door *door, struct door_partition *partition)
{
    partition->fetching = false;
    partition->held_back = false;
    writer_drop_partition(door->config->writer, &partition->stored);
}

static void revoke_all(struct kafka_door *door)
{
    offsets_cancel(door->offsets);
    door->is_loading = false;
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned) continue;
        partition->assigned = false;
        drop_taken(door, partition);
        LOG_INFO("partition revoked", LOG_STR("topic", partition->stored.topic), LOG_INT("partition", i));
    }
}

/* Runs inside rd_kafka_consumer_poll, on the loop's thread. */
static void on_rebalance(rd_kafka_t *consumer, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *ctx)
{
    struct kafka_door *door = ctx;
    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        revoke_all(door);
        rd_kafka_assign(consumer, NULL);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        struct door_partition *partition = partition_at(door, list->elems[i].partition);
        if (partition != NULL) partition->assigned = true;
    }
    if (list->cnt == 0) rd_kafka_assign(consumer, list);
    else load_offsets(door);
}

/* ---- taking ---- */

static bool is_full(const struct kafka_door *door)
{
    return door->in_flight >= IN_FLIGHT_MAX || door->in_flight_bytes >= IN_FLIGHT_BYTES_MAX;
}

static void settle(struct kafka_door *door, const struct write *write, size_t bytes, enum status status)
{
    struct door_partition *partition = (struct door_partition *)write->partition;
    bool was_full = is_full(door);
    door->in_flight--;
    door->in_flight_bytes -= bytes;
    /* The database went back: read again from where it stands. Once for all dropped writes. */
    if (status == STATUS_OFFSET_MOVED && !door->giving_back && (partition->fetching || partition->held_back)) {
        partition->fetching = false;
        partition->held_back = false;
        load_offsets(door);
    }
    if (was_full && !is_full(door)) event_active(door->wake, EV_READ, 0);
}

static void on_done(struct write *write, enum status status)
{
    struct kafka_message *message = (struct kafka_message *)write;
    struct kafka_door *door = message->door;
    door->config->kind->settled(message, status);
    settle(door, write, message->bytes, status);
    kafka_message_free(message);
}

/* Counts each time that memory was out, and logs the first of a row. */
static void lack_memory(struct kafka_door *door, int32_t partition, int64_t offset)
{
    metric_add(&door->config->kind->gauges->memory_waits, 1);
    if (door->lacks_memory) return;
    door->lacks_memory = true;
    LOG_ERROR("out of memory: a message waits, and what comes behind it", LOG_STR("topic", door->config->topic),
              LOG_INT("partition", partition), LOG_INT("offset", offset), LOG_INT("tried_again_every_ms", TICK_MS));
}

static void have_memory(struct kafka_door *door)
{
    if (door->lacks_memory) LOG_INFO("memory is there again", LOG_STR("topic", door->config->topic));
    door->lacks_memory = false;
}

static bool on_refuse(struct write *write, enum status status)
{
    struct kafka_message *message = (struct kafka_message *)write;
    if (message->context->kind->refuse(message, status)) have_memory(message->door);
    else lack_memory(message->door, write->partition->number, write->offset);
    return true;
}

/* False: memory is out, try the same one again. */
static bool take(struct kafka_door *door, rd_kafka_message_t *raw)
{
    static const struct write_ops ops = {on_done, on_refuse};
    struct door_partition *partition = partition_at(door, raw->partition);
    if (partition == NULL || !partition->fetching || raw->offset < partition->taken) return true; /* of an earlier fetch */
    struct kafka_message *message = kafka_message_new(raw, &door->context, &partition->stored);
    if (message == NULL) {
        lack_memory(door, raw->partition, raw->offset);
        return false;
    }
    have_memory(door);
    message->write.ops = &ops;
    message->door = door;
    partition->taken = raw->offset + 1;
    door->in_flight++;
    door->in_flight_bytes += message->bytes;
    (void)writer_submit(door->config->writer, &message->write); /* what comes with an offset is never turned away */
    return true;
}

/* ---- the ends of partitions ---- */

static void on_end_stored(struct write *write, enum status status)
{
    struct end_write *end = (struct end_write *)write;
    ((struct door_partition *)write->partition)->storing_end = false;
    settle(end->door, write, 0, status);
    free(end);
}

/* The database refuses no offset, but it may refuse the batch that one is in. */
static bool on_end_refused(struct write *write, enum status status)
{
    (void)write;
    (void)status;
    return false;
}

/* Behind the last message may be records of transactions, and messages of aborted ones. Were the stored offset to stay before them, it would
 * be outside of the log once retention has removed them, although nothing is missing. */
static void store_end(struct kafka_door *door, struct door_partition *partition)
{
    static const struct write_ops ops = {on_end_stored, on_end_refused};
    struct end_write *end = calloc(1, sizeof(*end));
    if (end == NULL) return; /* at the next tick */
    end->door = door;
    end->write =
        (struct write){.ops = &ops, .kind = WRITE_OFFSET, .partition = &partition->stored, .offset = partition->end - 1};
    partition->taken = partition->end;
    partition->storing_end = true;
    door->in_flight++;
    (void)writer_submit(door->config->writer, &end->write);
}

static void store_ends(struct kafka_door *door)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->fetching || partition->storing_end || partition->end <= partition->taken) continue;
        store_end(door, partition);
    }
}

/* ---- errors: they come as messages ---- */

static void stop_partition(struct kafka_door *door, struct door_partition *partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->stored.topic, partition->stored.number);
    rd_kafka_pause_partitions(door->consumer, list); /* else it is tried again, for ever */
    rd_kafka_topic_partition_list_destroy(list);
    partition->stopped = true;
}

static void on_outside(struct kafka_door *door, struct door_partition *partition)
{
    stop_partition(door, partition);
    LOG_ERROR("partition stopped: its stored offset is outside of its log. Was the topic truncated or made anew? Nothing is "
              "skipped until you say where to go on: schedule-service offsets reset --topic <topic> --partition <partition> "
              "--to <offset>",
              LOG_STR("topic", partition->stored.topic), LOG_INT("partition", partition->stored.number),
              LOG_INT("next_offset", partition->stored.next_offset));
}

/* A batch fails for good, or because there was no room for it (driver/kafka_unpack.h). For good it has failed when it fails again while none
 * was turned away since the first time. As its second failure may have been on its way already, there has to be a third, behind a
 * moment at which nothing waited to be taken. */
static void on_unreadable(struct kafka_door *door, struct door_partition *partition, const rd_kafka_message_t *message)
{
    struct doubt *doubt = &partition->doubt;
    uint64_t turned_away = atomic_load(&door->unpack.turned_away);
    if (doubt->failures == 0 || doubt->offset != message->offset || doubt->turned_away != turned_away) {
        *doubt = (struct doubt){1, message->offset, turned_away, door->drained};
        return;
    }
    if (doubt->failures == 1 && doubt->drained == door->drained) return;
    if (++doubt->failures < UNREADABLE_FAILURES) return;
    stop_partition(door, partition);
    LOG_ERROR("partition stopped: a batch cannot be read. Is it larger than UNPACKED_BATCH_BYTES, or damaged? Nothing is "
              "skipped until you "
              "say so: schedule-service offsets skip --topic <topic> --partition <partition>",
              LOG_STR("topic", partition->stored.topic), LOG_INT("partition", partition->stored.number),
              LOG_INT("offset", message->offset), LOG_STR("reason", rd_kafka_message_errstr(message)));
}

/* Most are passing; librdkafka goes on by itself. */
static void on_error(struct kafka_door *door, const rd_kafka_message_t *message)
{
    struct door_partition *partition = partition_at(door, message->partition);
    if (partition != NULL && !partition->fetching) return; /* of an earlier fetch */
    switch (partition == NULL ? RD_KAFKA_RESP_ERR__FAIL : message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: partition->end = message->offset; break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: on_outside(door, partition); break;
    default:
        if (partition != NULL && kafka_is_unreadable(message->err)) on_unreadable(door, partition, message);
        else LOG_WARN("consumer", LOG_STR("reason", rd_kafka_message_errstr(message)));
    }
}

/* ---- taking what is there ---- */

static rd_kafka_message_t *next_message(struct kafka_door *door)
{
    rd_kafka_message_t *message = door->held;
    door->held = NULL;
    if (message != NULL) return message;
    message = rd_kafka_consumer_poll(door->consumer, 0);
    if (message != NULL) return message;
    kafka_unpack_drained(&door->unpack);
    door->drained++;
    return NULL;
}

static void take_what_is_there(struct kafka_door *door)
{
    static const struct timeval rest = {.tv_usec = REST_MS * 1000};
    static const struct timeval next_turn = {
        0, 0}; /* what is made active is run before the loop looks at anything else again */
    int64_t end_us = clock_steady_us() + TURN_US;
    for (bool has_taken = false; clock_steady_us() < end_us; has_taken = true) {
        if (is_full(door) && !door->paused) return;
        rd_kafka_message_t *message = next_message(door);
        if (message == NULL) {
            if (has_taken) event_add(door->rest, &rest);
            return;
        }
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            on_error(door, message);
        } else if (!take(door, message)) {
            door->held = message;
            return;
        }
        rd_kafka_message_destroy(message);
    }
    event_add(door->rest, &next_turn);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_door *door = ctx;
    uint64_t count;
    (void)what;
    while (read(fd, &count, sizeof(count)) > 0) continue;
    if (!door->draining && !evtimer_pending(door->rest, NULL)) take_what_is_there(door);
}

static void on_rested(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_door *door = ctx;
    (void)fd;
    (void)what;
    if (!door->draining) take_what_is_there(door);
}

/* ---- the slow timer ---- */

static void pause_or_resume(struct kafka_door *door, bool pause)
{
    rd_kafka_topic_partition_list_t *list = fetched_partitions(door);
    if (pause) rd_kafka_pause_partitions(door->consumer, list);
    else rd_kafka_resume_partitions(door->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    door->paused = pause;
    LOG_INFO(pause ? "taking paused: the database does not keep up" : "taking resumed",
             LOG_INT("in_flight", door->in_flight));
}

/* Pauses the partition's fetching, or lets it go on with the message that is to be taken next. A seek purges what was fetched before it. */
static void set_fetching(struct kafka_door *door, const struct door_partition *partition, bool fetching)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->stored.topic, partition->stored.number)->offset = partition->taken;
    if (fetching) {
        rd_kafka_resume_partitions(door->consumer, list);
        rd_kafka_error_destroy(rd_kafka_seek_partitions(door->consumer, list, 0));
    } else {
        rd_kafka_pause_partitions(door->consumer, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void hold_back(struct kafka_door *door, struct door_partition *partition)
{
    partition->fetching = false;
    partition->held_back = true;
    set_fetching(door, partition, false);
    door->giving_back = true;
    int64_t given_back = writer_shorten_partition(door->config->writer, &partition->stored);
    door->giving_back = false;
    if (given_back >= 0) partition->taken = given_back;
    partition->end = 0; /* it is behind what was given back */
}

static void go_on(struct kafka_door *door, struct door_partition *partition)
{
    partition->held_back = false;
    partition->stopped = false; /* as what was given back lies before it */
    partition->doubt = (struct doubt){0};
    partition->fetching = true;
    set_fetching(door, partition, true);
}

static void mind_waiting(struct kafka_door *door)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned) continue;
        bool is_waiting = partition_is_waiting(&partition->stored);
        if (is_waiting && door->draining) drop_taken(door, partition);
        else if (is_waiting && partition->fetching) hold_back(door, partition);
        else if (!is_waiting && partition->held_back && !door->draining && !door->paused) go_on(door, partition);
    }
}

static void mind_fullness(struct kafka_door *door)
{
    door->full_ticks = is_full(door) ? door->full_ticks + 1 : 0;
    if (!door->paused && door->full_ticks >= PAUSE_AFTER_TICKS) pause_or_resume(door, true);
    else if (door->paused && door->in_flight < IN_FLIGHT_MAX / 2 && door->in_flight_bytes < IN_FLIGHT_BYTES_MAX / 2) {
        pause_or_resume(door, false);
    }
}

static void commit_to_group(struct kafka_door *door, bool async)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned || partition->stored.next_offset <= partition->committed) continue;
        partition->committed = partition->stored.next_offset;
        rd_kafka_topic_partition_list_add(list, partition->stored.topic, i)->offset = partition->committed;
    }
    if (list->cnt > 0) rd_kafka_commit(door->consumer, list, async);
    rd_kafka_topic_partition_list_destroy(list);
}

static size_t dead_letter_room(struct kafka_door *door)
{
    size_t bytes = kafka_limit_bytes(door->dead_letter_limit, DEAD_LETTER_BYTES_UNKNOWN);
    return bytes < DEAD_LETTER_BYTES_MAX ? bytes : DEAD_LETTER_BYTES_MAX;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_door *door = ctx;
    (void)fd;
    (void)what;
    mind_waiting(door);
    if (door->draining) return;
    mind_fullness(door);
    door->context.dead_letter_bytes_max = dead_letter_room(door);
    store_ends(door);
    if (++door->ticks % COMMIT_EVERY_TICKS == 0) commit_to_group(door, true);
    if (door->ticks % LOOK_EVERY_TICKS == 0) look_at_offsets(door);
    take_what_is_there(door); /* in case a wake-up was lost */
}

/* The client says every few seconds how it stands with each broker (librdkafka's STATISTICS.md); there is no other way to ask it. */
static int on_statistics(rd_kafka_t *consumer, char *json, size_t len, void *ctx)
{
    static const char connected[] = "\"state\":\"UP\"";
    struct kafka_door *door = ctx;
    (void)consumer;
    door->is_kafka_away = memmem(json, len, connected, sizeof(connected) - 1) == NULL;
    return 0;
}

/* ---- life cycle ---- */

static bool start_consumer(struct kafka_door *door)
{
    const struct kafka_property properties[] = {
        {"group.id", door->config->group},
        {"partition.assignment.strategy", "range"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "100"},
        {"fetch.message.max.bytes", "65536"}, /* of one partition: all of them take turns, and so both connections */
        {"fetch.error.backoff.ms", "100"},    /* until a batch that found no room is asked for again */
        {"queued.max.messages.kbytes", door->config->kind->queued_kbytes},
        {"queued.min.messages", door->config->kind->queued_messages},
        {"statistics.interval.ms", "5000"},
        queue_backoff(),
    };
    rd_kafka_conf_t *conf = kafka_conf_new(door->config->kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return false;
    if (!kafka_unpack_limit(conf, &door->unpack, door->config->unpacked_batch_bytes)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    rd_kafka_conf_set_opaque(conf, door);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    door->consumer = kafka_client_new(RD_KAFKA_CONSUMER, conf);
    if (door->consumer == NULL) return false;
    door->dead_letter_limit = kafka_limit_new(door->consumer, door->config->dead_letter_topic);
    door->topic_limit = kafka_limit_new(door->consumer, door->config->topic);
    if (door->dead_letter_limit == NULL || door->topic_limit == NULL) return false;
    rd_kafka_poll_set_consumer(door->consumer);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(door->consumer);
    rd_kafka_queue_io_event_enable(queue, door->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, door->config->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(door->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) LOG_ERROR("not subscribed", LOG_STR("reason", rd_kafka_err2str(error)));
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool start_events(struct kafka_door *door)
{
    door->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (door->wake_fd < 0) return false;
    door->wake = event_new(door->base, door->wake_fd, EV_READ | EV_PERSIST, on_wake, door);
    door->rest = evtimer_new(door->base, on_rested, door);
    door->tick = event_new(door->base, -1, EV_PERSIST, on_tick, door);
    door->offsets = offsets_new(door->base, door->config->database_url, door->config->topic, on_offsets, door);
    if (door->wake == NULL || door->rest == NULL || door->tick == NULL || door->offsets == NULL) return false;
    event_add(door->wake, NULL);
    event_add(door->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
    return true;
}

static void register_metrics(struct kafka_door *door)
{
    const struct kafka_kind *kind = door->config->kind;
    for (size_t i = 0; i < kind->results_len; i++) metrics_register(&kind->results[i]);
    metrics_register(&kind->gauges->lag);
    metrics_register(&kind->gauges->assigned);
    metrics_register(&kind->gauges->stopped);
    metrics_register(&kind->gauges->in_flight);
    metrics_register(&kind->gauges->memory_waits);
    metrics_on_collect(collect, door);
}

struct kafka_door *kafka_door_new(struct event_base *base, const struct kafka_door_config *config)
{
    struct kafka_door *door = calloc(1, sizeof(*door));
    if (door == NULL) return NULL;
    door->base = base;
    door->config = config;
    door->context = (struct kafka_context){config->kind, config->zones, config->events, DEAD_LETTER_BYTES_UNKNOWN};
    door->wake_fd = -1;
    if (!start_events(door) || !start_consumer(door)) {
        kafka_door_free(door);
        return NULL;
    }
    register_metrics(door);
    return door;
}

void kafka_door_drain(struct kafka_door *door)
{
    door->draining = true;
}

void kafka_door_drop(struct kafka_door *door)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        if (door->partitions[i].assigned) drop_taken(door, &door->partitions[i]);
    }
}

size_t kafka_door_pending(const struct kafka_door *door)
{
    return door->in_flight;
}

void kafka_door_degraded(const struct kafka_door *door, struct degraded *degraded)
{
    if (door->is_kafka_away) degraded_add(degraded, "Kafka is away: no broker can be reached for %s", door->config->topic);
    if (kafka_limit_bytes(door->topic_limit, 0) > door->unpack.packed_max) {
        degraded_add(degraded, "%s takes records that cannot be received: its max.message.bytes is above %zu",
                     door->config->topic, door->unpack.packed_max);
    }
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (partition->assigned && partition->stopped) {
            degraded_add(degraded, "partition %d of %s is stopped", i, door->config->topic);
        }
    }
}

void kafka_door_free(struct kafka_door *door)
{
    if (door == NULL) return;
    if (door->held != NULL) rd_kafka_message_destroy(door->held);
    kafka_limit_free(door->dead_letter_limit);
    kafka_limit_free(door->topic_limit);
    if (door->consumer != NULL) {
        commit_to_group(door, true);
        rd_kafka_consumer_close(door->consumer);
        rd_kafka_destroy(door->consumer);
    }
    offsets_free(door->offsets);
    if (door->wake != NULL) event_free(door->wake);
    if (door->rest != NULL) event_free(door->rest);
    if (door->tick != NULL) event_free(door->tick);
    if (door->wake_fd >= 0) close(door->wake_fd);
    free(door);
}
