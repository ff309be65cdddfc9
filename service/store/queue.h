/* A FIFO of writes, linked through the writes themselves. */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "store/writer.h"

static inline void queue_add(struct queue *queue, struct write *write)
{
    write->next = NULL;
    if (queue->last == NULL) queue->first = write;
    else queue->last->next = write;
    queue->last = write;
    queue->len++;
}

static inline struct write *queue_take(struct queue *queue)
{
    struct write *write = queue->first;
    if (write == NULL) return NULL;
    queue->first = write->next;
    if (queue->first == NULL) queue->last = NULL;
    queue->len--;
    return write;
}

/* Before what queue holds. */
static inline void queue_put_back(struct queue *queue, struct write *write)
{
    write->next = queue->first;
    queue->first = write;
    if (queue->last == NULL) queue->last = write;
    queue->len++;
}

#endif
