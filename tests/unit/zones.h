/* The system's time zones for a group of tests: zones_set_up and zones_tear_down are its fixtures. */
#ifndef TESTS_UNIT_ZONES_H
#define TESTS_UNIT_ZONES_H

#include "support.h"

static struct time_zones *zones;

static int zones_set_up(void **state)
{
    (void)state;
    zones = system_time_zones();
    return 0;
}

static int zones_tear_down(void **state)
{
    (void)state;
    time_zones_free(zones);
    return 0;
}

#endif
