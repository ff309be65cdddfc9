/* JSON in and out: parsing, escaping, the answered schedule, and the error envelope byte for byte. Bodies are written with
 * ' for ". */
#include "zones.h"

#include "codec/error_json.h"
#include "codec/json_text.h"
#include "codec/schedule_json.h"

static json_t *parse_text(struct slice text, char *reason, size_t size)
{
    json_t *value = NULL;
    struct json_fault fault = {0};
    enum status status = json_text_parse(text, &value, &fault);
    snprintf(reason, size, "%s", fault.detail);
    assert_int_equal(status, value == NULL ? STATUS_UNDECODABLE : STATUS_OK);
    return value;
}

static json_t *parse_bytes(struct slice text, char *reason, size_t size)
{
    struct slice copy = exact_copy(text);
    json_t *value = parse_text(copy, reason, size);
    free_copy(copy);
    return value;
}

static void refuses_malformed_json_and_says_why(void **state)
{
    static const struct slice texts[] = {
        {"", 0},
        {" ", 1},
        {"{", 1},
        {"}", 1},
        {"{}{}", 4},
        {"{},", 3},
        {"[1,]", 4},
        {"{'a':1}", 7},
        {"{\"a\"}", 5},
        {"nul", 3},
        {"\"abc", 4},
        {"\"\x01\"", 3},
        {"\"\xff\"", 3},
        {"\"\xed\xa0\x80\"", 5},
        {"01", 2},
        {"+1", 2},
        {".5", 2},
        {"NaN", 3},
        {"{}\0", 3},
        {"\"\\ud800\"", 8},
        {"\"\\x41\"", 6},
        {"// c\n1", 6},
        {"\xef\xbb\xbf", 3},
        {"\xef\xbb\xbf\xef\xbb\xbf{}", 8},
        {"{}\xef\xbb\xbf", 5},
        {"[", 1},
        {"{\"a\":1", 6},
        {"{\"a\\u0000\":1}", 12},
        {"01e400", 6},
        {"+1e400", 6},
        {"1.e400", 6},
        {"1e400-5", 7},
        {"--1e400", 7},
        {"[1e400,]", 8},
        {"[1e400,\"\\ud800\"]", 16},
        {"[1e400,\"", 8},
        {"[1e400,\"\\", 9},
        {"99999999999999999999e", 21},
        {"99999999999999999999.", 21},
        {"99999999999999999999x", 21},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char reason[256] = "";
        json_t *value = parse_bytes(texts[i], reason, sizeof(reason));
        if (value != NULL) fail_msg("text %zu passed", i);
        assert_true(strlen(reason) > 5);
    }
    char reason[256] = "";
    assert_null(parse_text((struct slice){NULL, 0}, reason, sizeof(reason)));
}

static void refuses_nesting_without_end(void **state)
{
    (void)state;
    enum { DEEP = 1 << 20 };
    char reason[256];
    char *text = malloc(DEEP);
    memset(text, '[', DEEP);
    assert_null(parse_text((struct slice){text, DEEP}, reason, sizeof(reason)));
    free(text);
}

/* `count` times the unit in a list. */
static void expect_bounded(const char *unit, size_t count, const char *fault)
{
    char reason[256];
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_char(&text, '[');
    for (size_t i = 0; i < count; i++) buf_printf(&text, i == 0 ? "%s" : ",%s", unit);
    buf_append_char(&text, ']');
    json_t *value = parse_text(buf_slice(&text), reason, sizeof(reason));
    if (fault == NULL) assert_non_null(value);
    else assert_string_equal(reason, fault);
    json_decref(value);
    buf_done(&text);
}

static void takes_only_so_many_values(void **state)
{
    static const char *const units[] = {"1", "\"]\\\"[\"", "null", "1e999", "[]", "{}", "12345678901234567890"};
    static const char fault[] = "the JSON has more than 8000 values";
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        expect_bounded(units[i], JSON_VALUES_MAX - 1, NULL);
        expect_bounded(units[i], JSON_VALUES_MAX, fault);
    }
    expect_bounded("{\"a\":[1],\"b\":{\"c\":null}}", (JSON_VALUES_MAX - 1) / 5, NULL);
    expect_bounded("{\"a\":[1],\"b\":{\"c\":null}}", (JSON_VALUES_MAX - 1) / 5 + 1, fault);
}

static void takes_only_so_many_levels(void **state)
{
    (void)state;
    expect_bounded("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 100, NULL);
    expect_bounded("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 1,
                   "the JSON has more than 32 levels");
}

static void takes_any_json_value_and_nul_in_texts(void **state)
{
    static const char *const texts[] = {"{}",        " [] ", "1", "-1.5e3", "\"x\"", "null", "true", "\"\\ud83d\\ude00\"",
                                        "\t\r\n{}\n"};
    (void)state;
    char reason[256];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        json_t *value = parse_bytes(slice_of(texts[i]), reason, sizeof(reason));
        if (value == NULL) fail_msg("%s: %s", texts[i], reason);
        json_decref(value);
    }
    json_t *nul = parse_bytes(SLICE("\"a\\u0000b\""), reason, sizeof(reason));
    struct input_text text = input_text_from_json(nul);
    assert_int_equal(text.kind, INPUT_GIVEN);
    assert_bytes(text.text, SLICE("a\0b"));
    json_decref(nul);
}

static void takes_numbers_of_any_size(void **state)
{
    static const struct {
        const char *text;
        const char *value; /* as jansson writes it */
    } cases[] = {
        {"99999999999999999999", "1e20"},
        {"-9223372036854775809", "-9.2233720368547758e18"},
        {"[9223372036854775807,9223372036854775808]", "[9223372036854775807,9.2233720368547758e18]"},
        {"1e400", "1e308"},
        {"-1.5E+400", "-1e308"},
        {"[1.5e308,9.99e307,-1e308]", "[1e308,9.990000000000001e307,-1e308]"},
        {"[0e999,0.0e99999999999999999999,1e-99999999999999999999]", "[0.0,0.0,0.0]"},
        {"[100e306,0.001e311,10000000000000000000e289]", "[1e308,1e308,1e308]"},
        {"[99e306,0.001e310,1000000000000000000e289]",
         "[9.9000000000000007e307,9.9999999999999999e306,9.9999999999999999e306]"},
        {"[9223372036854775807,-9223372036854775808,1000000000000000000]",
         "[9223372036854775807,-9223372036854775808,1000000000000000000]"},
        {"[1e400,1,-2,0.5,1e2,0,-0,5e-400]", "[1e308,1,-2,0.5,100.0,0,0,0.0]"},
        {"{\"1e400\":\"\\\"1e400\\\\\",\"b\":[true,null,1e400]}", "{\"1e400\":\"\\\"1e400\\\\\",\"b\":[true,null,1e308]}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char reason[256] = "";
        json_t *value = parse_bytes(slice_of(cases[i].text), reason, sizeof(reason));
        if (value == NULL) fail_msg("%s: %s", cases[i].text, reason);
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        assert_string_equal(text, cases[i].value);
        free(text);
        json_decref(value);
    }
}

static void takes_an_integer_of_a_million_digits(void **state)
{
    (void)state;
    enum { DIGITS = 1 << 20 };
    char reason[256] = "";
    char *text = malloc(DIGITS);
    memset(text, '9', DIGITS);
    json_t *value = parse_text((struct slice){text, DIGITS}, reason, sizeof(reason));
    assert_true(json_is_real(value));
    json_decref(value);
    free(text);
}

static void tells_json_from_other_types(void **state)
{
    static const char *const json[] = {"application/json", "Application/JSON; charset=utf-8", "application/json ;x"};
    static const char *const others[] = {"", "text/json", "application/jsonp", "application/json x",
                                         "application/x-www-form-urlencoded"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(json); i++) assert_true(json_text_is_type(slice_of(json[i])));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) assert_false(json_text_is_type(slice_of(others[i])));
    assert_false(json_text_is_type(slice_of(NULL)));
    assert_true(json_text_is_type((struct slice){"application/jsonp", strlen("application/json")}));
}

static void escapes_what_json_texts_must_escape(void **state)
{
    static const struct {
        struct slice text;
        const char *json;
    } cases[] = {
        {{NULL, 0}, "\"\""},
        {{"", 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"\"\\/", 3}, "\"\\\"\\\\/\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x20\x7f", 5}, "\"\\u0000\\u0001\\u001f \x7f\""},
        {{"a\nb\nc", 5}, "\"a\\nb\\nc\""},
        {{"\xc3\xa9\xf0\x9f\x98\x80", 6}, "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {{"\"", 1}, "\"\\\"\""},
        {{"</script>", 9}, "\"</script>\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 1000);
        json_write_string(&out, cases[i].text);
        assert_buf(&out, cases[i].json);
        buf_done(&out);
    }
}

static void what_is_escaped_is_read_back_the_same(void **state)
{
    (void)state;
    char all[128];
    char reason[256];
    struct buf out;
    for (size_t i = 0; i < sizeof(all); i++) all[i] = (char)i;
    buf_init(&out, 4096);
    json_write_string(&out, (struct slice){all, sizeof(all)});
    json_t *value = parse_text(buf_slice(&out), reason, sizeof(reason));
    assert_non_null(value);
    assert_bytes(input_text_from_json(value).text, ((struct slice){all, sizeof(all)}));
    json_decref(value);
    buf_done(&out);
}

static void writes_a_schedule_with_its_keys_in_the_contracts_order(void **state)
{
    (void)state;
    struct schedule_row row = {.id = 254,
                               .owner_id = 478,
                               .org_id = 9,
                               .name = SLICE("w\"k"),
                               .time_zone = SLICE("Europe/Rome"),
                               .is_default = true,
                               .version = 3,
                               .availability_json = SLICE("[1]"),
                               .overrides_json = SLICE("[2]")};
    struct buf out;
    buf_init(&out, 4096);
    schedule_write_json(&out, &row);
    assert_buf(&out, "{\"id\":254,\"ownerId\":478,\"name\":\"w\\\"k\",\"timeZone\":\"Europe/Rome\",\"availability\":[1],"
                     "\"isDefault\":true,\"overrides\":[2]}");
    buf_clear(&out);
    row.is_default = false;
    row.id = INT64_MAX;
    schedule_write_json(&out, &row);
    assert_buf(
        &out,
        "{\"id\":9223372036854775807,\"ownerId\":478,\"name\":\"w\\\"k\",\"timeZone\":\"Europe/Rome\",\"availability\":[1],"
        "\"isDefault\":false,\"overrides\":[2]}");
    buf_done(&out);
}

/* ---- errors ---- */

static const int64_t at_us = 1795325544653999; /* 2026-11-22T05:32:24.653999Z */

static void shows_times_in_milliseconds(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.000Z"},
        {1000, "1970-01-01T00:00:00.001Z"},
        {at_us, "2026-11-22T05:32:24.653Z"},
        {951782400000000, "2000-02-29T00:00:00.000Z"},
        {253402300799999999, "9999-12-31T23:59:59.999Z"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[RFC3339_MS_SIZE];
        rfc3339_ms_format(cases[i].us, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void writes_the_error_envelope(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    error_write_json(&out, 404, SLICE("NotFoundException"), SLICE("Not Found"), SLICE("Schedule with ID=5 does not exist."),
                     SLICE("/v2/x?a=\"b\""), at_us);
    assert_buf(&out,
               "{\"status\":\"error\",\"timestamp\":\"2026-11-22T05:32:24.653Z\",\"path\":\"/v2/x?a=\\\"b\\\"\",\"error\":{"
               "\"code\":\"NotFoundException\",\"message\":\"Schedule with ID=5 does not exist.\",\"details\":{"
               "\"message\":\"Schedule with ID=5 does not exist.\",\"error\":\"Not Found\",\"statusCode\":404}}}");
    buf_clear(&out);
    error_write_json(&out, 429, SLICE("ThrottlerException"), SLICE(""), SLICE("Too many"), SLICE("/"), at_us);
    assert_buf(&out, "{\"status\":\"error\",\"timestamp\":\"2026-11-22T05:32:24.653Z\",\"path\":\"/\",\"error\":{"
                     "\"code\":\"ThrottlerException\",\"message\":\"Too many\",\"details\":\"Too many\"}}");
    buf_done(&out);
}

/* Checks the body and compares details.errors; ' stands for ". */
static void expect_errors_at(const char *body_text, const char *errors_text, int line)
{
    struct arena *arena = make_arena();
    struct schedule_input input;
    struct schedule schedule;
    struct violations violations = {0};
    struct buf out;
    struct buf want;
    char reason[256];
    char *json = strdup(body_text);
    for (char *p = json; *p != '\0'; p++) *p = *p == '\'' ? '"' : *p;
    json_t *body = parse_text(slice_of(json), reason, sizeof(reason));
    assert_non_null(body);
    assert_true(schedule_input_from_json(body, arena, &input));
    assert_int_equal(schedule_check(&input, SCHEDULE_NEW, zones, arena, &schedule, &violations), STATUS_INVALID);
    buf_init(&out, 4 << 20);
    buf_init(&want, 4 << 20);
    validation_error_write_json(&out, body, &violations, SLICE("/v2/p"), at_us);
    buf_printf(&want,
               "{\"status\":\"error\",\"timestamp\":\"2026-11-22T05:32:24.653Z\",\"path\":\"/v2/p\",\"error\":{"
               "\"code\":\"BadRequestException\",\"message\":\"Bad Request Exception\",\"details\":{\"errors\":%s}}}",
               errors_text);
    for (size_t i = 0; i < want.len; i++) want.data[i] = want.data[i] == '\'' ? '"' : want.data[i];
    expect_bytes_at(buf_slice(&out), buf_slice(&want), __FILE__, line);
    json_t *parsed = parse_text(buf_slice(&out), reason, sizeof(reason));
    assert_non_null(parsed);
    json_decref(parsed);
    buf_done(&out);
    buf_done(&want);
    json_decref(body);
    arena_free(arena);
    free(json);
}

#define EXPECT_ERRORS(body_, errors_) expect_errors_at((body_), (errors_), __LINE__)

#define BASE "'name':'n','timeZone':'Europe/Rome','isDefault':false"
#define DAYS_NAMES                                                     \
    "'isIn':'each value in days must be one of the following values: " \
    "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday'"

static void missing_fields_have_no_value(void **state)
{
    (void)state;
    EXPECT_ERRORS(
        "{}", "[{'property':'name','children':[],'constraints':{'isString':'name must be a string'}},"
              "{'property':'timeZone','children':[],'constraints':{'isTimeZone':'timeZone must be a valid IANA time-zone'}},"
              "{'property':'isDefault','children':[],'constraints':{'isBoolean':'isDefault must be a boolean value'}}]");
    EXPECT_ERRORS(
        "[]", "[{'property':'name','children':[],'constraints':{'isString':'name must be a string'}},"
              "{'property':'timeZone','children':[],'constraints':{'isTimeZone':'timeZone must be a valid IANA time-zone'}},"
              "{'property':'isDefault','children':[],'constraints':{'isBoolean':'isDefault must be a boolean value'}}]");
}

static void sent_fields_show_their_value(void **state)
{
    (void)state;
    EXPECT_ERRORS("{'name':'n','timeZone':'Mars/Base','isDefault':true}",
                  "[{'value':'Mars/Base','property':'timeZone','children':[],"
                  "'constraints':{'isTimeZone':'timeZone must be a valid IANA time-zone'}}]");
    EXPECT_ERRORS(
        "{'name':null,'timeZone':{'a':[1,2.5,'x']},'isDefault':0}",
        "[{'value':null,'property':'name','children':[],'constraints':{'isString':'name must be a string'}},"
        "{'property':'timeZone','children':[],"
        "'constraints':{'isTimeZone':'timeZone must be a valid IANA time-zone'}},"
        "{'value':0,'property':'isDefault','children':[],'constraints':{'isBoolean':'isDefault must be a boolean value'}}]");
}

static void numbers_of_any_size_get_a_verdict(void **state)
{
    (void)state;
    EXPECT_ERRORS("{'name':99999999999999999999,'timeZone':1e400,'isDefault':5,'ignored':-1e400}",
                  "[{'value':1e20,'property':'name','children':[],'constraints':{'isString':'name must be a string'}},"
                  "{'value':1e308,'property':'timeZone','children':[],"
                  "'constraints':{'isTimeZone':'timeZone must be a valid IANA time-zone'}},"
                  "{'value':5,'property':'isDefault','children':[],'constraints':{'isBoolean':'isDefault must be a boolean "
                  "value'}}]");
}

static void values_are_written_as_json_whatever_they_hold(void **state)
{
    (void)state;
    EXPECT_ERRORS("{'name':'a\\u0000%s\\n','timeZone':'Europe/Rome','isDefault':true}",
                  "[{'value':'a\\u0000%s\\n','property':'name','children':[],"
                  "'constraints':{'matches':'name must not contain the character NUL'}}]");
}

static void nested_errors_stand_in_children(void **state)
{
    (void)state;
    EXPECT_ERRORS("{" BASE ",'availability':[{'days':['Noday'],'startTime':'09:00','endTime':5}]}",
                  "[{'property':'availability','children':["
                  "{'property':'0','children':["
                  "{'property':'days','children':[],'constraints':{" DAYS_NAMES "}},"
                  "{'value':5,'property':'endTime','children':[],'constraints':{"
                  "'matches':'endTime must be a valid time format HH:MM','isString':'endTime must be a string'}}]}]}]");
}

static void each_item_at_fault_is_a_child_of_its_own(void **state)
{
    (void)state;
    EXPECT_ERRORS("{" BASE ",'overrides':[{'date':'x','startTime':'09:00','endTime':'10:00'},"
                  "{'date':'2024-01-01','startTime':'09:00','endTime':'10:00'},7,{'date':'2024-01-01','startTime':'09:00','"
                  "endTime':'08:00'}]}",
                  "[{'property':'overrides','children':["
                  "{'property':'0','children':["
                  "{'value':'x','property':'date','children':[],'constraints':{'isIso8601':'date must be a valid ISO 8601 "
                  "date string'}}]},"
                  "{'value':7,'property':'2','children':[],'constraints':{"
                  "'nestedValidation':'each value in nested property overrides must be either object or array'}},"
                  "{'property':'3','children':["
                  "{'value':'08:00','property':'endTime','children':[],'constraints':{'isAfter':'endTime must be after "
                  "startTime'}}]}]}]");
}

static void an_object_for_a_list_has_constraints_and_children(void **state)
{
    (void)state;
    EXPECT_ERRORS("{" BASE ",'overrides':{'date':'2024-01-01','startTime':'09:00','endTime':'9'}}",
                  "[{'property':'overrides','children':["
                  "{'value':'9','property':'endTime','children':[],'constraints':{'matches':'endTime must be a valid time "
                  "format HH:MM'}}],"
                  "'constraints':{'isArray':'overrides must be an array'}}]");
}

static void several_constraints_of_one_field_share_an_object(void **state)
{
    (void)state;
    EXPECT_ERRORS(
        "{" BASE ",'availability':'x'}",
        "[{'value':'x','property':'availability','children':[],'constraints':{'isArray':'availability must be an array',"
        "'nestedValidation':'each value in nested property availability must be either object or array'}}]");
}

static void long_texts_are_not_shown(void **state)
{
    (void)state;
    struct buf body;
    struct buf want;
    for (int len = 200; len <= 201; len++) {
        buf_init(&body, 1 << 20);
        buf_init(&want, 1 << 20);
        buf_printf(&body, "{'name':'n','timeZone':'%0*d','isDefault':true}%c", len, 0, '\0');
        buf_printf(&want, len == 200 ? "[{'value':'%0*d'," : "[{", len, 0);
        buf_printf(&want, "'property':'timeZone','children':[],"
                          "'constraints':{'isTimeZone':'timeZone must be a valid IANA time-zone'}}]");
        buf_append_char(&want, '\0');
        EXPECT_ERRORS(body.data, want.data);
        buf_done(&body);
        buf_done(&want);
    }
}

static void indexes_of_several_digits_find_their_item(void **state)
{
    (void)state;
    struct buf body;
    struct buf want;
    buf_init(&body, 1 << 20);
    buf_init(&want, 1 << 20);
    buf_printf(&body, "{" BASE ",'overrides':[");
    for (int i = 0; i < 123; i++) buf_printf(&body, "{'date':'2024-01-01','startTime':'09:00','endTime':'10:00'},");
    buf_printf(&body, "'here']}");
    buf_append_char(&body, '\0');
    buf_printf(&want, "[{'property':'overrides','children':[{'value':'here','property':'123','children':[],'constraints':{"
                      "'nestedValidation':'each value in nested property overrides must be either object or array'}}]}]");
    buf_append_char(&want, '\0');
    EXPECT_ERRORS(body.data, want.data);
    buf_done(&body);
    buf_done(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_malformed_json_and_says_why),
        cmocka_unit_test(refuses_nesting_without_end),
        cmocka_unit_test(takes_only_so_many_values),
        cmocka_unit_test(takes_only_so_many_levels),
        cmocka_unit_test(takes_any_json_value_and_nul_in_texts),
        cmocka_unit_test(takes_numbers_of_any_size),
        cmocka_unit_test(takes_an_integer_of_a_million_digits),
        cmocka_unit_test(tells_json_from_other_types),
        cmocka_unit_test(escapes_what_json_texts_must_escape),
        cmocka_unit_test(what_is_escaped_is_read_back_the_same),
        cmocka_unit_test(writes_a_schedule_with_its_keys_in_the_contracts_order),
        cmocka_unit_test(shows_times_in_milliseconds),
        cmocka_unit_test(writes_the_error_envelope),
        cmocka_unit_test(missing_fields_have_no_value),
        cmocka_unit_test(sent_fields_show_their_value),
        cmocka_unit_test(numbers_of_any_size_get_a_verdict),
        cmocka_unit_test(values_are_written_as_json_whatever_they_hold),
        cmocka_unit_test(nested_errors_stand_in_children),
        cmocka_unit_test(each_item_at_fault_is_a_child_of_its_own),
        cmocka_unit_test(an_object_for_a_list_has_constraints_and_children),
        cmocka_unit_test(several_constraints_of_one_field_share_an_object),
        cmocka_unit_test(long_texts_are_not_shown),
        cmocka_unit_test(indexes_of_several_digits_find_their_item),
    };
    return cmocka_run_group_tests(tests, zones_set_up, zones_tear_down);
}
