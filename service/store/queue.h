/* A FIFO of writes, linked through the writes themselves. */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "store/writer.h"

static inline void queue_add(struct queue *queue, struct pending_write *pending_write)
{
    pending_write->next = NULL;
    if (queue->last == NULL) queue->first = pending_write;
    else queue->last->next = pending_write;
    queue->last = pending_write;
    queue->len++;
}

static inline struct pending_write *queue_take(struct queue *queue)
{
    struct pending_write *pending_write = queue->first;
    if (pending_write == NULL) return NULL;
    queue->first = pending_write->next;
    if (queue->first == NULL) queue->last = NULL;
    queue->len--;
    return pending_write;
}

/* Before what queue holds. */
static inline void queue_put_back(struct queue *queue, struct pending_write *pending_write)
{
    pending_write->next = queue->first;
    queue->first = pending_write;
    if (queue->last == NULL) queue->last = pending_write;
    queue->len++;
}

#endif
