/* The time zone names of the system. */
#ifndef APP_TZDATA_H
#define APP_TZDATA_H

#include "core/time_zone.h"

/* Reads the file. NULL when it cannot be read or names no zone, which was logged. Free with time_zones_free. */
struct time_zones *tzdata_read(const char *path);

#endif
