#include <stdlib.h>

#include "webhook/webhook_sender_state.h"

struct taken *window_take(struct window *window, int64_t offset, int64_t at_us)
{
    struct taken *taken = calloc(1, sizeof(*taken));
    if (taken == NULL) return NULL;
    taken->offset = offset;
    taken->at_us = at_us;
    if (window->last != NULL) window->last->next = taken;
    else window->first = taken;
    window->last = taken;
    return taken;
}

void window_complete(struct window *window)
{
    while (window->first != NULL && window->first->pending == 0) {
        struct taken *done = window->first;
        window->first = done->next;
        if (window->first == NULL) window->last = NULL;
        free(done);
    }
}

int64_t window_prefix(const struct window *window)
{
    return window->first == NULL ? window->position : window->first->offset;
}

void window_clear(struct window *window)
{
    for (struct taken *taken = window->first, *next; taken != NULL; taken = next) {
        next = taken->next;
        free(taken);
    }
    *window = (struct window){0};
}
