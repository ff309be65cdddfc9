/* The time zones of a system: all of this one's, and a directory that a test makes of some of their files. */
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#include "driver/zone_files.h"

enum { ALL_BYTES_MAX = 1 << 20, PATH_SIZE = 256 };

/* What a zone holds in memory. */
static size_t bytes_of(const struct zone *zone)
{
    return sizeof(*zone) + zone->len * (sizeof(*zone->starts_s) + sizeof(*zone->offsets_s));
}

static void all_zones_of_the_system_take_at_most_a_mebibyte(void **state)
{
    struct zone_files *files = zone_files_new(TZDATA_PATH);
    struct slice text = read_whole_file(TZDATA_PATH);
    size_t bytes = 0;
    size_t zones_len = 0;
    size_t links_len = 0;
    (void)state;
    assert_non_null(files);
    for (const char *line = text.data, *end; (end = memchr(line, '\n', text.len - (size_t)(line - text.data))) != NULL;
         line = end + 1) {
        char target[64];
        char name[64];
        if (sscanf(line, "Z %63s", name) == 1) {
            if (strcmp(name, "Factory") == 0) continue; /* "not set" */
            const struct zone *zone = zone_files_find(files, slice_of(name));
            if (zone == NULL) fail_msg("no data of %s", name);
            bytes += bytes_of(zone);
            zones_len++;
        } else if (sscanf(line, "L %63s %63s", target, name) == 2) {
            assert_ptr_equal(zone_files_find(files, slice_of(name)), zone_files_find(files, slice_of(target)));
            links_len++;
        }
    }
    print_message("%zu zones of %zu bytes, %zu links\n", zones_len, bytes, links_len);
    assert_true(zones_len > 300 && links_len > 100);
    assert_true(bytes <= ALL_BYTES_MAX);
    free_copy(text);
    zone_files_free(files);
}

static void names_of_other_kinds_are_none(void **state)
{
    static const char *const names[] = {"",          "right/UTC",       "posix/UTC", "posixrules",
                                        "tzdata.zi", "../zoneinfo/UTC", "Europe",    "localtime"};
    struct zone_files *files = zone_files_new(TZDATA_PATH);
    (void)state;
    assert_non_null(files);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (zone_files_find(files, slice_of(names[i])) != NULL) fail_msg("found %s", names[i]);
    }
    assert_ptr_equal(zone_files_find(files, SLICE("europe/rome")), zone_files_find(files, SLICE("Europe/Rome")));
    zone_files_free(files);
}

/* ---- a directory ---- */

struct place {
    char directory[PATH_SIZE];
    char tzdata[PATH_SIZE + 16];
    char zone[PATH_SIZE + 16]; /* the file of A */
};

static void write_file(const char *path, struct slice bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void write_zone(const struct place *place, const char *of)
{
    struct slice tzif = read_whole_file(of);
    write_file(place->zone, tzif);
    free_copy(tzif);
}

static void make_place(struct place *place)
{
    snprintf(place->directory, sizeof(place->directory), "/tmp/zones-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->tzdata, sizeof(place->tzdata), "%s/tzdata.zi", place->directory);
    snprintf(place->zone, sizeof(place->zone), "%s/A", place->directory);
    write_file(place->tzdata, SLICE("# version 2024a\nZ A 0 - UTC\nZ B 0 - UTC\nL A C\n"));
    write_zone(place, "/usr/share/zoneinfo/Asia/Kolkata");
}

static void remove_place(const struct place *place)
{
    unlink(place->zone);
    unlink(place->tzdata);
    rmdir(place->directory);
}

static int32_t offset_of(struct zone_files *files, struct slice name)
{
    const struct zone *zone = zone_files_find(files, name);
    assert_non_null(zone);
    return zone->offsets_s[zone->len - 1];
}

static void a_link_without_a_file_is_its_target(void **state)
{
    struct place place;
    (void)state;
    make_place(&place);
    struct zone_files *files = zone_files_new(place.tzdata);
    assert_non_null(files);
    assert_int_equal(offset_of(files, SLICE("C")), 19800);
    assert_null(zone_files_find(files, SLICE("B"))); /* a name without data */
    zone_files_free(files);
    remove_place(&place);
}

static void another_version_is_read_again(void **state)
{
    struct place place;
    (void)state;
    make_place(&place);
    struct zone_files *files = zone_files_new(place.tzdata);
    assert_non_null(files);
    struct slice name = time_zone_find(zone_files_names(files), SLICE("a"));
    assert_int_equal(offset_of(files, name), 19800);
    write_zone(&place, "/usr/share/zoneinfo/Asia/Tokyo");
    assert_true(zone_files_reload(files));
    assert_int_equal(offset_of(files, name), 19800); /* the version is the same */
    write_file(place.tzdata, SLICE("# version 2024b\nZ A 0 - UTC\n"));
    assert_true(zone_files_reload(files));
    assert_text(slice_of(zone_files_version(files)), "2024b");
    assert_int_equal(offset_of(files, name), 32400); /* the name of the former version is still there */
    assert_null(zone_files_find(files, SLICE("C")));
    write_file(place.tzdata, SLICE("nothing"));
    assert_false(zone_files_reload(files));
    assert_text(slice_of(zone_files_version(files)), "2024b");
    assert_int_equal(offset_of(files, name), 32400);
    zone_files_free(files);
    remove_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zones_of_the_system_take_at_most_a_mebibyte),
        cmocka_unit_test(names_of_other_kinds_are_none),
        cmocka_unit_test(a_link_without_a_file_is_its_target),
        cmocka_unit_test(another_version_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
