#include "app/stop_limit.h"

#include <stdint.h>
#include <unistd.h>

#include "driver/log.h"
#include "driver/thread.h"

static void *end_late(void *ctx)
{
    for (unsigned left = (unsigned)(uintptr_t)ctx; left > 0;) left = sleep(left);
    LOG_ERROR("stopped", LOG_STR("reason", "it took too long to end"), LOG_INT("code", 1));
    _exit(1);
}

void stop_limit_start(int seconds)
{
    pthread_t thread;
    if (thread_start(&thread, end_late, (void *)(uintptr_t)seconds)) pthread_detach(thread);
    else LOG_WARN("the stop has no limit", LOG_STR("reason", "no thread can be started"));
}
