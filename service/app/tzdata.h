/* The time zones of the system. */
#ifndef APP_TZDATA_H
#define APP_TZDATA_H

#include "core/time_zone.h"
#include "core/zone.h"

/* Where TZDATA names no other file. */
#define TZDATA_PATH "/usr/share/zoneinfo/tzdata.zi"

enum { TZDATA_VERSION_SIZE = 16 };

/* "2025b", as the file says at its beginning; "unknown" when it does not. */
void tzdata_version(const char *path, char ret_version[TZDATA_VERSION_SIZE]);

/* Reads the file. NULL when it cannot be read or names no zone, which was logged. Free with time_zones_free. */
struct time_zones *tzdata_read(const char *path);

/* Reads a zone's TZif file, which stands beside tzdata.zi under the zone's name, or its link's target's. `name` is one that time_zone_find
 * returned. NULL when there is none or it cannot be used, which was logged. Free with zone_free. */
struct zone *tzdata_read_zone(const char *path, const struct time_zones *zones, struct slice name);

#endif
