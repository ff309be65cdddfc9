/* The drivers that need no server: logs, metrics and PostgreSQL's binary arrays. */
#include "support.h"

#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/utf8.h"
#include "core/degraded.h"
#include "driver/log.h"
#include "driver/metrics.h"
#include "driver/pg_array.h"

/* ---- logs ---- */

/* Runs log_write with standard error going to memory; *ret_line is what was written, to be freed by free_copy. */
static struct slice written(bool json, const char *message, const struct log_field *fields, size_t len)
{
    int saved = dup(STDERR_FILENO);
    int file = memfd_create("log", MFD_CLOEXEC);
    char *data = calloc(1, 16384);
    assert_true(saved >= 0 && file >= 0 && data != NULL);
    log_configure(LOG_LEVEL_INFO, json);
    dup2(file, STDERR_FILENO);
    log_write(LOG_LEVEL_WARN, message, fields, len);
    dup2(saved, STDERR_FILENO);
    log_configure(LOG_LEVEL_INFO, false);
    ssize_t got = pread(file, data, 16384, 0);
    close(file);
    close(saved);
    assert_true(got > 0);
    return (struct slice){data, (size_t)got};
}

/* The line without its time, which is checked for its form. */
static struct slice behind_time(struct slice line, const char *before, const char *after)
{
    size_t start = strlen(before);
    enum { TIME_LEN = 24 };
    assert_true(line.len > start + TIME_LEN);
    assert_memory_equal(line.data, before, start);
    const char *time = line.data + start;
    assert_true(time[4] == '-' && time[7] == '-' && time[10] == 'T' && time[13] == ':' && time[19] == '.' &&
                time[23] == 'Z');
    assert_memory_equal(time + TIME_LEN, after, strlen(after));
    size_t used = start + TIME_LEN + strlen(after);
    return (struct slice){line.data + used, line.len - used};
}

static void expect_log_at(bool json, const char *message, struct log_field field, const char *want, int line_number)
{
    struct slice line = written(json, message, &field, 1);
    struct slice rest = json ? behind_time(line, "{\"time\":\"", "\",") : behind_time(line, "time=", " ");
    expect_bytes_at(rest, slice_of(want), __FILE__, line_number);
    free_copy(line);
}

#define EXPECT_LOGFMT(field_, want_) \
    expect_log_at(false, "it is", (field_), "level=warn msg=\"it is\" " want_ "\n", __LINE__)
#define EXPECT_JSON(field_, want_) \
    expect_log_at(true, "it \"is\"", (field_), "\"level\":\"warn\",\"msg\":\"it \\\"is\\\"\"," want_ "}\n", __LINE__)

static void logfmt_quotes_and_escapes_what_would_break_a_line(void **state)
{
    (void)state;
    EXPECT_LOGFMT(LOG_STR("k", "plain/text:1,2"), "k=plain/text:1,2");
    EXPECT_LOGFMT(LOG_STR("k", ""), "k=\"\"");
    EXPECT_LOGFMT(LOG_STR("k", NULL), "k=\"\"");
    EXPECT_LOGFMT(LOG_STR("k", "a b"), "k=\"a b\"");
    EXPECT_LOGFMT(LOG_STR("k", "a=b"), "k=\"a=b\"");
    EXPECT_LOGFMT(LOG_STR("k", "a\"b\\c"), "k=\"a\\\"b\\\\c\"");
    EXPECT_LOGFMT(LOG_STR("k", "a\nlevel=error msg=forged"), "k=\"a\\u000alevel=error msg=forged\"");
    EXPECT_LOGFMT(LOG_STR("k", "\x1b[31m\x7f"), "k=\"\\u001b[31m\\u007f\"");
    EXPECT_LOGFMT(LOG_SLICE("k", SLICE("a\0b")), "k=\"a\\u0000b\"");
    EXPECT_LOGFMT(LOG_STR("k", "\xc3\xa9"), "k=\xc3\xa9");
    EXPECT_LOGFMT(LOG_INT("k", INT64_MIN), "k=-9223372036854775808");
}

static void json_lines_escape_every_value(void **state)
{
    (void)state;
    EXPECT_JSON(LOG_STR("k", "plain"), "\"k\":\"plain\"");
    EXPECT_JSON(LOG_STR("k", ""), "\"k\":\"\"");
    EXPECT_JSON(LOG_STR("k", "a\"b\\c\n\t\x7f"), "\"k\":\"a\\\"b\\\\c\\u000a\\u0009\\u007f\"");
    EXPECT_JSON(LOG_SLICE("k", SLICE("a\0b")), "\"k\":\"a\\u0000b\"");
    EXPECT_JSON(LOG_INT("k", -5), "\"k\":-5");
}

static void bytes_that_are_not_utf8_do_not_reach_the_log(void **state)
{
    (void)state;
    EXPECT_LOGFMT(LOG_STR("k", "a\xff"
                               "b\xc3"),
                  "k=\"a\\u00ffb\\u00c3\"");
    EXPECT_JSON(LOG_STR("k", "a\xff"
                             "b\xc3"),
                "\"k\":\"a\\u00ffb\\u00c3\"");
}

/* Whatever the lengths, a cut line is one line, at most 4 KiB, and in JSON an object. */
static void long_lines_are_cut_and_stay_well_formed(void **state)
{
    static const char *const pieces[] = {"x", "\"", "\n", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xff"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t len = 3940; len < 4200; len++) {
            size_t piece_len = strlen(pieces[i]);
            char *text = malloc(len + piece_len);
            size_t used = 0;
            for (; used < len; used += piece_len) memcpy(text + used, pieces[i], piece_len);
            const struct log_field fields[] = {LOG_SLICE("big", ((struct slice){text, used})), LOG_INT("number", INT64_MAX),
                                               LOG_STR("key_that_does_not_fit", "value"), LOG_INT("n", 1)};
            for (int json = 0; json < 2; json++) {
                struct slice line = written(json, "m", fields, ARRAY_LEN(fields));
                assert_true(line.len <= 4096);
                assert_int_equal(line.data[line.len - 1], '\n');
                assert_null(memchr(line.data, '\n', line.len - 1));
                assert_true(utf8_is_valid(line));
                if (json) {
                    json_error_t error;
                    json_t *value = json_loadb(line.data, line.len, 0, &error);
                    if (value == NULL) fail_msg("piece %zu, length %zu: %s", i, len, error.text);
                    json_decref(value);
                }
                free_copy(line);
            }
            free(text);
        }
    }
}

static void levels_below_the_least_are_not_evaluated(void **state)
{
    (void)state;
    int evaluated = 0;
    log_configure(LOG_LEVEL_ERROR, false);
    LOG_WARN("x", LOG_INT("n", ++evaluated));
    LOG_DEBUG("x", LOG_INT("n", ++evaluated));
    assert_int_equal(evaluated, 0);
    assert_false(log_enabled(LOG_LEVEL_WARN));
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    log_configure(LOG_LEVEL_INFO, false);
    assert_true(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
}

/* ---- metrics ---- */

static const int64_t bounds[] = {1000, 2000, 4000, 0};
static struct metric requests[] = {
    {.type = METRIC_COUNTER, .name = "x_total", .labels = "a=\"1\"", .help = "Counted."},
    {.type = METRIC_COUNTER, .name = "x_total", .labels = "a=\"2\"", .help = "Counted."},
};
static struct metric level = {.type = METRIC_GAUGE, .name = "y", .labels = "", .help = "Level.", .scale = 1e-6};
static struct metric times = {
    .type = METRIC_HISTOGRAM, .name = "z_seconds", .labels = "", .help = "Time.", .scale = 1e-6, .buckets = bounds};
static struct metric sizes = {
    .type = METRIC_HISTOGRAM, .name = "w", .labels = "b=\"3\"", .help = "Size.", .buckets = bounds};

static void write_ages(struct buf *out, const struct metric *metric)
{
    metric_write(out, metric, "c=\"1\"", 2500000);
    metric_write(out, metric, "c=\"2\"", *(const int64_t *)metric->ctx);
}

static int64_t age_us = 30;
static struct metric ages = {
    .type = METRIC_GAUGE, .name = "v_seconds", .help = "Ages.", .scale = 1e-6, .write_series = write_ages, .ctx = &age_us};

static void set_level(void *ctx)
{
    metric_set(ctx, 1500000);
}

static void metrics_are_shown_in_the_text_format(void **state)
{
    (void)state;
    struct buf out;
    metrics_register(&requests[0]);
    metrics_register(&requests[1]);
    metrics_register(&level);
    metrics_register(&times);
    metrics_register(&sizes);
    metrics_register(&ages);
    metrics_on_collect(set_level, &level);
    metric_add(&requests[0], 3);
    metric_add(&requests[1], INT64_C(9007199254740));
    static const int64_t observed[] = {0, 1000, 1001, 2000, 3999, 4001, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(observed); i++) {
        metric_observe(&times, observed[i]);
        metric_observe(&sizes, observed[i]);
    }
    buf_init(&out, 1 << 16);
    metrics_write(&out);
    assert_buf(
        &out,
        "# HELP x_total Counted.\n# TYPE x_total counter\nx_total{a=\"1\"} 3\nx_total{a=\"2\"} 9007199254740\n"
        "# HELP y Level.\n# TYPE y gauge\ny 1.5\n"
        "# HELP z_seconds Time.\n# TYPE z_seconds histogram\nz_seconds_bucket{le=\"0.001\"} "
        "2\nz_seconds_bucket{le=\"0.002\"} 4\n"
        "z_seconds_bucket{le=\"0.004\"} 5\nz_seconds_bucket{le=\"+Inf\"} 7\nz_seconds_sum 1.012001\nz_seconds_count 7\n"
        "# HELP w Size.\n# TYPE w histogram\nw_bucket{b=\"3\",le=\"1000\"} 2\nw_bucket{b=\"3\",le=\"2000\"} 4\n"
        "w_bucket{b=\"3\",le=\"4000\"} 5\nw_bucket{b=\"3\",le=\"+Inf\"} 7\nw_sum{b=\"3\"} 1012001\nw_count{b=\"3\"} 7\n"
        "# HELP v_seconds Ages.\n# TYPE v_seconds gauge\nv_seconds{c=\"1\"} 2.5\nv_seconds{c=\"2\"} 3e-05\n");
    buf_done(&out);
}

/* ---- what is amiss ---- */

static void what_is_amiss_is_a_bounded_list_of_bounded_texts(void **state)
{
    (void)state;
    char longer[DEGRADED_BYTES_MAX + 10];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    struct degraded degraded = {0};
    degraded_add(&degraded, "%s", longer);
    for (int i = 1; i < DEGRADED_MAX + 3; i++) degraded_add(&degraded, "partition %d", i);
    assert_int_equal(degraded.len, DEGRADED_MAX);
    assert_int_equal(strlen(degraded.texts[0]), DEGRADED_BYTES_MAX - 1);
    assert_string_equal(degraded.texts[1], "partition 1");
    assert_string_equal(degraded.texts[DEGRADED_MAX - 1], "partition 15");
}

/* ---- arrays ---- */

static void arrays_have_postgresqls_binary_form(void **state)
{
    (void)state;
    struct pg_array array;
    buf_init(&array.bytes, 4096);
    pg_array_start(&array, PG_OID_TEXT);
    pg_array_add(&array, SLICE("ab"));
    pg_array_add_null(&array);
    pg_array_add(&array, SLICE(""));
    struct pg_param param = pg_array_param(&array);
    assert_true(param.is_binary);
    assert_bytes(((struct slice){param.data, (size_t)param.len}),
                 SLICE("\0\0\0\x01\0\0\0\x01\0\0\0\x19\0\0\0\x03\0\0\0\x01\0\0\0\x02"
                       "ab\xff\xff\xff\xff\0\0\0\0"));
    pg_array_start(&array, PG_OID_INT8);
    pg_array_add_int8(&array, -2);
    param = pg_array_param(&array);
    assert_bytes(((struct slice){param.data, (size_t)param.len}),
                 SLICE("\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0\x01\0\0\0\x01\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe"));
    pg_array_start(&array, PG_OID_INT4);
    pg_array_add_int4(&array, 258);
    param = pg_array_param(&array);
    assert_bytes(((struct slice){param.data, (size_t)param.len}),
                 SLICE("\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x01\0\0\0\x01\0\0\0\x04\0\0\x01\x02"));
    pg_array_start(&array, PG_OID_BOOL);
    pg_array_add_bool(&array, true);
    pg_array_add_bool(&array, false);
    param = pg_array_param(&array);
    assert_bytes(((struct slice){param.data, (size_t)param.len}),
                 SLICE("\0\0\0\x01\0\0\0\0\0\0\0\x10\0\0\0\x02\0\0\0\x01\0\0\0\x01\x01\0\0\0\x01\0"));
    pg_array_start(&array, PG_OID_UUID);
    param = pg_array_param(&array);
    assert_bytes(((struct slice){param.data, (size_t)param.len}), SLICE("\0\0\0\0\0\0\0\0\0\0\x0b\x86"));
    buf_done(&array.bytes);
}

static void an_array_over_its_maximum_is_no_parameter(void **state)
{
    (void)state;
    struct pg_array array;
    buf_init(&array.bytes, 30);
    pg_array_start(&array, PG_OID_TEXT);
    pg_array_add(&array, SLICE("1234567"));
    pg_array_add_null(&array);
    assert_null(pg_array_param(&array).data);
    pg_array_start(&array, PG_OID_TEXT);
    assert_non_null(pg_array_param(&array).data);
    buf_done(&array.bytes);
}

static void numbers_are_big_endian(void **state)
{
    static const int64_t numbers[] = {0, 1, -1, 256, INT64_MIN, INT64_MAX, 0x0102030405060708};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char bytes[8];
        pg_put_int8(bytes, numbers[i]);
        assert_true(pg_get_int8(bytes) == numbers[i]);
    }
    char bytes[8];
    pg_put_int8(bytes, 0x0102030405060708);
    assert_memory_equal(bytes, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    pg_put_int4(bytes, -2);
    assert_memory_equal(bytes, "\xff\xff\xff\xfe", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_quotes_and_escapes_what_would_break_a_line),
        cmocka_unit_test(json_lines_escape_every_value),
        cmocka_unit_test(bytes_that_are_not_utf8_do_not_reach_the_log),
        cmocka_unit_test(long_lines_are_cut_and_stay_well_formed),
        cmocka_unit_test(levels_below_the_least_are_not_evaluated),
        cmocka_unit_test(metrics_are_shown_in_the_text_format),
        cmocka_unit_test(what_is_amiss_is_a_bounded_list_of_bounded_texts),
        cmocka_unit_test(arrays_have_postgresqls_binary_form),
        cmocka_unit_test(an_array_over_its_maximum_is_no_parameter),
        cmocka_unit_test(numbers_are_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
