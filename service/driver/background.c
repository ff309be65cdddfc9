#include "driver/background.h"

#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver/thread.h"

struct background {
    struct background **at; /* who holds it */
    void (*work)(void *ctx);
    void (*done)(void *ctx);
    void *ctx;
    pthread_t thread;
    int fd; /* an eventfd: work has returned */
    struct event *event;
};

static void release(struct background *background)
{
    if (background->event != NULL) event_free(background->event);
    if (background->fd >= 0) close(background->fd);
    free(background);
}

static void *run(void *ctx)
{
    struct background *background = ctx;
    const uint64_t one = 1;
    background->work(background->ctx);
    ssize_t written = write(background->fd, &one, sizeof(one));
    (void)written; /* an eventfd that is at 0 takes it */
    return NULL;
}

static void on_end(evutil_socket_t fd, short what, void *ctx)
{
    struct background *background = ctx;
    void (*done)(void *) = background->done;
    void *of_done = background->ctx;
    (void)fd;
    (void)what;
    *background->at = NULL;
    background_free(background);
    done(of_done);
}

void background_start(struct background **at, struct event_base *base, void (*work)(void *ctx), void (*done)(void *ctx),
                      void *ctx)
{
    struct background *background = malloc(sizeof(*background));
    *at = NULL;
    if (background == NULL) return;
    *background = (struct background){.at = at, .work = work, .done = done, .ctx = ctx};
    background->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (background->fd >= 0) background->event = event_new(base, background->fd, EV_READ, on_end, background);
    if (background->event != NULL && event_add(background->event, NULL) == 0 &&
        thread_start(&background->thread, run, background)) {
        *at = background;
        return;
    }
    release(background);
}

void background_free(struct background *background)
{
    if (background == NULL) return;
    pthread_join(background->thread, NULL);
    release(background);
}
