#include "app/log_signal.h"

#include <signal.h>

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    const struct log_signals *signals = ctx;
    (void)what;
    enum log_level level = number == SIGUSR1 ? LOG_LEVEL_DEBUG : signals->configured;
    log_set_level(level < LOG_LEVEL_INFO ? level : LOG_LEVEL_INFO); /* so that the change itself is logged */
    LOG_INFO("log level", LOG_STR("level", log_level_name(level)));
    log_set_level(level);
}

bool log_signals_start(struct log_signals *signals, struct event_base *base, const char *configured_level)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2};
    signals->configured = log_level_of(configured_level);
    for (int i = 0; i < 2; i++) {
        signals->events[i] = evsignal_new(base, numbers[i], on_signal, signals);
        if (signals->events[i] == NULL || event_add(signals->events[i], NULL) != 0) return false;
    }
    return true;
}

void log_signals_stop(struct log_signals *signals)
{
    for (int i = 0; i < 2; i++) {
        if (signals->events[i] != NULL) event_free(signals->events[i]);
    }
}
