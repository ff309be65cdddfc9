/* Zones of TZif files made here: what is read, what is refused, and the years behind a table; and the rules of TZ alone. */
#include "support.h"

#include "core/posix_tz.h"
#include "core/zone.h"

enum { FILE_MAX = 4096 };

/* A TZif file as it grows. */
struct tzif {
    uint8_t bytes[FILE_MAX];
    size_t len;
};

static void put(struct tzif *file, uint64_t value, int len)
{
    for (int i = len - 1; i >= 0; i--) file->bytes[file->len++] = (uint8_t)(value >> (8 * i));
}

static void put_header(struct tzif *file, char version, uint32_t leaps, uint32_t times, uint32_t types)
{
    memcpy(file->bytes + file->len, "TZif", 4);
    file->len += 4;
    put(file, (uint8_t)version, 1);
    for (int i = 0; i < 15; i++) put(file, 0, 1);
    put(file, 0, 4);
    put(file, 0, 4);
    put(file, leaps, 4);
    put(file, times, 4);
    put(file, types, 4);
    put(file, 4, 4);
}

struct change {
    int64_t at_s;
    uint8_t type;
};

/* A file of version 2 with an empty 32-bit part; the offsets are those of types 0, 1, ... */
static struct tzif make_file(const int32_t *offsets_s, uint32_t types, const struct change *changes, uint32_t len,
                             const char *footer)
{
    struct tzif file = {.len = 0};
    put_header(&file, '2', 0, 0, 1);
    for (int i = 0; i < 6 + 4; i++) put(&file, 0, 1);
    put_header(&file, '2', 0, len, types);
    for (uint32_t i = 0; i < len; i++) put(&file, (uint64_t)changes[i].at_s, 8);
    for (uint32_t i = 0; i < len; i++) put(&file, changes[i].type, 1);
    for (uint32_t i = 0; i < types; i++) {
        put(&file, (uint32_t)offsets_s[i], 4);
        put(&file, 0, 2);
    }
    put(&file, 0, 4);
    put(&file, '\n', 1);
    memcpy(file.bytes + file.len, footer, strlen(footer));
    file.len += strlen(footer);
    put(&file, '\n', 1);
    return file;
}

static struct zone *read_bytes(const struct tzif *file, size_t len)
{
    struct slice copy = exact_copy((struct slice){(const char *)file->bytes, len});
    struct zone *zone = zone_new(copy);
    free_copy(copy);
    return zone;
}

static struct zone *read_file(const struct tzif *file)
{
    return read_bytes(file, file->len);
}

static int32_t offset_at(const struct zone *zone, int64_t instant_s)
{
    return zone->offsets_s[zone_period_at(zone, instant_s)];
}

static const int32_t new_york[] = {-17762, -14400, -18000};

static void has_a_period_for_each_offset(void **state)
{
    static const struct change changes[] = {{-2717650800, 2}, {1000, 1}, {2000, 1}, {3000, 2}};
    struct tzif file = make_file(new_york, 3, changes, 4, "");
    struct zone *zone = read_file(&file);
    (void)state;
    assert_non_null(zone);
    assert_int_equal(zone->len, 4); /* the change at 2000 changes nothing */
    assert_int_equal(zone->starts_s[0], INT64_MIN);
    assert_int_equal(offset_at(zone, -2717650801), -17762);
    assert_int_equal(offset_at(zone, -2717650800), -18000);
    assert_int_equal(offset_at(zone, 999), -18000);
    assert_int_equal(offset_at(zone, 1000), -14400);
    assert_int_equal(offset_at(zone, 2999), -14400);
    assert_int_equal(offset_at(zone, INT64_MAX), -18000);
    assert_int_equal(zone_period_end_s(zone, 2), 3000);
    assert_int_equal(zone_period_end_s(zone, 3), INT64_MAX);
    zone_free(zone);
}

/* 2024-03-10 07:00Z, 2024-11-03 06:00Z, and 2200-03-09 and 2200-11-02. */
static void follows_the_footer_behind_a_slim_table(void **state)
{
    static const struct change changes[] = {{-2717650800, 2}};
    struct tzif file = make_file(new_york, 3, changes, 1, "EST5EDT,M3.2.0,M11.1.0");
    struct zone *zone = read_file(&file);
    (void)state;
    assert_non_null(zone);
    assert_int_equal(offset_at(zone, 1710054000 - 1), -18000);
    assert_int_equal(offset_at(zone, 1710054000), -14400);
    assert_int_equal(offset_at(zone, 1730613600 - 1), -14400);
    assert_int_equal(offset_at(zone, 1730613600), -18000);
    int64_t in_2200_s = ((int64_t)days_of((struct date){2200, 3, 9}) * 24 + 7) * 3600;
    assert_int_equal(offset_at(zone, in_2200_s - 1), -18000);
    assert_int_equal(offset_at(zone, in_2200_s), -14400);
    zone_free(zone);
}

static void the_table_counts_where_it_has_changes(void **state)
{
    static const struct change changes[] = {{-2717650800, 2}, {1710054000 + 86400, 1}};
    struct tzif file = make_file(new_york, 3, changes, 2, "EST5EDT,M3.2.0,M11.1.0");
    struct zone *zone = read_file(&file);
    (void)state;
    assert_non_null(zone);
    assert_int_equal(offset_at(zone, 1710054000), -18000);
    assert_int_equal(offset_at(zone, 1710054000 + 86400), -14400);
    assert_int_equal(offset_at(zone, 1730613600), -18000);
    zone_free(zone);
}

static void daylight_saving_time_of_the_whole_year_never_ends(void **state)
{
    static const struct change changes[] = {{0, 1}};
    struct tzif file = make_file(new_york, 3, changes, 1, "EST5EDT,0/0,J365/25");
    struct zone *zone = read_file(&file);
    (void)state;
    assert_non_null(zone);
    int64_t end_s = (int64_t)days_of((struct date){ZONE_YEAR_MAX + 1, 1, 1}) * 86400;
    assert_int_equal(offset_at(zone, 0), -14400);
    assert_true(zone_period_end_s(zone, zone_period_at(zone, 0)) >= end_s);
    zone_free(zone);
}

static void a_day_begins_when_a_clock_reads_it_first(void **state)
{
    /* At 01:00 of day 1 back to 23:30 of day 0; at 23:00 of day 2 on to 01:00 of day 3. */
    static const int32_t offsets_s[] = {0, -5400, 1800};
    static const struct change changes[] = {{86400 + 3600, 1}, {3 * 86400 + 1800, 2}};
    struct tzif file = make_file(offsets_s, 3, changes, 2, "");
    struct zone *zone = read_file(&file);
    (void)state;
    assert_non_null(zone);
    assert_int_equal(zone_day_start_s(zone, 0), 0);
    assert_int_equal(zone_day_start_s(zone, 1), 86400);
    assert_int_equal(zone_day_start_s(zone, 2), 2 * 86400 + 5400);
    assert_int_equal(zone_day_start_s(zone, 3), 3 * 86400 + 1800); /* midnight is skipped */
    assert_int_equal(zone_day_start_s(zone, 4), 4 * 86400 - 1800);
    zone_free(zone);
}

static void refuses_every_cut_file(void **state)
{
    static const struct change changes[] = {{0, 1}, {1000, 2}};
    struct tzif file = make_file(new_york, 3, changes, 2, "");
    (void)state;
    for (size_t len = 0; len < file.len - 2; len++) {
        struct zone *zone = read_bytes(&file, len);
        if (zone != NULL) fail_msg("took %zu of %zu bytes", len, file.len);
    }
}

static void refuse(struct tzif file, const char *what)
{
    struct zone *zone = read_file(&file);
    if (zone != NULL) fail_msg("took a file with %s", what);
}

static void refuses_files_that_break_the_rules(void **state)
{
    static const struct change unordered[] = {{1000, 1}, {1000, 2}};
    static const struct change unknown_type[] = {{1000, 3}};
    static const int32_t far[] = {ZONE_OFFSET_MAX_S};
    (void)state;
    refuse(make_file(new_york, 3, unordered, 2, ""), "two changes at once");
    refuse(make_file(new_york, 3, unknown_type, 1, ""), "a type that is not there");
    refuse(make_file(new_york, 0, NULL, 0, ""), "no type");
    refuse(make_file(far, 1, NULL, 0, ""), "an offset of more than a day");
    refuse(make_file(new_york, 3, NULL, 0, "EST5EDT"), "a footer without its days");
    struct tzif version_1 = make_file(new_york, 3, NULL, 0, "");
    version_1.bytes[4] = '\0';
    refuse(version_1, "version 1");
    struct tzif magic = make_file(new_york, 3, NULL, 0, "");
    magic.bytes[0] = 't';
    refuse(magic, "another magic");
    struct tzif leaps = {.len = 0};
    put_header(&leaps, '2', 0, 0, 1);
    for (int i = 0; i < 10; i++) put(&leaps, 0, 1);
    put_header(&leaps, '2', 1, 0, 1);
    for (int i = 0; i < 10 + 12 + 2; i++) put(&leaps, 0, 1);
    refuse(leaps, "leap seconds");
    struct tzif huge = make_file(new_york, 3, NULL, 0, "");
    memset(huge.bytes + 20, 0xff, 24);
    refuse(huge, "counts beyond all bounds");
}

/* ---- TZ ---- */

static void reads_rules(void **state)
{
    struct posix_tz rule;
    (void)state;
    assert_true(posix_tz_parse(SLICE("<-0330>3:30<-0230>,M3.2.0,M11.1.0/1:15:30"), &rule));
    assert_int_equal(rule.standard_offset_s, -12600);
    assert_int_equal(rule.dst_offset_s, -9000);
    assert_int_equal(rule.to_dst.time_s, 7200);
    assert_int_equal(rule.to_standard.time_s, 4530);
    assert_true(posix_tz_parse(SLICE("IST-1GMT0,M10.5.0,M3.5.0/1"), &rule)); /* Dublin: winter is the daylight saving time */
    assert_int_equal(rule.standard_offset_s, 3600);
    assert_int_equal(rule.dst_offset_s, 0);
    assert_true(posix_tz_parse(SLICE("<+03>-3"), &rule));
    assert_false(rule.has_dst);
    assert_true(posix_tz_parse(SLICE("AAA3BBB,J60/-167,59/167"), &rule));
    assert_int_equal(rule.to_dst.time_s, -167 * 3600);
}

static void refuses_texts_that_are_no_rule(void **state)
{
    static const char *const texts[] = {
        "",
        "EST",
        "ES5",
        "<EST5",
        "EST25",
        "EST5:60",
        "EST5EDT",
        "EST5EDT,M3.2.0",
        "EST5EDT,M13.1.0,M1.1.0",
        "EST5EDT,M1.6.0,M1.1.0",
        "EST5EDT,M1.1.7,M1.1.0",
        "EST5EDT,J0,J1",
        "EST5EDT,366,1",
        "EST5EDT,1/168,2",
        "EST5EDT,1,2,3",
        "EST5 EDT,1,2",
        "EST99999999999999999999",
    };
    struct posix_tz rule;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct slice copy = exact_copy(slice_of(texts[i]));
        if (posix_tz_parse(copy, &rule)) fail_msg("took \"%s\"", texts[i]);
        free_copy(copy);
    }
}

static struct date change_date(const char *text, int year)
{
    struct posix_tz rule;
    assert_true(posix_tz_parse(slice_of(text), &rule));
    return date_of((int32_t)(posix_tz_change_s(&rule.to_dst, year) / 86400));
}

static void assert_date(struct date date, int month, int day)
{
    assert_int_equal(date.month, month);
    assert_int_equal(date.day, day);
}

static void finds_the_day_of_a_change(void **state)
{
    (void)state;
    assert_date(change_date("AAA0BBB,M2.5.4/0,0", 2024), 2, 29); /* the last Thursday */
    assert_date(change_date("AAA0BBB,M2.5.4/0,0", 2023), 2, 23);
    assert_date(change_date("AAA0BBB,M12.5.2/0,0", 2024), 12, 31);
    assert_date(change_date("AAA0BBB,J60/0,0", 2024), 3, 1); /* 29 February is not counted */
    assert_date(change_date("AAA0BBB,J60/0,0", 2023), 3, 1);
    assert_date(change_date("AAA0BBB,59/0,0", 2024), 2, 29);
    assert_date(change_date("AAA0BBB,59/0,0", 2023), 3, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_a_period_for_each_offset),
        cmocka_unit_test(follows_the_footer_behind_a_slim_table),
        cmocka_unit_test(the_table_counts_where_it_has_changes),
        cmocka_unit_test(daylight_saving_time_of_the_whole_year_never_ends),
        cmocka_unit_test(a_day_begins_when_a_clock_reads_it_first),
        cmocka_unit_test(refuses_every_cut_file),
        cmocka_unit_test(refuses_files_that_break_the_rules),
        cmocka_unit_test(reads_rules),
        cmocka_unit_test(refuses_texts_that_are_no_rule),
        cmocka_unit_test(finds_the_day_of_a_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
