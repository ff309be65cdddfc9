/* The pure part of a command alone, COUNT times (see sample_row.h). For callgrind.
 *
 *   pure COUNT */
#include <stdio.h>
#include <stdlib.h>

#include "sample.h"
#include "sample_row.h"

enum { DIFFERENT = 64, ARENA_MAX = 16 << 20, TZDATA_MAX = 1 << 20 };

static struct time_zones *read_zones(void)
{
    static char text[TZDATA_MAX];
    FILE *file = fopen("/usr/share/zoneinfo/tzdata.zi", "re");
    size_t len = file == NULL ? 0 : fread(text, 1, sizeof(text), file);
    if (file != NULL) fclose(file);
    return time_zones_new((struct slice){text, len});
}

int main(int argc, char **argv)
{
    static uint8_t commands[DIFFERENT][SAMPLE_BYTES_MAX];
    struct slice bytes[DIFFERENT];
    struct sample_row row;
    struct time_zones *zones = read_zones();
    if (argc != 2 || zones == NULL) return 2;
    for (int i = 0; i < DIFFERENT; i++) bytes[i] = (struct slice){(char *)commands[i], sample_pack(i, 1, 1, commands[i])};
    sample_row_init(&row);
    enum status status = STATUS_OK;
    int64_t count = strtoll(argv[1], NULL, 10);
    for (int64_t i = 0; i < count && status == STATUS_OK; i++) {
        struct arena *arena = arena_new(ARENA_MAX);
        if (arena == NULL) return 1;
        status = sample_row_make(&row, bytes[i % DIFFERENT], i + 1, zones, arena);
        arena_free(arena);
    }
    sample_row_done(&row);
    time_zones_free(zones);
    return status == STATUS_OK ? 0 : 1;
}
