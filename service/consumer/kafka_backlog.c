#include "consumer/kafka_backlog.h"

bool kafka_backlog_is_full(const struct kafka_backlog *backlog)
{
    return backlog->len >= KAFKA_BACKLOG_MAX || backlog->bytes >= KAFKA_BACKLOG_BYTES_MAX;
}

bool kafka_backlog_is_overfull(const struct kafka_backlog *backlog)
{
    return backlog->len >= KAFKA_BACKLOG_ROOM - KAFKA_BACKLOG_RESERVE ||
           backlog->bytes >= 4 * (size_t)KAFKA_BACKLOG_BYTES_MAX;
}

bool kafka_backlog_has_room(const struct kafka_backlog *backlog)
{
    return backlog->len < KAFKA_BACKLOG_ROOM;
}

bool kafka_backlog_is_ahead(const struct kafka_backlog_queue *queue)
{
    return queue->len > KAFKA_BACKLOG_SHARE || queue->bytes > KAFKA_BACKLOG_SHARE_BYTES;
}

bool kafka_backlog_is_behind(const struct kafka_backlog_queue *queue)
{
    return queue->len <= KAFKA_BACKLOG_SHARE / 2 && queue->bytes <= KAFKA_BACKLOG_SHARE_BYTES / 2;
}

static uint16_t new_entry(struct kafka_backlog *backlog)
{
    uint16_t entry = backlog->unused;
    if (backlog->used == backlog->len) entry = (uint16_t)backlog->used++;
    else backlog->unused = backlog->entries[entry].next;
    return entry;
}

static void list(struct kafka_backlog *backlog, struct kafka_backlog_queue *queue)
{
    if (queue->is_listed) return;
    queue->is_listed = true;
    queue->next = backlog->queues;
    backlog->queues = queue;
}

void kafka_backlog_add(struct kafka_backlog *backlog, struct kafka_backlog_queue *queue, rd_kafka_message_t *message)
{
    uint16_t entry = new_entry(backlog);
    backlog->entries[entry].message = message;
    if (queue->len == 0) queue->first = entry;
    else backlog->entries[queue->last].next = entry;
    queue->last = entry;
    queue->len++;
    queue->bytes += message->len;
    backlog->len++;
    backlog->bytes += message->len;
    list(backlog, queue);
}

struct kafka_backlog_queue *kafka_backlog_next(struct kafka_backlog *backlog)
{
    struct kafka_backlog_queue *least = NULL;
    for (struct kafka_backlog_queue **at = &backlog->queues; *at != NULL;) {
        struct kafka_backlog_queue *queue = *at;
        if (queue->len == 0) {
            queue->is_listed = false;
            *at = queue->next;
            continue;
        }
        if (least == NULL || queue->under_way < least->under_way) least = queue;
        at = &queue->next;
    }
    return least;
}

rd_kafka_message_t *kafka_backlog_first(const struct kafka_backlog *backlog, const struct kafka_backlog_queue *queue)
{
    return backlog->entries[queue->first].message;
}

rd_kafka_message_t *kafka_backlog_take(struct kafka_backlog *backlog, struct kafka_backlog_queue *queue)
{
    uint16_t entry = queue->first;
    rd_kafka_message_t *message = backlog->entries[entry].message;
    queue->first = backlog->entries[entry].next;
    queue->len--;
    queue->bytes -= message->len;
    backlog->entries[entry].next = backlog->unused;
    backlog->unused = entry;
    backlog->len--;
    backlog->bytes -= message->len;
    return message;
}

void kafka_backlog_drop(struct kafka_backlog *backlog, struct kafka_backlog_queue *queue)
{
    while (queue->len > 0) rd_kafka_message_destroy(kafka_backlog_take(backlog, queue));
}

void kafka_backlog_drop_all(struct kafka_backlog *backlog)
{
    for (struct kafka_backlog_queue *queue = backlog->queues; queue != NULL; queue = queue->next) {
        kafka_backlog_drop(backlog, queue);
    }
}
