#include "app/tzdata.h"

#include <stdio.h>
#include <stdlib.h>

#include "driver/log.h"

enum { TZDATA_MAX_BYTES = 4 << 20, ZONE_MAX_BYTES = 64 << 10, PATH_SIZE = 4096 };

void tzdata_version(const char *path, char ret_version[TZDATA_VERSION_SIZE])
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "# version %15s", ret_version) != 1)
        snprintf(ret_version, TZDATA_VERSION_SIZE, "unknown");
    if (file != NULL) fclose(file);
}

/* At most size bytes; 0 when there are none. */
static size_t read_file(const char *path, char *bytes, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t len = file == NULL ? 0 : fread(bytes, 1, size, file);
    if (file != NULL) fclose(file);
    return len;
}

struct time_zones *tzdata_read(const char *path)
{
    char *text = malloc(TZDATA_MAX_BYTES);
    size_t len = text == NULL ? 0 : read_file(path, text, TZDATA_MAX_BYTES);
    struct time_zones *zones = len == 0 ? NULL : time_zones_new((struct slice){text, len});
    free(text);
    if (zones == NULL) LOG_ERROR("no time zones; is the package tzdata installed?", LOG_STR("path", path));
    return zones;
}

struct zone *tzdata_read_zone(const char *path, const struct time_zones *zones, struct slice name)
{
    char zone_path[PATH_SIZE];
    char bytes[ZONE_MAX_BYTES];
    const char *slash = strrchr(path, '/');
    int directory_len = slash == NULL ? 0 : (int)(slash - path + 1);
    struct slice target = time_zone_target(zones, name);
    int len = snprintf(zone_path, sizeof(zone_path), "%.*s%s", directory_len, path, target.data);
    bool fits = len >= 0 && (size_t)len < sizeof(zone_path);
    struct slice tzif = {bytes, fits ? read_file(zone_path, bytes, sizeof(bytes)) : 0};
    struct zone *zone = tzif.len == sizeof(bytes) ? NULL : zone_new(tzif);
    if (zone == NULL) LOG_ERROR("no data of a time zone", LOG_SLICE("time_zone", name), LOG_STR("path", zone_path));
    return zone;
}
