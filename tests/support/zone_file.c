#include "zone_file.h"

#include <stdio.h>

enum { FILE_MAX_BYTES = 64 << 10 };

struct zone *zone_file_read(const char *path)
{
    static char bytes[FILE_MAX_BYTES];
    FILE *file = fopen(path, "re");
    size_t len = file == NULL ? 0 : fread(bytes, 1, sizeof(bytes), file);
    if (file != NULL) fclose(file);
    return zone_new((struct slice){bytes, len});
}
