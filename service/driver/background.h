/* One call that blocks, made by a thread of its own while the loop goes on. */
#ifndef DRIVER_BACKGROUND_H
#define DRIVER_BACKGROUND_H

struct background;
struct event_base;

/* The thread calls work(ctx), then the loop calls done(ctx), which comes exactly once and behind which nothing of it is left; *at is
 * NULL then. ctx is lent until done. NULL in *at: out of memory or threads, and nothing is called. */
void background_start(struct background **at, struct event_base *base, void (*work)(void *ctx), void (*done)(void *ctx),
                      void *ctx);

/* Waits until work has returned; done does not come. Of NULL there is nothing to wait for. */
void background_free(struct background *background);

#endif
