/* Times of day and dates: what is one, what is none, and that writing gives back what was read. */
#include "support.h"

#include "core/civil.h"

static bool read_time(struct slice text, uint16_t *minute)
{
    struct slice copy = exact_copy(text);
    bool ok = time_parse(copy, minute);
    free_copy(copy);
    return ok;
}

static void accepts_exactly_the_1440_minutes_of_a_day(void **state)
{
    (void)state;
    int accepted = 0;
    for (int hour = 0; hour < 100; hour++) {
        for (int minute = 0; minute < 100; minute++) {
            char text[64];
            uint16_t got = 9999;
            snprintf(text, sizeof(text), "%02d:%02d", hour, minute);
            bool ok = read_time(slice_of(text), &got);
            assert_int_equal(ok, hour < 24 && minute < 60);
            assert_int_equal(got, ok ? hour * 60 + minute : 9999);
            accepted += ok;
            if (!ok) continue;
            char written[TIME_TEXT_LEN];
            time_format(got, written);
            assert_memory_equal(written, text, TIME_TEXT_LEN);
        }
    }
    assert_int_equal(accepted, 1440);
}

static void refuses_texts_that_are_no_time(void **state)
{
    static const struct slice texts[] = {
        {"", 0},           {"9:00", 4},   {"24:00", 5},   {"23:60", 5},       {"09:60", 5},  {"09:00:00", 8},
        {"09:00 ", 6},     {" 09:00", 6}, {"0900", 4},    {"900", 3},         {"09-00", 5},  {"09:0", 4},
        {"-1:00", 5},      {"+9:00", 5},  {"09:+1", 5},   {"0 :00", 5},       {"09:0\0", 5}, {"09:00\0", 6},
        {"\0\0\0\0\0", 5}, {"aa:bb", 5},  {"09:00\n", 6}, {"\xd9\xa0:00", 5}, {"09.00", 5},  {":0900", 5},
        {"/0:00", 5},      {"0::00", 5},  {"09:0:", 5},   {"09:0/", 5},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint16_t minute = 77;
        if (read_time(texts[i], &minute)) fail_msg("took text %zu as a time", i);
        assert_int_equal(minute, 77);
    }
}

static bool read_date(struct slice text, struct date *date)
{
    struct slice copy = exact_copy(text);
    bool ok = date_parse(copy, date);
    free_copy(copy);
    return ok;
}

static void accepts_real_days_and_writes_them_back(void **state)
{
    static const char *const texts[] = {
        "0001-01-01", "9999-12-31", "2024-02-29", "2000-02-29", "1600-02-29", "0004-02-29", "0400-02-29", "2023-02-28",
        "1900-02-28", "2024-01-31", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30", "2024-07-31", "2024-08-31",
        "2024-09-30", "2024-10-31", "2024-11-30", "2024-12-31", "2024-05-20", "1582-10-10", "0999-09-09",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct date date;
        char written[DATE_TEXT_LEN];
        if (!read_date(slice_of(texts[i]), &date)) fail_msg("refused %s", texts[i]);
        date_format(date, written);
        assert_memory_equal(written, texts[i], DATE_TEXT_LEN);
    }
}

static void refuses_days_the_calendar_does_not_have(void **state)
{
    static const char *const texts[] = {
        "0000-01-01", "0000-02-29", "2023-02-29", "1900-02-29", "2100-02-29", "1700-02-29", "2024-02-30", "2000-02-30",
        "2024-01-32", "2024-03-32", "2024-04-31", "2024-05-32", "2024-06-31", "2024-07-32", "2024-08-32", "2024-09-31",
        "2024-10-32", "2024-11-31", "2024-12-32", "2024-00-10", "2024-13-01", "2024-01-00", "2024-99-99",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct date date;
        if (read_date(slice_of(texts[i]), &date)) fail_msg("took %s as a date", texts[i]);
    }
}

static void refuses_texts_that_are_no_plain_date(void **state)
{
    static const struct slice texts[] = {
        {"", 0},
        {"2024", 4},
        {"2024-05", 7},
        {"2024-5-2", 8},
        {"20240520", 8},
        {"2024-W21-1", 10},
        {"2024-141", 8},
        {"2024-05-20T10:00:00Z", 20},
        {"2024-05-20 10:00", 16},
        {"05/20/2024", 10},
        {"2024/05/20", 10},
        {" 2024-05-20", 11},
        {"2024-05-20 ", 11},
        {"2024-05-20\n", 11},
        {"2024-05-2\0", 10},
        {"2024-05-20\0", 11},
        {"-024-05-20", 10},
        {"+024-05-20", 10},
        {"2024-+5-20", 10},
        {"2024-05--1", 10},
        {"12024-05-2", 10},
        {"2024-05-2x", 10},
        {"2024-05_20", 10},
        {"\0\0\0\0\0\0\0\0\0\0", 10},
        {"02024-05-20", 11},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct date date = {1, 2, 3};
        if (read_date(texts[i], &date)) fail_msg("took text %zu as a date", i);
        assert_int_equal(date.year, 1);
    }
}

static void every_year_has_365_or_366_days(void **state)
{
    static const int years[] = {1, 4, 100, 400, 1582, 1600, 1700, 1900, 2000, 2023, 2024, 2100, 9996, 9999};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(years); i++) {
        int days = 0;
        for (int month = 0; month < 100; month++) {
            for (int day = 0; day < 100; day++) {
                char text[64];
                struct date date;
                snprintf(text, sizeof(text), "%04d-%02d-%02d", years[i], month, day);
                days += date_parse(slice_of(text), &date);
            }
        }
        int year = years[i];
        assert_int_equal(days, (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 366 : 365);
    }
}

static void days_and_dates_are_each_others_inverse(void **state)
{
    struct date date = {1, 1, 1};
    (void)state;
    assert_int_equal(days_of((struct date){1970, 1, 1}), 0);
    assert_int_equal(days_of((struct date){2000, 3, 1}), 11017);
    assert_int_equal(weekday_of(0), 3);
    assert_int_equal(weekday_of(-4), 6);
    for (int32_t days = days_of(date); days <= days_of((struct date){9999, 12, 31}); days++) {
        struct date got = date_of(days);
        bool is_next = got.day == date.day + 1 && got.month == date.month && got.year == date.year;
        bool is_new_month = got.day == 1 && (got.month == date.month + 1 || (got.month == 1 && got.year == date.year + 1));
        if (days != days_of((struct date){1, 1, 1}) && !is_next && !is_new_month) fail_msg("day %d", (int)days);
        assert_int_equal(days_of(got), days);
        date = got;
    }
}

static void a_reading_lies_in_its_day_before_1970_too(void **state)
{
    (void)state;
    assert_int_equal(day_of_reading(0), 0);
    assert_int_equal(day_of_reading(86399), 0);
    assert_int_equal(day_of_reading(86400), 1);
    assert_int_equal(day_of_reading(-1), -1);
    assert_int_equal(day_of_reading(-86400), -1);
    assert_int_equal(day_of_reading(-86401), -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_exactly_the_1440_minutes_of_a_day),
        cmocka_unit_test(refuses_texts_that_are_no_time),
        cmocka_unit_test(accepts_real_days_and_writes_them_back),
        cmocka_unit_test(refuses_days_the_calendar_does_not_have),
        cmocka_unit_test(refuses_texts_that_are_no_plain_date),
        cmocka_unit_test(every_year_has_365_or_366_days),
        cmocka_unit_test(days_and_dates_are_each_others_inverse),
        cmocka_unit_test(a_reading_lies_in_its_day_before_1970_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
