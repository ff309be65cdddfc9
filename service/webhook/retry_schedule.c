#include "webhook/retry_schedule.h"

enum { MINUTE_S = 60, HOUR_S = 3600, RETRY_AFTER_LEAST_S = 60 };

static const int64_t delays_s[RETRY_ATTEMPTS_MAX] = {0,          5,           5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S,
                                                     5 * HOUR_S, 10 * HOUR_S, 14 * HOUR_S,  20 * HOUR_S,   24 * HOUR_S};

/* Between 0.8 and 1.2 times as long. */
static int64_t jitter(int64_t delay_us, uint32_t random)
{
    return delay_us / 5 * 4 + delay_us * 2 / 5 / 1000 * (random % 1001);
}

int64_t retry_delay_us(int attempts, int64_t retry_after_s, uint32_t random)
{
    const int64_t second_us = 1000000;
    if (attempts >= RETRY_ATTEMPTS_MAX) return -1;
    int64_t delay_s = delays_s[attempts];
    int64_t most_s = delay_s * 2 > RETRY_AFTER_LEAST_S ? delay_s * 2 : RETRY_AFTER_LEAST_S;
    int64_t delay_us = jitter(delay_s * second_us, random);
    int64_t asked_us = (retry_after_s < most_s ? retry_after_s : most_s) * second_us;
    return asked_us > delay_us ? asked_us : delay_us;
}
