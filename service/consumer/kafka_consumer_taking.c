/* The way of a message through the consumer: taken, handed to the writer, completed. Taking stops when too much is in flight. What the consumer
 * gives instead of a message, errors and the ends of partitions, is dealt with here too. */
#include "consumer/kafka_consumer_state.h"

#include <stdlib.h>
#include <unistd.h>

#include "driver/clock.h"
#include "driver/log.h"

enum {
    IN_FLIGHT_MAX = 4096,          /* messages: four batches for each connection */
    IN_FLIGHT_BYTES_MAX = 8 << 20, /* of them */
    TURN_US = 5000,                /* before all other events get their turn */
    HEAVY_BYTES = 8 << 10,         /* a message beyond it is the last of its turn, and others have the loop for as long */
    REST_MS = 5,                   /* after all that was there is taken: what comes meanwhile shares a batch */
    PAUSE_AFTER_TICKS = 10,        /* full for so long: pause, and keep polling for the group's sake */
    UNREADABLE_FAILURES = 3,
    KEPT_AT_ONCE = 64
};

/* ---- in flight ---- */

static bool is_full(const struct kafka_consumer *consumer)
{
    return consumer->in_flight >= IN_FLIGHT_MAX || consumer->in_flight_bytes >= IN_FLIGHT_BYTES_MAX;
}

static void complete(struct kafka_consumer *consumer, const struct pending_write *pending_write, size_t bytes,
                     enum status status)
{
    struct consumer_partition *partition = (struct consumer_partition *)pending_write->partition;
    bool was_full = is_full(consumer);
    consumer->in_flight--;
    partition->backlog.under_way--;
    consumer->in_flight_bytes -= bytes;
    /* The database went back: read again from where it stands. Once for all dropped writes. */
    if (status == STATUS_OFFSET_MOVED && !consumer->giving_back && !consumer->draining &&
        (partition->fetching || partition->held_back)) {
        consumer_end_fetch(consumer, partition);
        consumer_load_offsets(consumer);
    }
    if (was_full && !is_full(consumer)) event_active(consumer->wake, EV_READ, 0);
}

static void on_done(struct pending_write *pending_write, enum status status)
{
    struct kafka_message *message = (struct kafka_message *)pending_write;
    struct kafka_consumer *consumer = message->consumer;
    consumer->config->handler->on_completed(message, status);
    complete(consumer, pending_write, message->bytes, status);
    kafka_message_free(message);
}

/* Counts each time that memory was out, and logs the first of a row. */
static void lack_memory(struct kafka_consumer *consumer, int32_t partition, int64_t offset)
{
    metric_add(&consumer->config->handler->gauges->memory_waits, 1);
    if (consumer->lacks_memory) return;
    consumer->lacks_memory = true;
    LOG_ERROR("out of memory: a message and those behind it wait", LOG_STR("topic", consumer->config->topic),
              LOG_INT("partition", partition), LOG_INT("offset", offset), LOG_INT("tried_again_every_ms", TICK_MS));
}

static void have_memory(struct kafka_consumer *consumer)
{
    if (consumer->lacks_memory) LOG_INFO("memory is available again", LOG_STR("topic", consumer->config->topic));
    consumer->lacks_memory = false;
}

static bool on_refuse(struct pending_write *pending_write, enum status status)
{
    struct kafka_message *message = (struct kafka_message *)pending_write;
    if (message->context->handler->refuse(message, status)) have_memory(message->consumer);
    else lack_memory(message->consumer, pending_write->partition->number, pending_write->offset);
    return true;
}

static void start(struct kafka_consumer *consumer, struct consumer_partition *partition, struct pending_write *pending_write)
{
    partition->backlog.under_way++;
    consumer->in_flight++;
    (void)writer_submit(consumer->config->writer, pending_write); /* what comes with an offset is never turned away */
}

/* False: memory is out, try the same one again. */
static bool take(struct kafka_consumer *consumer, rd_kafka_message_t *raw)
{
    static const struct write_ops ops = {on_done, on_refuse};
    struct consumer_partition *partition = consumer_partition_at(consumer, raw->partition);
    if (partition == NULL || !partition->fetching || raw->offset < partition->taken) return true; /* of an earlier fetch */
    struct kafka_message *message = kafka_message_new(raw, &consumer->context, &partition->stored);
    if (message == NULL) {
        lack_memory(consumer, raw->partition, raw->offset);
        return false;
    }
    have_memory(consumer);
    message->pending_write.ops = &ops;
    message->consumer = consumer;
    partition->taken = raw->offset + 1;
    consumer->in_flight_bytes += message->bytes;
    start(consumer, partition, &message->pending_write);
    return true;
}

/* ---- the ends of partitions ---- */

/* Moves a partition's stored offset to its end. */
struct end_write {
    struct pending_write pending_write; /* first: the writer's view */
    struct kafka_consumer *consumer;
};

static void on_end_stored(struct pending_write *pending_write, enum status status)
{
    struct end_write *end = (struct end_write *)pending_write;
    ((struct consumer_partition *)pending_write->partition)->storing_end = false;
    complete(end->consumer, pending_write, 0, status);
    free(end);
}

/* The database refuses no offset, but it may refuse the batch that one is in. */
static bool on_end_refused(struct pending_write *pending_write, enum status status)
{
    (void)pending_write;
    (void)status;
    return false;
}

/* Behind the last message may be records of transactions, and messages of aborted ones. Were the stored offset to stay before them, it would
 * be outside of the log once retention has removed them, although nothing is missing. */
static void store_end(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    static const struct write_ops ops = {on_end_stored, on_end_refused};
    struct end_write *end = calloc(1, sizeof(*end));
    if (end == NULL) return; /* at the next tick */
    end->consumer = consumer;
    end->pending_write = (struct pending_write){.ops = &ops,
                                                .kind = WRITE_OFFSET,
                                                .partition = &partition->stored,
                                                .offset = partition->end - 1};
    partition->taken = partition->end;
    partition->storing_end = true;
    start(consumer, partition, &end->pending_write);
}

void consumer_store_ends(struct kafka_consumer *consumer)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct consumer_partition *partition = &consumer->partitions[i];
        if (!partition->fetching || partition->storing_end || partition->end <= partition->taken) continue;
        store_end(consumer, partition);
    }
}

/* ---- errors: they come as messages ---- */

/* Nothing is missing of a partition of which nothing was taken yet. The error may be an earlier fetch's, as librdkafka does not drop those: it is
 * of an offset that was passed, or of 0 where the log is known to begin later. */
static void on_outside(struct kafka_consumer *consumer, struct consumer_partition *partition, int64_t offset)
{
    if (offset >= 0 && (offset < partition->taken || (offset == 0 && partition->is_cut))) return;
    if (partition->taken == 0 && !partition->is_cut) {
        consumer_start_at_beginning(consumer, partition);
        return;
    }
    consumer_stop_partition(consumer, partition);
    LOG_ERROR("partition stopped: its stored offset is outside of its log. Was the topic truncated or recreated? Nothing is "
              "skipped automatically; to continue at another offset: schedule-service offsets reset --topic <topic> "
              "--partition <partition> --to <offset>",
              LOG_STR("topic", partition->stored.topic), LOG_INT("partition", partition->stored.number),
              LOG_INT("next_offset", partition->stored.next_offset));
}

/* A batch fails for good, or because there was no room for it (driver/kafka_unpack.h). For good it has failed when it fails again while none
 * was turned away since the first time. As its second failure may have been on its way already, there has to be a third, behind a
 * moment at which nothing waited to be taken. */
static void on_unreadable(struct kafka_consumer *consumer, struct consumer_partition *partition,
                          const rd_kafka_message_t *message)
{
    struct doubt *doubt = &partition->doubt;
    uint64_t turned_away = atomic_load(&consumer->unpack.turned_away);
    if (doubt->failures == 0 || doubt->offset != message->offset || doubt->turned_away != turned_away) {
        *doubt = (struct doubt){1, message->offset, turned_away, consumer->drained};
        return;
    }
    if (doubt->failures == 1 && doubt->drained == consumer->drained) return;
    if (++doubt->failures < UNREADABLE_FAILURES) return;
    consumer_stop_partition(consumer, partition);
    LOG_ERROR("partition stopped: a batch cannot be read. Is it larger than UNPACKED_BATCH_BYTES, or damaged? Nothing is "
              "skipped automatically; to skip it: schedule-service offsets skip --topic <topic> --partition <partition>",
              LOG_STR("topic", partition->stored.topic), LOG_INT("partition", partition->stored.number),
              LOG_INT("offset", message->offset), LOG_STR("reason", rd_kafka_message_errstr(message)));
}

/* Most are passing; librdkafka continues by itself. */
static void on_error(struct kafka_consumer *consumer, const rd_kafka_message_t *message)
{
    struct consumer_partition *partition = consumer_partition_at(consumer, message->partition);
    if (partition != NULL && !partition->fetching) return; /* of an earlier fetch */
    switch (partition == NULL ? RD_KAFKA_RESP_ERR__FAIL : message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: partition->end = message->offset; break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: on_outside(consumer, partition, message->offset); break;
    default:
        if (partition != NULL && kafka_is_unreadable(message->err)) on_unreadable(consumer, partition, message);
        else LOG_WARN("consumer", LOG_STR("reason", rd_kafka_message_errstr(message)));
    }
}

/* ---- taking what is there ---- */

/* An error waits for the messages before it. What is of no partition, and what is not fetched any more, does not stay. */
static void keep(struct kafka_consumer *consumer, rd_kafka_message_t *message)
{
    struct consumer_partition *partition = consumer_partition_at(consumer, message->partition);
    bool is_error = message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    bool is_fetched = partition != NULL && partition->fetching;
    if (is_fetched && !is_error) {
        partition->kept = message->offset + 1;
        partition->broker = rd_kafka_message_broker_id(message);
    } else if (is_fetched && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        partition->kept = message->offset;
    }
    if (is_fetched && (!is_error || partition->backlog.len > 0)) {
        kafka_backlog_add(&consumer->backlog, &partition->backlog, message);
        consumer->has_ahead = consumer->has_ahead || kafka_backlog_is_ahead(&partition->backlog);
        return;
    }
    if (is_error) on_error(consumer, message);
    rd_kafka_message_destroy(message);
}

/* Once begun until librdkafka has nothing more, so that partitions that are ahead can be paused. While all are paused nothing is fetched, but the
 * group has to see it poll. */
static bool may_keep(const struct kafka_consumer *consumer)
{
    const struct kafka_backlog *backlog = &consumer->backlog;
    if (consumer->paused) return kafka_backlog_has_room(backlog);
    return consumer->is_emptying ? !kafka_backlog_is_overfull(backlog) : !kafka_backlog_is_full(backlog);
}

/* Some of what librdkafka has. False: it has nothing more now. */
static bool keep_some(struct kafka_consumer *consumer)
{
    for (int i = 0; i < KEPT_AT_ONCE && may_keep(consumer); i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, 0);
        consumer->is_emptying = message != NULL;
        if (message == NULL) {
            consumer_pause_ahead(consumer);
            return false;
        }
        keep(consumer, message);
    }
    return true;
}

/* Takes the queue's first message. False: memory is out, and it stays. */
static bool take_first(struct kafka_consumer *consumer, struct kafka_backlog_queue *queue)
{
    rd_kafka_message_t *message = kafka_backlog_first(&consumer->backlog, queue);
    bool is_error = message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!is_error && !take(consumer, message)) return false;
    (void)kafka_backlog_take(&consumer->backlog, queue);
    struct consumer_partition *partition = consumer_partition_at(consumer, message->partition);
    if (is_error) on_error(consumer, message);
    consumer_mind_ahead(consumer, partition);
    rd_kafka_message_destroy(message);
    return true;
}

static void note_drained(struct kafka_consumer *consumer)
{
    kafka_unpack_drained(&consumer->unpack);
    consumer->drained++;
}

/* Others have the loop until then. By a timer also where that is now: what is made active is run before the loop looks at anything else again.
 * It counts from the time that libevent keeps, which is of the beginning of its turn unless it is told. */
static void yield_until(struct kafka_consumer *consumer, int64_t until_us)
{
    int64_t left_us = until_us - clock_steady_us();
    if (left_us < 0) left_us = 0;
    const struct timeval after = {left_us / 1000000, left_us % 1000000};
    consumer->yields_until_us = until_us;
    event_base_update_cache_time(consumer->base);
    event_add(consumer->rest, &after);
}

static void take_what_is_there(struct kafka_consumer *consumer)
{
    static const struct timeval rest = {.tv_usec = REST_MS * 1000};
    int64_t start_us = clock_steady_us();
    bool has_taken = false;
    bool is_heavy = false;
    bool has_more = true;
    while (!is_heavy && clock_steady_us() < start_us + TURN_US) {
        if (has_more || consumer->backlog.len == 0) has_more = keep_some(consumer);
        struct kafka_backlog_queue *queue = kafka_backlog_next(&consumer->backlog);
        if (queue == NULL && !has_more) {
            note_drained(consumer);
            if (has_taken) event_add(consumer->rest, &rest);
            return;
        }
        if (is_full(consumer)) return;
        if (queue == NULL) continue;
        is_heavy = kafka_backlog_first(&consumer->backlog, queue)->len > HEAVY_BYTES;
        if (!take_first(consumer, queue)) return;
        has_taken = true;
    }
    int64_t now_us = clock_steady_us();
    int64_t took_us = now_us - start_us < YIELD_MAX_US ? now_us - start_us : YIELD_MAX_US;
    yield_until(consumer, is_heavy ? now_us + took_us : now_us);
}

void consumer_take(struct kafka_consumer *consumer)
{
    if (consumer->draining || evtimer_pending(consumer->rest, NULL)) return;
    take_what_is_there(consumer);
}

void consumer_on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_consumer *consumer = ctx;
    uint64_t count;
    (void)what;
    while (read(fd, &count, sizeof(count)) > 0) continue;
    consumer_take(consumer);
}

void consumer_on_rested(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_consumer *consumer = ctx;
    (void)fd;
    (void)what;
    if (consumer->draining) return;
    if (clock_steady_us() < consumer->yields_until_us) { /* the timer's clock ticks in milliseconds */
        yield_until(consumer, consumer->yields_until_us);
        return;
    }
    take_what_is_there(consumer);
}

void consumer_mind_fullness(struct kafka_consumer *consumer)
{
    const struct kafka_backlog *backlog = &consumer->backlog;
    consumer->full_ticks = is_full(consumer) && kafka_backlog_is_full(backlog) ? consumer->full_ticks + 1 : 0;
    if (!consumer->paused && consumer->full_ticks >= PAUSE_AFTER_TICKS) consumer_pause_or_resume(consumer, true);
    else if (consumer->paused && backlog->len < KAFKA_BACKLOG_MAX / 2 && backlog->bytes < KAFKA_BACKLOG_BYTES_MAX / 2)
        consumer_pause_or_resume(consumer, false);
}
