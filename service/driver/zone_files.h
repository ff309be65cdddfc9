/* The system's time zones: the names of tzdata.zi and, read when one is first asked for and kept, the TZif files beside it. Not for several
 * threads. */
#ifndef DRIVER_ZONE_FILES_H
#define DRIVER_ZONE_FILES_H

#include "core/time_zone.h"
#include "core/zone.h"

/* Where TZDATA names no other file. */
#define TZDATA_PATH "/usr/share/zoneinfo/tzdata.zi"

enum { ZONE_VERSION_SIZE = 16 };

/* "2025b", as a tzdata.zi says at its beginning; "unknown" when it does not, or is not there. */
void zone_files_read_version(const char *path, char ret_version[ZONE_VERSION_SIZE]);

struct zone_files;

/* Reads tzdata.zi; the path is copied. NULL when it cannot be read, names no zone, or memory is out, which was logged. */
struct zone_files *zone_files_new(const char *path);
void zone_files_free(struct zone_files *files);

/* Reads everything again if tzdata.zi has another version now. False when it cannot be read, which was logged: then nothing changes. Zones that were
 * found before are gone, names stay until the files are freed. */
bool zone_files_reload(struct zone_files *files);

/* The names; borrowed. */
const struct time_zones *zone_files_names(const struct zone_files *files);

/* That of its tzdata.zi; borrowed. */
const char *zone_files_version(const struct zone_files *files);

/* The zone of a name; a link's is its target's. Borrowed until the files are read again or freed. NULL when there is no such name, or its file is not
 * there or cannot be used, which was logged. */
const struct zone *zone_files_find(struct zone_files *files, struct slice name);

#endif
