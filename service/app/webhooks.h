/* `schedule-service webhooks`: the process that sends events to HTTP endpoints. */
#ifndef APP_WEBHOOKS_H
#define APP_WEBHOOKS_H

#include "app/config.h"

/* Sends until a signal. Returns the exit code. */
int webhooks_run(const struct config *config);

#endif
