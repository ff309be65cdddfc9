/* SIGUSR1 logs at debug, SIGUSR2 at the configured level again. */
#ifndef APP_LOG_SIGNAL_H
#define APP_LOG_SIGNAL_H

#include <event2/event.h>
#include <stdbool.h>

#include "driver/log.h"

/* All 0: not started. It outlives what was started with it. */
struct log_signals {
    enum log_level configured;
    struct event *events[2];
};

bool log_signals_start(struct log_signals *signals, struct event_base *base, const char *configured_level);
void log_signals_stop(struct log_signals *signals);

#endif
