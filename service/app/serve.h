/* The service itself: wires the stations of the line together, opens the intake when the database is fit for writes, and drains
 * on a signal to stop. */
#ifndef APP_SERVE_H
#define APP_SERVE_H

#include "app/config.h"

/* Runs until SIGTERM or SIGINT. Returns the exit code. */
int serve_run(const struct config *config);

#endif
