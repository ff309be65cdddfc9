/* The IANA time zone names, held in memory so that checking one costs no system call. The names come from tzdata.zi, the
 * compact form of the tz database (see zic(8)): "Z <name> ..." begins a zone, "L <target> <name>" makes a link. */
#ifndef CORE_TIME_ZONE_H
#define CORE_TIME_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "core/slice.h"

struct time_zones;

/* Reads the text of a tzdata.zi. The table owns its copy. NULL when the text names no zone or memory is out. */
struct time_zones *time_zones_new(struct slice tzdata_zi);
void time_zones_free(struct time_zones *zones);

/* Looks a name up without regard to case. Returns the IANA spelling, borrowed from the table and NUL-terminated;
 * data is NULL when there is no such zone. A link keeps its own name: "asia/calcutta" gives "Asia/Calcutta". */
struct slice time_zone_find(const struct time_zones *zones, struct slice name);

/* The zone that a name means: itself, or what its link leads to, along links of links. `name` is one that time_zone_find returned. The data
 * of a zone is found under this name: a system may have no file for a link. Borrowed and NUL-terminated. */
struct slice time_zone_target(const struct time_zones *zones, struct slice name);

/* The place of a name among all, 0 to time_zones_count - 1; SIZE_MAX when there is no such name. */
size_t time_zone_index(const struct time_zones *zones, struct slice name);

size_t time_zones_count(const struct time_zones *zones);

#endif
