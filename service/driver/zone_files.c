#include "driver/zone_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "driver/log.h"

enum { TZDATA_MAX_BYTES = 4 << 20, ZONE_MAX_BYTES = 64 << 10, PATH_SIZE = 4096 };

struct zone_files {
    char *path; /* of tzdata.zi */
    char version[ZONE_VERSION_SIZE];
    struct time_zones *names;
    struct zone **zones;           /* by the index of their names; NULL: not asked for */
    struct time_zones **all_names; /* these and those of former versions, from which names are still borrowed */
    size_t all_len;
};

void zone_files_read_version(const char *path, char ret_version[ZONE_VERSION_SIZE])
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "# version %15s", ret_version) != 1) {
        snprintf(ret_version, ZONE_VERSION_SIZE, "unknown");
    }
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

static struct time_zones *read_names(const char *path)
{
    char *text = malloc(TZDATA_MAX_BYTES);
    size_t len = text == NULL ? 0 : read_file(path, text, TZDATA_MAX_BYTES);
    struct time_zones *names = len == 0 ? NULL : time_zones_new((struct slice){text, len});
    free(text);
    if (names == NULL) LOG_ERROR("no time zones; is the package tzdata installed?", LOG_STR("path", path));
    return names;
}

/* Makes a table of the names, without any zone yet. */
static bool take_names(struct zone_files *files)
{
    struct time_zones *names = read_names(files->path);
    struct zone **zones = names == NULL ? NULL : calloc(time_zones_count(names), sizeof(struct zone *));
    struct time_zones **all = realloc(files->all_names, (files->all_len + 1) * sizeof(struct time_zones *));
    if (all != NULL) files->all_names = all;
    if (zones == NULL || all == NULL) {
        free(zones);
        time_zones_free(names);
        return false;
    }
    all[files->all_len++] = files->names = names;
    files->zones = zones;
    zone_files_read_version(files->path, files->version);
    return true;
}

static void free_zones(const struct time_zones *names, struct zone **zones)
{
    for (size_t i = 0; zones != NULL && i < time_zones_count(names); i++) zone_free(zones[i]);
    free(zones);
}

struct zone_files *zone_files_new(const char *path)
{
    struct zone_files *files = calloc(1, sizeof(*files));
    if (files != NULL) files->path = strdup(path);
    if (files != NULL && files->path != NULL && take_names(files)) return files;
    zone_files_free(files);
    return NULL;
}

bool zone_files_reload(struct zone_files *files)
{
    char version[ZONE_VERSION_SIZE];
    const struct time_zones *names = files->names;
    struct zone **zones = files->zones;
    zone_files_read_version(files->path, version);
    if (strcmp(version, files->version) == 0) return true;
    if (!take_names(files)) return false;
    free_zones(names, zones);
    LOG_INFO("time zones reloaded", LOG_STR("version", files->version));
    return true;
}

void zone_files_free(struct zone_files *files)
{
    if (files == NULL) return;
    free_zones(files->names, files->zones);
    for (size_t i = 0; i < files->all_len; i++) time_zones_free(files->all_names[i]);
    free(files->all_names);
    free(files->path);
    free(files);
}

const struct time_zones *zone_files_names(const struct zone_files *files)
{
    return files->names;
}

const char *zone_files_version(const struct zone_files *files)
{
    return files->version;
}

static struct zone *read_zone(const struct zone_files *files, struct slice name)
{
    char path[PATH_SIZE];
    char bytes[ZONE_MAX_BYTES];
    const char *slash = strrchr(files->path, '/');
    int directory_len = slash == NULL ? 0 : (int)(slash - files->path + 1);
    int len = snprintf(path, sizeof(path), "%.*s%s", directory_len, files->path, name.data);
    bool fits = len >= 0 && (size_t)len < sizeof(path);
    struct slice tzif = {bytes, fits ? read_file(path, bytes, sizeof(bytes)) : 0};
    struct zone *zone = tzif.len == sizeof(bytes) ? NULL : zone_new(tzif);
    if (zone == NULL) LOG_ERROR("no data of a time zone", LOG_SLICE("time_zone", name), LOG_STR("path", path));
    return zone;
}

const struct zone *zone_files_find(struct zone_files *files, struct slice name)
{
    struct slice known = time_zone_find(files->names, name);
    if (known.data == NULL) return NULL;
    struct slice target = time_zone_target(files->names, known);
    size_t index = time_zone_index(files->names, target);
    if (index == SIZE_MAX) return NULL;
    if (files->zones[index] == NULL) files->zones[index] = read_zone(files, target);
    return files->zones[index];
}
