/* A time zone of its file, for tools. */
#ifndef TESTS_SUPPORT_ZONE_FILE_H
#define TESTS_SUPPORT_ZONE_FILE_H

#include "core/zone.h"

/* NULL when there is no such file or it is no time zone. */
struct zone *zone_file_read(const char *path);

#endif
