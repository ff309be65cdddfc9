/* The time zone names: those of the system's own tzdata, and those of small texts made here. */
#include "zones.h"

#include <ctype.h>

static struct slice find(struct slice name)
{
    struct slice copy = exact_copy(name);
    struct slice found = time_zone_find(zones, copy);
    free_copy(copy);
    return found;
}

static void change_case(char *text, int (*change)(int))
{
    for (; *text != '\0'; text++) *text = (char)change((unsigned char)*text);
}

/* The file is read here line by line in another way than the code under test reads it. */
static void finds_every_name_of_the_system_in_any_case(void **state)
{
    (void)state;
    FILE *file = fopen(TZDATA_PATH, "r");
    char line[512];
    size_t names = 0;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char name[256];
        if (sscanf(line, "Z %255s", name) != 1 && sscanf(line, "L %*s %255s", name) != 1) continue;
        if (strcmp(name, "Factory") == 0) continue;
        char changed[256];
        snprintf(changed, sizeof(changed), "%s", name);
        assert_text(find(slice_of(changed)), name);
        change_case(changed, toupper);
        assert_text(find(slice_of(changed)), name);
        change_case(changed, tolower);
        assert_text(find(slice_of(changed)), name);
        names++;
    }
    fclose(file);
    assert_true(names > 400);
    assert_int_equal(time_zones_count(zones), names);
}

/* A second list of the same package, for people: every line's third column is a zone. */
static void finds_every_zone_of_the_list_by_country(void **state)
{
    (void)state;
    FILE *file = fopen("/usr/share/zoneinfo/zone1970.tab", "r");
    char line[1024];
    size_t names = 0;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        char name[256];
        if (line[0] == '#' || sscanf(line, "%*s %*s %255s", name) != 1) continue;
        assert_text(find(slice_of(name)), name);
        names++;
    }
    fclose(file);
    assert_true(names > 300);
}

static void gives_the_iana_spelling_and_keeps_links(void **state)
{
    static const struct {
        const char *sent;
        const char *stored;
    } cases[] = {
        {"europe/rome", "Europe/Rome"},
        {"EUROPE/ROME", "Europe/Rome"},
        {"Europe/Rome", "Europe/Rome"},
        {"utc", "UTC"},
        {"asia/calcutta", "Asia/Calcutta"},
        {"Asia/Kolkata", "Asia/Kolkata"},
        {"est", "EST"},
        {"etc/gmt+5", "Etc/GMT+5"},
        {"america/argentina/comodrivadavia", "America/Argentina/ComodRivadavia"},
        {"gmt", "GMT"},
        {"america/north_dakota/new_salem", "America/North_Dakota/New_Salem"},
        {"america/port-au-prince", "America/Port-au-Prince"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice found = find(slice_of(cases[i].sent));
        assert_text(found, cases[i].stored);
        assert_int_equal(found.data[found.len], '\0');
    }
}

static void refuses_what_is_no_zone(void **state)
{
    static const struct slice names[] = {
        {"", 0},
        {"Factory", 7},
        {"factory", 7},
        {"FACTORY", 7},
        {"+01:00", 6},
        {"GMT+1", 5},
        {"Mars/Base", 9},
        {"Europe", 6},
        {"Europe/", 7},
        {"Europe/Rom", 10},
        {"Europe/Rome ", 12},
        {" Europe/Rome", 12},
        {"Europe/Rome\0", 12},
        {"Europe/Rome\0x", 13},
        {"Europe\0/Rome", 12},
        {"\0", 1},
        {"Europe/Rome\n", 12},
        {"../etc/passwd", 13},
        {"/Europe/Rome", 12},
        {"Europe Rome", 11},
        {"\xff\xfe", 2},
        {"Z", 1},
        {"L", 1},
        {"R", 1},
        {"posix/Europe/Rome", 17},
        {"right/UTC", 9},
        {"tzdata.zi", 9},
        {"UTC+1", 5},
        {"CEST", 4},
        {"local", 5},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (find(names[i]).data != NULL) fail_msg("name %zu was found", i);
    }
    char *longest = calloc(1, 1 << 20);
    memset(longest, 'E', 1 << 20);
    assert_null(time_zone_find(zones, (struct slice){longest, 1 << 20}).data);
    free(longest);
}

static void reads_any_tzdata_text(void **state)
{
    static const struct {
        struct slice text;
        size_t count; /* 0: no table */
    } cases[] = {
        {SLICE(""), 0},
        {SLICE("\n\n"), 0},
        {SLICE("# version 2024a\n"), 0},
        {SLICE("R d 1916 o - Jun 14 23s 1 S\n"), 0},
        {SLICE("Z Europe/Rome 0:49:56 - LMT 1866 D 12"), 1},
        {SLICE("Z A 0 - B\n1 - C\nL A D\n"), 2},
        {SLICE("L A B"), 1},
        {SLICE("L A"), 0},
        {SLICE("Z"), 0},
        {SLICE("Z "), 0},
        {SLICE("L  B\n"), 1},
        {SLICE("Z Factory 0 - -00\n"), 0},
        {SLICE("Z A 0\nZ Factory 0\nL A Factory\n"), 1},
        {SLICE("z A 0\n"), 0},
        {SLICE("ZA 0\n"), 0},
        {SLICE("\0\0\n Z A\n"), 0},
        {SLICE("Z A 0\r\n"), 1},
        {SLICE("L A B C D E"), 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = exact_copy(cases[i].text);
        struct time_zones *made = time_zones_new(text);
        free_copy(text); /* the table has its own copy */
        size_t count = made == NULL ? 0 : time_zones_count(made);
        if (count != cases[i].count) fail_msg("text %zu: %zu names", i, count);
        if (i == 5) {
            assert_text(time_zone_find(made, SLICE("a")), "A");
            assert_text(time_zone_find(made, SLICE("d")), "D");
            assert_null(time_zone_find(made, SLICE("b")).data);
        }
        time_zones_free(made);
    }
    assert_null(time_zones_new((struct slice){NULL, 0}));
    time_zones_free(NULL);
}

static void a_link_leads_to_its_zone(void **state)
{
    static const char text[] =
        "Z Europe/Rome 1\nL Europe/Rome Europe/Vatican\nL Europe/Vatican A/B\nL No/Where A/C\nL A/E A/D\nL A/D A/E\n";
    struct time_zones *table = time_zones_new(slice_of(text));
    (void)state;
    assert_non_null(table);
    assert_text(time_zone_target(table, SLICE("Europe/Rome")), "Europe/Rome");
    assert_text(time_zone_target(table, SLICE("Europe/Vatican")), "Europe/Rome");
    assert_text(time_zone_target(table, SLICE("A/B")), "Europe/Rome");
    assert_text(time_zone_target(table, SLICE("A/C")), "No/Where");
    assert_true(time_zone_target(table, SLICE("A/D")).len > 0); /* ends, though the links do not */
    time_zones_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_name_of_the_system_in_any_case),
        cmocka_unit_test(finds_every_zone_of_the_list_by_country),
        cmocka_unit_test(gives_the_iana_spelling_and_keeps_links),
        cmocka_unit_test(refuses_what_is_no_zone),
        cmocka_unit_test(reads_any_tzdata_text),
        cmocka_unit_test(a_link_leads_to_its_zone),
    };
    return cmocka_run_group_tests(tests, zones_set_up, zones_tear_down);
}
