/* A FIFO of writes, linked through the writes themselves. */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "store/writer.h"

struct queue {
    struct write *first;
    struct write *last;
    size_t len;
};

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

/* Puts all of front before what queue holds. */
static inline void queue_put_back(struct queue *queue, struct queue *front)
{
    if (front->first == NULL) return;
    front->last->next = queue->first;
    queue->first = front->first;
    if (queue->last == NULL) queue->last = front->last;
    queue->len += front->len;
    *front = (struct queue){0};
}

/* Forgets that the commands of the queue are on their way. */
static inline void queue_clear_sent_offsets(const struct queue *queue)
{
    for (const struct write *write = queue->first; write != NULL; write = write->next) {
        if (write->partition != NULL) write->partition->sent_next = 0;
    }
}

#endif
