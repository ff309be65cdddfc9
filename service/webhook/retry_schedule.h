/* When a delivery that failed is tried again: at 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h after one another, each with
 * a jitter of a fifth to either side, 75.6 h in all (the schedule that Standard Webhooks 1.0.0 advises). Pure. */
#ifndef WEBHOOK_RETRY_SCHEDULE_H
#define WEBHOOK_RETRY_SCHEDULE_H

#include <stdint.h>

enum { RETRY_ATTEMPTS_MAX = 10 };

/* How long to wait after so many attempts, in microseconds; -1: there is no further one. retry_after_s is what the receiver asked for, 0:
 * nothing; it is followed up to twice the schedule's own time, and up to a minute where that one is shorter. random: any number. */
int64_t retry_delay_us(int attempts, int64_t retry_after_s, uint32_t random);

#endif
