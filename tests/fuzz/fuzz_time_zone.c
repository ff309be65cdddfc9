/* The text of a tzdata.zi: up to the first NUL the table's text, behind it a name to look for. */
#include "core/time_zone.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of_input(data, size);
    const char *end = size == 0 ? NULL : memchr(text.data, '\0', text.len);
    struct slice name = {"", 0};
    if (end != NULL) {
        name = (struct slice){end + 1, text.len - (size_t)(end + 1 - text.data)};
        text.len = (size_t)(end - text.data);
    }
    struct time_zones *zones = time_zones_new(text);
    if (zones == NULL) return 0;
    MUST(time_zones_count(zones) > 0);
    struct slice found = time_zone_find(zones, name);
    MUST(found.data == NULL || (found.len == name.len && found.len > 0 && found.data[found.len] == '\0'));
    time_zones_free(zones);
    return 0;
}
