#include "app/tzdata.h"

#include <stdio.h>
#include <stdlib.h>

#include "driver/log.h"

enum { TZDATA_MAX_BYTES = 4 << 20 };

void tzdata_version(const char *path, char ret_version[TZDATA_VERSION_SIZE])
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "# version %15s", ret_version) != 1)
        snprintf(ret_version, TZDATA_VERSION_SIZE, "unknown");
    if (file != NULL) fclose(file);
}

struct time_zones *tzdata_read(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : malloc(TZDATA_MAX_BYTES);
    size_t len = text == NULL ? 0 : fread(text, 1, TZDATA_MAX_BYTES, file);
    struct time_zones *zones = len == 0 ? NULL : time_zones_new((struct slice){text, len});
    free(text);
    if (file != NULL) fclose(file);
    if (zones == NULL) LOG_ERROR("no time zones; is the package tzdata installed?", LOG_STR("path", path));
    return zones;
}
