/* The pure parts of the HTTP API: paths, numbers in them, header fields. */
#include "support.h"

#include "api/http_header.h"
#include "api/http_path.h"

#define ONE "/v2/organizations/{orgId}/users/{userId}/schedules/{scheduleId}"
#define LIST "/v2/organizations/{orgId}/users/{userId}/schedules"

static void assert_slice(struct slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.data, text, slice.len);
}

static void assert_rewritten(const char *target, const char *wanted)
{
    struct arena *arena = arena_new(1 << 16);
    assert_slice(target_rewrite(slice_of(target), arena), wanted);
    arena_free(arena);
}

static void rewrites_the_two_prefixes(void **state)
{
    (void)state;
    assert_rewritten("/v2/schedules", "/v2/schedules");
    assert_rewritten("/api/v2/schedules?take=1", "/v2/schedules?take=1");
    assert_rewritten("/v2/ee/schedules", "/v2/schedules");
    assert_rewritten("/api/v2/ee/schedules", "/v2/schedules");
    assert_rewritten("/api/v2", "/v2");
    assert_rewritten("/api/v2?x", "/v2?x");
    assert_rewritten("/api/v22/schedules", "/api/v22/schedules");
    assert_rewritten("/v2/eel", "/v2/eel");
    assert_rewritten("/x/api/v2/schedules", "/x/api/v2/schedules");
    assert_rewritten("", "");
}

static void encodes_what_a_url_may_not_hold(void **state)
{
    (void)state;
    assert_rewritten("/v2/\xff\x01 \"<>\\", "/v2/%FF%01%20%22%3C%3E%5C");
    assert_rewritten("/v2/%20", "/v2/%20");
}

static void gives_no_target_when_the_arena_is_full(void **state)
{
    (void)state;
    struct arena *arena = arena_new(8);
    assert_null(target_rewrite(SLICE("/v2/schedules/longer/than/that"), arena).data);
    arena_free(arena);
}

static void cuts_the_query_off(void **state)
{
    (void)state;
    assert_slice(target_path(SLICE("/v2/schedules?take=1?")), "/v2/schedules");
    assert_slice(target_path(SLICE("/v2#x")), "/v2");
    assert_slice(target_path(SLICE("?")), "");
}

static void matches_and_names_parameters(void **state)
{
    struct path_params params;
    (void)state;
    assert_true(path_match(ONE, SLICE("/v2/organizations/1/users/%202/schedules/default"), &params));
    assert_int_equal(params.len, 3);
    assert_slice(path_param(&params, "orgId"), "1");
    assert_slice(path_param(&params, "userId"), "%202");
    assert_slice(path_param(&params, "scheduleId"), "default");
    assert_null(path_param(&params, "teamId").data);
    assert_null(path_param(&params, "org").data);
}

static void matches_in_any_case(void **state)
{
    struct path_params params;
    (void)state;
    assert_true(path_match(ONE, SLICE("/V2/Organizations/1/USERS/2/schedules/DeFault"), &params));
    assert_slice(path_param(&params, "scheduleId"), "DeFault");
}

static void accepts_one_trailing_slash(void **state)
{
    struct path_params params;
    (void)state;
    assert_true(path_match(LIST, SLICE("/v2/organizations/1/users/2/schedules/"), &params));
    assert_int_equal(params.len, 2);
    assert_false(path_match(LIST, SLICE("/v2/organizations/1/users/2/schedules//"), &params));
    assert_true(path_match("/healthz", SLICE("/healthz/"), &params));
}

static void refuses_other_paths(void **state)
{
    static const char *const paths[] = {
        "",
        "/",
        "v2/organizations/1/users/2/schedules",
        "/v2/organizations/1/users/2",
        "/v2/organizations//users/2/schedules",
        "/v2/organizations/1/users/2/schedules/3",
        "//v2/organizations/1/users/2/schedules",
        "/v2/organizations/1/users/2/schedulesx",
        "/v2/organizations/1/users/2/schedule",
        "/v3/organizations/1/users/2/schedules",
    };
    struct path_params params;
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_false(path_match(LIST, slice_of(paths[i]), &params));
    }
}

static void assert_int(const char *text, int64_t wanted)
{
    int64_t value = ~wanted;
    assert_true(path_int(slice_of(text), &value));
    assert_true(value == wanted);
}

static void reads_whole_numbers(void **state)
{
    (void)state;
    assert_int("5", 5);
    assert_int("05", 5);
    assert_int("+5", 5);
    assert_int("%205", 5);
    assert_int("5%20%09", 5);
    assert_int("%35", 5);
    assert_int("-5", -5);
    assert_int("-0", 0);
    assert_int("9223372036854775807", INT64_MAX);
    assert_int("-9223372036854775808", INT64_MIN);
    assert_int("0000000000000000000000000000000000000000000000000000000007", 7);
}

static void reads_other_literals_of_whole_numbers(void **state)
{
    (void)state;
    assert_int("2709.0", 2709);
    assert_int("2709.", 2709);
    assert_int("1.234567e+06", 1234567);
    assert_int("1e2", 100);
    assert_int("-1E2", -100);
    assert_int("+.5e1", 5);
    assert_int("500e-2", 5);
    assert_int("%201.0%20", 1);
    assert_int("0x1F", 31);
    assert_int("0o17", 15);
    assert_int("0B101", 5);
    assert_int("-0.0", 0);
    assert_int("9007199254740991.0", 9007199254740991);
    assert_int("-9007199254740991.0", -9007199254740991);
}

static void refuses_what_is_no_whole_number(void **state)
{
    static const char *const texts[] = {
        "",
        "abc",
        "5a",
        "a5",
        "1.5",
        "+",
        "-",
        "--5",
        "+-5",
        "5 5",
        "%20",
        "%",
        "%3",
        "%3g",
        "5%00",
        "0x",
        "0x1g",
        "-0x10",
        "0x1p3",
        "0o8",
        "0b2",
        "1e",
        "1e+",
        "1e2.5",
        "1.5e0",
        ".",
        "-.",
        ".e1",
        "1e400",
        "1e-400x",
        "9007199254740992.0",
        "0x20000000000001",
        "0xffffffffffffffffff",
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999",
        "\xd9\xa5",
        "00000000000000000000000000000000000000000000000000000000000000007",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t value = 77;
        assert_false(path_int(slice_of(texts[i]), &value));
        assert_true(value == 77);
    }
}

static void assert_credential(const char *id, const char *secret, const char *authorization, enum credential_kind wanted)
{
    assert_int_equal(credential_of(id, secret, authorization).kind, wanted);
}

static void weighs_credentials_in_order(void **state)
{
    (void)state;
    assert_credential(NULL, NULL, NULL, CREDENTIAL_NONE);
    assert_credential("", "", "", CREDENTIAL_NONE);
    assert_credential("a", "b", "Bearer cal_x", CREDENTIAL_CLIENT);
    assert_credential("a", "", "Bearer cal_x", CREDENTIAL_API_KEY);
    assert_credential("a", NULL, NULL, CREDENTIAL_ID_ONLY);
    assert_credential(NULL, "b", NULL, CREDENTIAL_SECRET_ONLY);
    assert_credential(NULL, NULL, "Bearer eyJ", CREDENTIAL_ACCESS_TOKEN);
    assert_credential(NULL, NULL, "bearer cal_x", CREDENTIAL_ACCESS_TOKEN);
    assert_credential(NULL, NULL, "Bearer  cal_x", CREDENTIAL_ACCESS_TOKEN);
    assert_slice(credential_of(NULL, NULL, "cal_x").secret, "x");
    assert_slice(credential_of(NULL, NULL, "Bearer cal_cal_x").secret, "cal_x");
}

static void hashes_the_key_without_its_prefix(void **state)
{
    static const uint8_t head[] = {0x6c, 0xa1, 0x3d, 0x52, 0xca, 0x70, 0xc8, 0x83};
    uint8_t hash[SECRET_HASH_LEN];
    (void)state;
    secret_hash(credential_of(NULL, NULL, "Bearer cal_abc123").secret, hash);
    assert_memory_equal(hash, head, sizeof(head));
    assert_int_equal(hash[31], 0x90);
}

static void takes_only_sane_request_ids(void **state)
{
    char longest[66];
    (void)state;
    memset(longest, 'a', sizeof(longest) - 1);
    longest[65] = '\0';
    assert_true(is_request_id("0190-a.B_c"));
    assert_true(is_request_id(longest + 1));
    assert_false(is_request_id(longest));
    assert_false(is_request_id(NULL));
    assert_false(is_request_id(""));
    assert_false(is_request_id("a b"));
    assert_false(is_request_id("a\"b"));
    assert_false(is_request_id("\xc3\xa4"));
}

static void reads_the_version_that_if_match_asks_for(void **state)
{
    static const struct {
        const char *text;
        int64_t version;
    } good[] = {
        {NULL, 0},
        {"*", 0},
        {"\"1\"", 1},
        {"\"999999999999999999\"", 999999999999999999},
        {"\"\"", INT64_MAX},
        {"\"01\"", INT64_MAX},
        {"\"9999999999999999999\"", INT64_MAX},
        {"\"abc\"", INT64_MAX},
        {"W/\"1\"", INT64_MAX},
    };
    static const char *const bad[] = {"", "1", "\"1", "1\"", "\"1\", \"2\"", "w/\"1\"", "**", "W/"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t version = -1;
        assert_true(if_match_version(good[i].text, &version));
        assert_true(version == good[i].version);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t version = -1;
        if (if_match_version(bad[i], &version)) fail_msg("took %s", bad[i]);
    }
}

static void prefers_what_has_the_higher_quality(void **state)
{
    static const char *const preferring[] = {
        "text/calendar",
        "Text/Calendar; charset=utf-8",
        "text/html, text/calendar;q=0.5, */*",
        "application/json;q=0.8, text/calendar;q=0.801",
        "application/json ; Q=0,text/calendar",
        ",,text/calendar",
    };
    static const char *const others[] = {
        "",
        "*/*",
        "text/*",
        "text/calendars",
        "application/json",
        "application/json, text/calendar",
        "text/calendar;q=0",
        "text/calendar;q=0.000",
        "text/calendar;q=x",
        "text/calendar;q=",
        "text/calendar;q=0.5, application/json;q=0.6",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(preferring); i++) {
        if (!accept_prefers(preferring[i], "text/calendar")) fail_msg("not: %s", preferring[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (accept_prefers(others[i], "text/calendar")) fail_msg("takes: %s", others[i]);
    }
    assert_false(accept_prefers(NULL, "text/calendar"));
}

static void takes_visible_idempotency_keys(void **state)
{
    char longest[257];
    (void)state;
    memset(longest, '~', sizeof(longest) - 1);
    longest[256] = '\0';
    assert_true(is_idempotency_key("!"));
    assert_true(is_idempotency_key(longest + 1));
    assert_false(is_idempotency_key(longest));
    assert_false(is_idempotency_key(""));
    assert_false(is_idempotency_key("a b"));
    assert_false(is_idempotency_key("a\tb"));
    assert_false(is_idempotency_key("\xc3\xa4"));
}

static void shows_only_printable_bytes(void **state)
{
    struct arena *arena = arena_new(1 << 12);
    (void)state;
    assert_slice(printable("a\tb\x7f\xc3\xa4", arena), "a?b???");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rewrites_the_two_prefixes),
        cmocka_unit_test(encodes_what_a_url_may_not_hold),
        cmocka_unit_test(gives_no_target_when_the_arena_is_full),
        cmocka_unit_test(cuts_the_query_off),
        cmocka_unit_test(matches_and_names_parameters),
        cmocka_unit_test(matches_in_any_case),
        cmocka_unit_test(accepts_one_trailing_slash),
        cmocka_unit_test(refuses_other_paths),
        cmocka_unit_test(reads_whole_numbers),
        cmocka_unit_test(reads_other_literals_of_whole_numbers),
        cmocka_unit_test(refuses_what_is_no_whole_number),
        cmocka_unit_test(weighs_credentials_in_order),
        cmocka_unit_test(hashes_the_key_without_its_prefix),
        cmocka_unit_test(takes_only_sane_request_ids),
        cmocka_unit_test(reads_the_version_that_if_match_asks_for),
        cmocka_unit_test(prefers_what_has_the_higher_quality),
        cmocka_unit_test(takes_visible_idempotency_keys),
        cmocka_unit_test(shows_only_printable_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
