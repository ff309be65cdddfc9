/* The way of a message through the door: taken, handed to the writer, settled. Taking stops when too much is in flight. What the consumer
 * gives instead of a message, errors and the ends of partitions, is dealt with here too. */
#include "source/kafka_door_state.h"

#include <stdlib.h>
#include <unistd.h>

#include "driver/clock.h"
#include "driver/log.h"

enum {
    IN_FLIGHT_MAX = 4096,          /* messages: four batches for each connection */
    IN_FLIGHT_BYTES_MAX = 8 << 20, /* of them */
    TURN_US = 5000,                /* before all other events get their turn */
    HEAVY_BYTES = 8 << 10,         /* a message beyond it is the last of its turn */
    REST_MS = 5,                   /* after all that was there is taken: what comes meanwhile shares a batch */
    PAUSE_AFTER_TICKS = 10,        /* full for so long: pause, and keep polling for the group's sake */
    UNREADABLE_FAILURES = 3
};

/* ---- in flight ---- */

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
        door_load_offsets(door);
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
              LOG_INT("partition", partition), LOG_INT("offset", offset), LOG_INT("tried_again_every_ms", DOOR_TICK_MS));
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
    struct door_partition *partition = door_partition_at(door, raw->partition);
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

/* Moves a partition's stored offset to its end. */
struct end_write {
    struct write write; /* first: the writer's view */
    struct kafka_door *door;
};

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

void door_store_ends(struct kafka_door *door)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->fetching || partition->storing_end || partition->end <= partition->taken) continue;
        store_end(door, partition);
    }
}

/* ---- errors: they come as messages ---- */

static void on_outside(struct kafka_door *door, struct door_partition *partition)
{
    door_stop_partition(door, partition);
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
    door_stop_partition(door, partition);
    LOG_ERROR("partition stopped: a batch cannot be read. Is it larger than UNPACKED_BATCH_BYTES, or damaged? Nothing is "
              "skipped until you "
              "say so: schedule-service offsets skip --topic <topic> --partition <partition>",
              LOG_STR("topic", partition->stored.topic), LOG_INT("partition", partition->stored.number),
              LOG_INT("offset", message->offset), LOG_STR("reason", rd_kafka_message_errstr(message)));
}

/* Most are passing; librdkafka goes on by itself. */
static void on_error(struct kafka_door *door, const rd_kafka_message_t *message)
{
    struct door_partition *partition = door_partition_at(door, message->partition);
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
    bool is_heavy = false;
    for (bool has_taken = false; !is_heavy && clock_steady_us() < end_us; has_taken = true) {
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
        is_heavy = message->len > HEAVY_BYTES;
        rd_kafka_message_destroy(message);
    }
    event_add(door->rest, &next_turn);
}

void door_take(struct kafka_door *door)
{
    if (!door->draining && !evtimer_pending(door->rest, NULL)) take_what_is_there(door);
}

void door_on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_door *door = ctx;
    uint64_t count;
    (void)what;
    while (read(fd, &count, sizeof(count)) > 0) continue;
    door_take(door);
}

void door_on_rested(evutil_socket_t fd, short what, void *ctx)
{
    struct kafka_door *door = ctx;
    (void)fd;
    (void)what;
    if (!door->draining) take_what_is_there(door);
}

void door_mind_fullness(struct kafka_door *door)
{
    door->full_ticks = is_full(door) ? door->full_ticks + 1 : 0;
    if (!door->paused && door->full_ticks >= PAUSE_AFTER_TICKS) door_pause_or_resume(door, true);
    else if (door->paused && door->in_flight < IN_FLIGHT_MAX / 2 && door->in_flight_bytes < IN_FLIGHT_BYTES_MAX / 2) {
        door_pause_or_resume(door, false);
    }
}
