/* The rules of a schedule, checked as every interface checks them: a JSON body goes in, the schedule or the complete list of
 * violations comes out. Bodies are written with ' for ". */
#include "zones.h"

#include "codec/json_text.h"
#include "codec/schedule_json.h"

/* What became of one body. check starts it, verdict_done ends it. */
struct verdict {
    enum status status;
    struct arena *arena;
    json_t *body;
    struct schedule schedule;
    struct violations violations;
    struct buf text; /* the violations, one a line */
};

static void check_value(struct verdict *verdict, json_t *body)
{
    struct schedule_input input;
    *verdict = (struct verdict){.arena = make_arena(), .body = body};
    buf_init(&verdict->text, 4 << 20);
    assert_true(schedule_input_from_json(body, verdict->arena, &input));
    verdict->status = schedule_check(&input, SCHEDULE_NEW, zones, verdict->arena, &verdict->schedule, &verdict->violations);
    render_violations(&verdict->text, &verdict->violations);
    assert_int_equal(verdict->status == STATUS_OK, verdict->violations.len == 0);
    assert_true(verdict->status == STATUS_OK || verdict->status == STATUS_INVALID);
}

static json_t *parse(const char *text)
{
    struct json_fault fault;
    char *json = strdup(text);
    for (char *p = json; *p != '\0'; p++) *p = *p == '\'' ? '"' : *p;
    json_t *value = NULL;
    if (json_text_parse(slice_of(json), &value, &fault) != STATUS_OK) fail_msg("%s: %s", text, fault.detail);
    free(json);
    return value;
}

static void check(struct verdict *verdict, const char *text)
{
    check_value(verdict, parse(text));
}

static void verdict_done(struct verdict *verdict)
{
    buf_done(&verdict->text);
    arena_free(verdict->arena);
    json_decref(verdict->body);
}

static void expect_at(const char *body, const char *want, const char *file, int line)
{
    struct verdict verdict;
    check(&verdict, body);
    expect_bytes_at(buf_slice(&verdict.text), slice_of(want), file, line);
    verdict_done(&verdict);
}

#define EXPECT(body_, want_) expect_at((body_), (want_), __FILE__, __LINE__)

#define BASE "'name':'n','timeZone':'Europe/Rome','isDefault':false"
#define WINDOW(days_, start_, end_) \
    "{" BASE ",'availability':[{'days':" days_ ",'startTime':" start_ ",'endTime':" end_ "}]}"
#define OVERRIDE(date_, start_, end_) "{" BASE ",'overrides':[{'date':" date_ ",'startTime':" start_ ",'endTime':" end_ "}]}"

#define NAME_TYPE "name isString: name must be a string\n"
#define ZONE "timeZone isTimeZone: timeZone must be a valid IANA time-zone\n"
#define DEFAULT_TYPE "isDefault isBoolean: isDefault must be a boolean value\n"
#define LIST_TYPE(field_) field_ " isArray: " field_ " must be an array\n"
#define NESTED(path_, field_) \
    path_ " nestedValidation: each value in nested property " field_ " must be either object or array\n"
#define DAYS_NAMES(path_)                                                        \
    path_ ".days isIn: each value in days must be one of the following values: " \
          "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday\n"
#define DAYS_TYPE(path_) path_ ".days isArray: days must be an array\n"
#define DAYS_EMPTY(path_) path_ ".days arrayMinSize: days must contain at least 1 elements\n"
#define TIME(path_, field_) path_ "." field_ " matches: " field_ " must be a valid time format HH:MM\n"
#define TIME_TYPE(path_, field_) TIME(path_, field_) path_ "." field_ " isString: " field_ " must be a string\n"
#define AFTER(path_) path_ ".endTime isAfter: endTime must be after startTime\n"
#define DATE(path_) path_ ".date isIso8601: date must be a valid ISO 8601 date string\n"

/* ---- what a good body becomes ---- */

static void takes_the_example_of_the_documentation(void **state)
{
    (void)state;
    struct verdict verdict;
    check(&verdict,
          "{'name':'Catch up hours','timeZone':'Europe/Rome','availability':[{'days':['Monday','Tuesday'],"
          "'startTime':'17:00','endTime':'19:00'},{'days':['Wednesday','Thursday'],'startTime':'16:00','endTime':'20:00'}],"
          "'isDefault':true,'overrides':[{'date':'2024-05-20','startTime':'18:00','endTime':'21:00'}]}");
    const struct schedule *schedule = &verdict.schedule;
    assert_int_equal(verdict.status, STATUS_OK);
    assert_text(schedule->name, "Catch up hours");
    assert_text(schedule->time_zone, "Europe/Rome");
    assert_true(schedule->is_default);
    assert_int_equal(schedule->windows_len, 2);
    assert_int_equal(schedule->windows[0].days_len, 2);
    assert_int_equal(schedule->windows[0].days[0], MONDAY);
    assert_int_equal(schedule->windows[0].days[1], TUESDAY);
    assert_int_equal(schedule->windows[0].start_minute, 17 * 60);
    assert_int_equal(schedule->windows[0].end_minute, 19 * 60);
    assert_int_equal(schedule->windows[1].days[0], WEDNESDAY);
    assert_int_equal(schedule->windows[1].days[1], THURSDAY);
    assert_int_equal(schedule->windows[1].start_minute, 16 * 60);
    assert_int_equal(schedule->windows[1].end_minute, 20 * 60);
    assert_int_equal(schedule->overrides_len, 1);
    assert_int_equal(schedule->overrides[0].date.year, 2024);
    assert_int_equal(schedule->overrides[0].date.month, 5);
    assert_int_equal(schedule->overrides[0].date.day, 20);
    assert_int_equal(schedule->overrides[0].start_minute, 18 * 60);
    assert_int_equal(schedule->overrides[0].end_minute, 21 * 60);
    verdict_done(&verdict);
}

static void expect_lists(const char *body, const char *availability, const char *overrides)
{
    struct verdict verdict;
    struct buf out;
    check(&verdict, body);
    buf_init(&out, 1 << 20);
    assert_int_equal(verdict.status, STATUS_OK);
    availability_write_json(&out, &verdict.schedule);
    assert_buf(&out, availability);
    buf_clear(&out);
    overrides_write_json(&out, &verdict.schedule);
    assert_buf(&out, overrides);
    buf_done(&out);
    verdict_done(&verdict);
}

static void absent_or_null_availability_is_monday_to_friday_nine_to_five(void **state)
{
    static const char working_hours[] = "[{\"days\":[\"Monday\",\"Tuesday\",\"Wednesday\",\"Thursday\",\"Friday\"],"
                                        "\"startTime\":\"09:00\",\"endTime\":\"17:00\"}]";
    (void)state;
    expect_lists("{" BASE "}", working_hours, "[]");
    expect_lists("{" BASE ",'availability':null,'overrides':null}", working_hours, "[]");
}

static void empty_lists_stay_empty(void **state)
{
    (void)state;
    expect_lists("{" BASE ",'availability':[],'overrides':[]}", "[]", "[]");
}

static void keeps_the_order_of_days_and_the_repeats_of_windows_and_overrides(void **state)
{
    (void)state;
    expect_lists("{" BASE ",'availability':["
                 "{'days':['Sunday','Monday','Sunday'],'startTime':'10:00','endTime':'11:00'},"
                 "{'days':['Monday'],'startTime':'08:00','endTime':'09:00'},"
                 "{'days':['Monday'],'startTime':'08:00','endTime':'09:00'}],'overrides':["
                 "{'date':'2025-01-02','startTime':'10:00','endTime':'10:00'},{'date':'2024-01-02','startTime':'00:00','"
                 "endTime':'23:59'},"
                 "{'date':'2025-01-02','startTime':'10:00','endTime':'10:00'}]}",
                 "[{\"days\":[\"Sunday\",\"Monday\"],\"startTime\":\"10:00\",\"endTime\":\"11:00\"},"
                 "{\"days\":[\"Monday\"],\"startTime\":\"08:00\",\"endTime\":\"09:00\"},"
                 "{\"days\":[\"Monday\"],\"startTime\":\"08:00\",\"endTime\":\"09:00\"}]",
                 "[{\"date\":\"2025-01-02\",\"startTime\":\"10:00\",\"endTime\":\"10:00\"},"
                 "{\"date\":\"2024-01-02\",\"startTime\":\"00:00\",\"endTime\":\"23:59\"},"
                 "{\"date\":\"2025-01-02\",\"startTime\":\"10:00\",\"endTime\":\"10:00\"}]");
}

static void accepts_each_weekday_and_all_of_them(void **state)
{
    static const char *const names[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(weekday_parse(slice_of(names[i])), MONDAY + i);
        assert_text(weekday_name((enum weekday)(MONDAY + i)), names[i]);
    }
    EXPECT(WINDOW("['Monday','Tuesday','Wednesday','Thursday','Friday','Saturday','Sunday']", "'00:00'", "'23:59'"), "");
}

static void passes_over_unknown_members_everywhere(void **state)
{
    (void)state;
    EXPECT(
        "{" BASE
        ",'id':'no','x':{'y':[1,2,{}]},'availability':[{'days':['Monday'],'startTime':'09:00','endTime':'10:00','date':7}],"
        "'overrides':[{'date':'2024-01-01','startTime':'09:00','endTime':'10:00','days':'all','note':null}]}",
        "");
}

static void the_last_of_repeated_members_wins(void **state)
{
    (void)state;
    EXPECT("{" BASE ",'name':5}", NAME_TYPE);
    EXPECT("{'name':5," BASE "}", "");
}

static void gives_the_zone_in_its_iana_spelling(void **state)
{
    (void)state;
    struct verdict verdict;
    check(&verdict, "{'name':'n','timeZone':'aSiA/cAlCuTtA','isDefault':true}");
    assert_text(verdict.schedule.time_zone, "Asia/Calcutta");
    verdict_done(&verdict);
}

/* ---- types ---- */

static const char *const wrong_texts[] = {NULL, "null", "true", "false", "5", "1.5", "[]", "['n']", "{}", "{'a':'n'}"};

/* The base body with one member replaced; value NULL leaves it out. */
static void expect_member_at(const char *name, const char *value, const char *want, int line)
{
    json_t *body = parse("{" BASE "}");
    if (value == NULL) json_object_del(body, name);
    else json_object_set_new(body, name, parse(value));
    struct verdict verdict;
    check_value(&verdict, body);
    expect_bytes_at(buf_slice(&verdict.text), slice_of(want), __FILE__, line);
    verdict_done(&verdict);
}

#define EXPECT_MEMBER(name_, value_, want_) expect_member_at((name_), (value_), (want_), __LINE__)

static void rejects_every_wrong_type_of_the_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong_texts); i++) EXPECT_MEMBER("name", wrong_texts[i], NAME_TYPE);
}

static void rejects_every_wrong_type_of_the_time_zone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong_texts); i++) EXPECT_MEMBER("timeZone", wrong_texts[i], ZONE);
}

static void rejects_every_wrong_type_of_is_default(void **state)
{
    static const char *const wrong[] = {NULL, "null", "'true'", "'false'", "''", "0", "1", "[]", "[true]", "{}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) EXPECT_MEMBER("isDefault", wrong[i], DEFAULT_TYPE);
    EXPECT_MEMBER("isDefault", "true", "");
    EXPECT_MEMBER("isDefault", "false", "");
}

static void rejects_every_wrong_type_of_the_lists(void **state)
{
    static const char *const wrong[] = {"true", "false", "0", "5", "1.5", "''", "'[]'"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        EXPECT_MEMBER("availability", wrong[i], LIST_TYPE("availability") NESTED("availability", "availability"));
        EXPECT_MEMBER("overrides", wrong[i], LIST_TYPE("overrides") NESTED("overrides", "overrides"));
    }
}

static void an_object_for_a_list_tells_the_objects_own_faults_too(void **state)
{
    (void)state;
    EXPECT_MEMBER("availability", "{}",
                  LIST_TYPE("availability") DAYS_NAMES("availability") DAYS_TYPE("availability")
                      TIME_TYPE("availability", "startTime") TIME_TYPE("availability", "endTime"));
    EXPECT_MEMBER("availability", "{'days':['Monday'],'startTime':'09:00','endTime':'10:00'}", LIST_TYPE("availability"));
    EXPECT_MEMBER("overrides", "{'date':'x','startTime':'11:00','endTime':'10:00'}",
                  LIST_TYPE("overrides") DATE("overrides") AFTER("overrides"));
}

static void rejects_items_that_are_no_objects(void **state)
{
    static const char *const items[] = {"[null]", "[true]", "[5]", "['x']", "[[]]", "[[{}]]"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        EXPECT_MEMBER("availability", items[i], NESTED("availability.0", "availability"));
        EXPECT_MEMBER("overrides", items[i], NESTED("overrides.0", "overrides"));
    }
}

static void rejects_every_wrong_type_inside_a_window(void **state)
{
    static const char *const wrong_days[] = {"null", "true", "5", "'monday'", "{}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong_days); i++) {
        char text[256];
        snprintf(text, sizeof(text), WINDOW("%s", "'09:00'", "'10:00'"), wrong_days[i]);
        EXPECT(text, DAYS_NAMES("availability.0") DAYS_TYPE("availability.0"));
    }
    EXPECT(WINDOW("'Monday'", "'09:00'", "'10:00'"), DAYS_TYPE("availability.0"));
    for (size_t i = 1; i < ARRAY_LEN(wrong_texts); i++) {
        char text[256];
        snprintf(text, sizeof(text), WINDOW("['Monday']", "%s", "'10:00'"), wrong_texts[i]);
        EXPECT(text, TIME_TYPE("availability.0", "startTime"));
        snprintf(text, sizeof(text), WINDOW("['Monday']", "'09:00'", "%s"), wrong_texts[i]);
        EXPECT(text, TIME_TYPE("availability.0", "endTime"));
    }
    EXPECT("{" BASE ",'availability':[{}]}",
           DAYS_NAMES("availability.0") DAYS_TYPE("availability.0") TIME_TYPE("availability.0", "startTime")
               TIME_TYPE("availability.0", "endTime"));
}

static void rejects_every_wrong_type_inside_an_override(void **state)
{
    (void)state;
    for (size_t i = 1; i < ARRAY_LEN(wrong_texts); i++) {
        char text[256];
        snprintf(text, sizeof(text), OVERRIDE("%s", "'09:00'", "'10:00'"), wrong_texts[i]);
        EXPECT(text, DATE("overrides.0"));
        snprintf(text, sizeof(text), OVERRIDE("'2024-01-01'", "%s", "'10:00'"), wrong_texts[i]);
        EXPECT(text, TIME_TYPE("overrides.0", "startTime"));
        snprintf(text, sizeof(text), OVERRIDE("'2024-01-01'", "'09:00'", "%s"), wrong_texts[i]);
        EXPECT(text, TIME_TYPE("overrides.0", "endTime"));
    }
    EXPECT("{" BASE ",'overrides':[{}]}",
           DATE("overrides.0") TIME_TYPE("overrides.0", "startTime") TIME_TYPE("overrides.0", "endTime"));
}

static void a_body_that_is_no_object_lacks_every_required_field(void **state)
{
    static const char *const bodies[] = {"{}", "[]", "5", "'x'", "null", "true", "[{" BASE "}]"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) EXPECT(bodies[i], NAME_TYPE ZONE DEFAULT_TYPE);
}

/* ---- rules ---- */

static void rejects_days_that_are_none(void **state)
{
    static const char *const wrong[] = {
        "['monday']",
        "['MONDAY']",
        "['Mon']",
        "['']",
        "['Monday ']",
        "['Monday\\u0000']",
        "[1]",
        "[null]",
        "[['Monday']]",
        "['Monday','Funday']",
        "['Funday','Monday']",
        "['Monday',7,'Sunday']",
        "['M\\u00f6nday']",
        "['Mondays']",
        "[{}]",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[256];
        snprintf(text, sizeof(text), WINDOW("%s", "'09:00'", "'10:00'"), wrong[i]);
        EXPECT(text, DAYS_NAMES("availability.0"));
    }
}

static void rejects_a_window_without_days(void **state)
{
    (void)state;
    EXPECT(WINDOW("[]", "'09:00'", "'10:00'"), DAYS_EMPTY("availability.0"));
}

static void rejects_malformed_times_in_both_places(void **state)
{
    static const char *const wrong[] = {"'9:00'", "'24:00'",  "'09:60'",        "'09:00:00'", "'900'",
                                        "''",     "'09:00 '", "'09:00\\u0000'", "'ab:cd'"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[256];
        snprintf(text, sizeof(text), WINDOW("['Monday']", "%s", "'23:00'"), wrong[i]);
        EXPECT(text, TIME("availability.0", "startTime"));
        snprintf(text, sizeof(text), WINDOW("['Monday']", "'00:00'", "%s"), wrong[i]);
        EXPECT(text, TIME("availability.0", "endTime"));
        snprintf(text, sizeof(text), OVERRIDE("'2024-01-01'", "%s", "%s"), wrong[i], wrong[i]);
        EXPECT(text, TIME("overrides.0", "startTime") TIME("overrides.0", "endTime"));
    }
}

static void a_window_ends_after_it_starts(void **state)
{
    (void)state;
    EXPECT(WINDOW("['Monday']", "'09:00'", "'09:01'"), "");
    EXPECT(WINDOW("['Monday']", "'00:00'", "'23:59'"), "");
    EXPECT(WINDOW("['Monday']", "'09:00'", "'09:00'"), AFTER("availability.0"));
    EXPECT(WINDOW("['Monday']", "'09:00'", "'08:59'"), AFTER("availability.0"));
    EXPECT(WINDOW("['Monday']", "'23:59'", "'00:00'"), AFTER("availability.0"));
}

static void an_override_does_not_end_before_it_starts(void **state)
{
    (void)state;
    EXPECT(OVERRIDE("'2024-01-01'", "'09:00'", "'09:01'"), "");
    EXPECT(OVERRIDE("'2024-01-01'", "'09:00'", "'09:00'"), "");
    EXPECT(OVERRIDE("'2024-01-01'", "'00:00'", "'00:00'"), "");
    EXPECT(OVERRIDE("'2024-01-01'", "'09:00'", "'08:59'"), AFTER("overrides.0"));
    EXPECT(OVERRIDE("'2024-01-01'", "'23:59'", "'00:00'"), AFTER("overrides.0"));
}

static void rejects_dates_that_are_no_plain_calendar_date(void **state)
{
    static const char *const wrong[] = {
        "2023-02-29",           "1900-02-29",        "2024-02-30", "2024-13-01", "2024-5-2",
        "05/20/2024",           " 2024-05-20",       "2024",       "2024-05",    "",
        "2024-05-20T10:00:00Z", "20240520",          "2024-W21-1", "2024-141",   "0000-01-01",
        "10000-01-01",          "2024-05-20\\u0000",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[256];
        snprintf(text, sizeof(text), OVERRIDE("'%s'", "'09:00'", "'10:00'"), wrong[i]);
        EXPECT(text, DATE("overrides.0"));
    }
    EXPECT(OVERRIDE("'0001-01-01'", "'09:00'", "'10:00'"), "");
    EXPECT(OVERRIDE("'9999-12-31'", "'09:00'", "'10:00'"), "");
    EXPECT(OVERRIDE("'2000-02-29'", "'09:00'", "'10:00'"), "");
}

static void rejects_what_is_no_time_zone(void **state)
{
    static const char *const wrong[] = {
        "''", "'+01:00'", "'GMT+1'", "'Mars/Base'", "'Factory'", "'Europe/Rome '", "'Europe/Rome\\u0000'", "'\\u0000'"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) EXPECT_MEMBER("timeZone", wrong[i], ZONE);
}

static void expect_name(const char *character, size_t count, const char *want)
{
    size_t len = strlen(character);
    char *name = malloc(len * count + 1);
    for (size_t i = 0; i < count; i++) memcpy(name + i * len, character, len);
    json_t *body = parse("{" BASE "}");
    json_object_set_new(body, "name", json_stringn(name, len * count));
    struct verdict verdict;
    check_value(&verdict, body);
    assert_text(buf_slice(&verdict.text), want);
    if (verdict.status == STATUS_OK) assert_bytes(verdict.schedule.name, ((struct slice){name, len * count}));
    verdict_done(&verdict);
    free(name);
}

static void counts_the_characters_of_a_name_and_not_its_bytes(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x01", " "};
    static const char too_long[] = "name maxLength: name must be shorter than or equal to 255 characters\n";
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(characters); i++) {
        expect_name(characters[i], 0, "");
        expect_name(characters[i], 255, "");
        expect_name(characters[i], 256, too_long);
        expect_name(characters[i], 20000, too_long);
    }
}

static void rejects_a_name_with_nul_wherever_it_stands(void **state)
{
    static const char nul[] = "name matches: name must not contain the character NUL\n";
    (void)state;
    EXPECT_MEMBER("name", "'\\u0000'", nul);
    EXPECT_MEMBER("name", "'a\\u0000b'", nul);
    EXPECT_MEMBER("name", "'ab\\u0000'", nul);
}

static void expect_list(const char *name, const char *item, size_t count, size_t accepted, const char *want)
{
    json_t *body = parse("{" BASE "}");
    json_t *list = json_array();
    json_t *value = parse(item);
    for (size_t i = 0; i < count; i++) json_array_append(list, value);
    json_decref(value);
    json_object_set_new(body, name, list);
    struct verdict verdict;
    check_value(&verdict, body);
    assert_text(buf_slice(&verdict.text), want);
    if (verdict.status == STATUS_OK) {
        assert_int_equal(strcmp(name, "overrides") == 0 ? verdict.schedule.overrides_len : verdict.schedule.windows_len,
                         accepted);
    }
    verdict_done(&verdict);
}

static void takes_100_windows_and_not_101(void **state)
{
    static const char window[] = "{'days':['Monday'],'startTime':'09:00','endTime':'10:00'}";
    static const char too_many[] = "availability arrayMaxSize: availability must contain no more than 100 elements\n";
    (void)state;
    expect_list("availability", window, 100, 100, "");
    expect_list("availability", window, 101, 0, too_many);
    expect_list("availability", "5", 5000, 0, too_many);
}

static void takes_1000_overrides_and_not_1001(void **state)
{
    static const char override[] = "{'date':'2024-01-01','startTime':'09:00','endTime':'10:00'}";
    static const char too_many[] = "overrides arrayMaxSize: overrides must contain no more than 1000 elements\n";
    (void)state;
    expect_list("overrides", override, 1000, 1000, "");
    expect_list("overrides", override, 1001, 0, too_many);
    expect_list("overrides", "null", 5000, 0, too_many);
}

static void a_day_that_is_named_again_means_nothing_more(void **state)
{
    static const char *const names[] = {"Sunday", "Friday", "Monday", "Tuesday", "Thursday", "Saturday", "Wednesday"};
    static const uint8_t days[] = {SUNDAY, FRIDAY, MONDAY, TUESDAY, THURSDAY, SATURDAY, WEDNESDAY};
    (void)state;
    json_t *body = parse(WINDOW("[]", "'09:00'", "'10:00'"));
    json_t *list = json_object_get(json_array_get(json_object_get(body, "availability"), 0), "days");
    for (size_t i = 0; i < 3000; i++) json_array_append_new(list, json_string(names[i < 14 ? i / 2 : i % 7]));
    struct verdict verdict;
    check_value(&verdict, body);
    assert_int_equal(verdict.status, STATUS_OK);
    assert_int_equal(verdict.schedule.windows[0].days_len, SCHEDULE_WINDOW_DAYS_MAX);
    assert_memory_equal(verdict.schedule.windows[0].days, days, sizeof(days));
    verdict_done(&verdict);
}

static void a_day_that_is_none_is_told_among_repeats(void **state)
{
    (void)state;
    EXPECT(WINDOW("['Monday','Monday','Noday','Monday']", "'09:00'", "'10:00'"), DAYS_NAMES("availability.0"));
}

/* ---- all of them, in order ---- */

static void tells_all_violations_in_the_order_of_the_fields(void **state)
{
    (void)state;
    EXPECT("{'overrides':[{'endTime':5,'startTime':'x','date':null},7,{'date':'2024-01-01','startTime':'10:00','endTime':'"
           "09:00'}],"
           "'isDefault':'yes','availability':[{'endTime':'08:00','startTime':'09:00','days':['Noday']},"
           "{'days':[],'startTime':'25:00','endTime':[]},null],'timeZone':'x','name':null}",
           NAME_TYPE ZONE DAYS_NAMES("availability.0") AFTER("availability.0") DAYS_EMPTY("availability.1")
               TIME("availability.1", "startTime") TIME_TYPE("availability.1", "endTime")
                   NESTED("availability.2", "availability") DEFAULT_TYPE DATE("overrides.0") TIME("overrides.0", "startTime")
                       TIME_TYPE("overrides.0", "endTime") NESTED("overrides.1", "overrides") AFTER("overrides.2"));
}

static void says_nothing_of_the_order_of_times_that_are_none(void **state)
{
    (void)state;
    EXPECT(WINDOW("['Monday']", "'9'", "'08:00'"), TIME("availability.0", "startTime"));
    EXPECT(WINDOW("['Monday']", "'09:00'", "'8'"), TIME("availability.0", "endTime"));
}

static void lists_at_most_100_violations(void **state)
{
    (void)state;
    json_t *body = parse("{" BASE "}");
    json_t *list = json_array();
    for (int i = 0; i < 1000; i++) json_array_append_new(list, json_object());
    json_object_set_new(body, "overrides", list);
    struct verdict verdict;
    check_value(&verdict, body);
    assert_int_equal(verdict.status, STATUS_INVALID);
    assert_int_equal(verdict.violations.len, SCHEDULE_VIOLATIONS_MAX);
    verdict_done(&verdict);
}

static void says_too_large_at_every_size_of_arena_that_is_too_small(void **state)
{
    (void)state;
    json_t *good = parse(WINDOW("['Monday','Tuesday']", "'09:00'", "'10:00'"));
    json_t *bad = parse("{'availability':[{},{},5],'overrides':[{},7]}");
    bool seen_too_large = false;
    bool seen_ok = false;
    bool seen_invalid = false;
    for (size_t size = 0; size < 20000; size += 16) {
        json_t *bodies[] = {good, bad};
        for (int i = 0; i < 2; i++) {
            struct arena *arena = arena_new(size);
            struct schedule_input input;
            struct schedule schedule;
            struct violations violations = {0};
            if (schedule_input_from_json(bodies[i], arena, &input)) {
                enum status status = schedule_check(&input, SCHEDULE_NEW, zones, arena, &schedule, &violations);
                seen_too_large = seen_too_large || status == STATUS_TOO_LARGE;
                seen_ok = seen_ok || status == STATUS_OK;
                seen_invalid = seen_invalid || status == STATUS_INVALID;
                if (status == STATUS_OK) assert_int_equal(i, 0);
                if (status == STATUS_INVALID) {
                    assert_int_equal(i, 1);
                    assert_int_equal(violations.len, 22);
                }
            }
            arena_free(arena);
        }
    }
    assert_true(seen_too_large && seen_ok && seen_invalid);
    json_decref(good);
    json_decref(bad);
}

static void earlier_violations_of_the_caller_do_not_make_it_invalid(void **state)
{
    (void)state;
    struct arena *arena = make_arena();
    struct violations violations = {0};
    struct schedule schedule;
    const struct schedule_input input = {.name = {INPUT_GIVEN, SLICE("n")},
                                         .time_zone = {INPUT_GIVEN, SLICE("UTC")},
                                         .is_default = {INPUT_GIVEN, true}};
    violations_add(&violations, arena, SLICE("commandId"), SLICE("isUuid"), SLICE("no"));
    assert_int_equal(schedule_check(&input, SCHEDULE_NEW, zones, arena, &schedule, &violations), STATUS_OK);
    assert_int_equal(violations.len, 1);
    assert_true(schedule.is_default);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_example_of_the_documentation),
        cmocka_unit_test(absent_or_null_availability_is_monday_to_friday_nine_to_five),
        cmocka_unit_test(empty_lists_stay_empty),
        cmocka_unit_test(keeps_the_order_of_days_and_the_repeats_of_windows_and_overrides),
        cmocka_unit_test(accepts_each_weekday_and_all_of_them),
        cmocka_unit_test(passes_over_unknown_members_everywhere),
        cmocka_unit_test(the_last_of_repeated_members_wins),
        cmocka_unit_test(gives_the_zone_in_its_iana_spelling),
        cmocka_unit_test(rejects_every_wrong_type_of_the_name),
        cmocka_unit_test(rejects_every_wrong_type_of_the_time_zone),
        cmocka_unit_test(rejects_every_wrong_type_of_is_default),
        cmocka_unit_test(rejects_every_wrong_type_of_the_lists),
        cmocka_unit_test(an_object_for_a_list_tells_the_objects_own_faults_too),
        cmocka_unit_test(rejects_items_that_are_no_objects),
        cmocka_unit_test(rejects_every_wrong_type_inside_a_window),
        cmocka_unit_test(rejects_every_wrong_type_inside_an_override),
        cmocka_unit_test(a_body_that_is_no_object_lacks_every_required_field),
        cmocka_unit_test(rejects_days_that_are_none),
        cmocka_unit_test(rejects_a_window_without_days),
        cmocka_unit_test(rejects_malformed_times_in_both_places),
        cmocka_unit_test(a_window_ends_after_it_starts),
        cmocka_unit_test(an_override_does_not_end_before_it_starts),
        cmocka_unit_test(rejects_dates_that_are_no_plain_calendar_date),
        cmocka_unit_test(rejects_what_is_no_time_zone),
        cmocka_unit_test(counts_the_characters_of_a_name_and_not_its_bytes),
        cmocka_unit_test(rejects_a_name_with_nul_wherever_it_stands),
        cmocka_unit_test(takes_100_windows_and_not_101),
        cmocka_unit_test(takes_1000_overrides_and_not_1001),
        cmocka_unit_test(a_day_that_is_named_again_means_nothing_more),
        cmocka_unit_test(a_day_that_is_none_is_told_among_repeats),
        cmocka_unit_test(tells_all_violations_in_the_order_of_the_fields),
        cmocka_unit_test(says_nothing_of_the_order_of_times_that_are_none),
        cmocka_unit_test(lists_at_most_100_violations),
        cmocka_unit_test(says_too_large_at_every_size_of_arena_that_is_too_small),
        cmocka_unit_test(earlier_violations_of_the_caller_do_not_make_it_invalid),
    };
    return cmocka_run_group_tests(tests, zones_set_up, zones_tear_down);
}
