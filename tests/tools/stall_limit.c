/* What the machine itself does to latencies: every tick, at a steady pace, is a little work on one core while nothing else runs. A latency counts from when
 * the tick was due, so whatever takes the core away or slows it is seen.
 *
 *   stall_limit RATE SECONDS    prints the latencies */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "driver/clock.h"
#include "latencies.h"

enum { ROUNDS = 60000 }; /* some 70 us on a core of 2023 */

static void work(void)
{
    volatile uint64_t value = 1;
    for (int i = 0; i < ROUNDS; i++) value = value * 6364136223846793005U + 1;
}

static void sleep_until(int64_t until_us)
{
    int64_t left_us = until_us - clock_steady_us();
    if (left_us <= 0) return;
    nanosleep(&(struct timespec){.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000}, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: stall_limit RATE SECONDS\n");
        return 2;
    }
    int64_t rate = strtoll(argv[1], NULL, 10);
    int64_t count = rate * strtoll(argv[2], NULL, 10);
    struct latencies latencies;
    latencies_init(&latencies, (size_t)count);
    int64_t start_us = clock_steady_us();
    for (int64_t i = 0; i < count; i++) {
        int64_t due_us = start_us + i * 1000000 / rate;
        sleep_until(due_us);
        work();
        latencies_add(&latencies, clock_steady_us() - due_us);
    }
    latencies_print(&latencies);
    latencies_done(&latencies);
    return 0;
}
