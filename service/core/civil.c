#include "core/civil.h"

/* count decimal digits at p as a number, -1 when one of them is none. */
static int digits(const char *p, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

static void put_digits(char *p, int count, int value)
{
    for (int i = count - 1; i >= 0; i--) {
        p[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

bool time_parse(struct slice text, uint16_t *ret_minute)
{
    if (text.len != TIME_TEXT_LEN || text.data[2] != ':') return false;
    int hour = digits(text.data, 2);
    int minute = digits(text.data + 3, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return false;
    *ret_minute = (uint16_t)(hour * 60 + minute);
    return true;
}

void time_format(uint16_t minute, char text[TIME_TEXT_LEN])
{
    put_digits(text, 2, minute / 60);
    text[2] = ':';
    put_digits(text + 3, 2, minute % 60);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

bool date_parse(struct slice text, struct date *ret_date)
{
    if (text.len != DATE_TEXT_LEN || text.data[4] != '-' || text.data[7] != '-') return false;
    int year = digits(text.data, 4);
    int month = digits(text.data + 5, 2);
    int day = digits(text.data + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
    *ret_date = (struct date){(uint16_t)year, (uint8_t)month, (uint8_t)day};
    return true;
}

void date_format(struct date date, char text[DATE_TEXT_LEN])
{
    put_digits(text, 4, date.year);
    text[4] = '-';
    put_digits(text + 5, 2, date.month);
    text[7] = '-';
    put_digits(text + 8, 2, date.day);
}

/* A year here begins on 1 March, so that the leap day is its last; day_of_year counts from there. */
enum { DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400, DAYS_BEFORE_1970 = 719468 };

int32_t days_of(struct date date)
{
    int32_t year = date.year - (date.month <= 2);
    int32_t era = year / YEARS_PER_ERA;
    int32_t year_of_era = year % YEARS_PER_ERA;
    int32_t month = (date.month + 9) % 12;
    int32_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
    int32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_BEFORE_1970;
}

struct date date_of(int32_t days)
{
    int32_t since_0000 = days + DAYS_BEFORE_1970;
    int32_t era = since_0000 / DAYS_PER_ERA;
    int32_t day_of_era = since_0000 % DAYS_PER_ERA;
    int32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int32_t month = (5 * day_of_year + 2) / 153;
    int32_t day = day_of_year - (153 * month + 2) / 5 + 1;
    int32_t month_of_year = month < 10 ? month + 3 : month - 9;
    int32_t year = era * YEARS_PER_ERA + year_of_era + (month_of_year <= 2);
    return (struct date){(uint16_t)year, (uint8_t)month_of_year, (uint8_t)day};
}

int32_t day_of_reading(int64_t local_s)
{
    const int64_t day_s = 86400;
    return (int32_t)(local_s / day_s - (local_s % day_s < 0));
}

int weekday_of(int32_t days)
{
    const int thursday = 3; /* 1970-01-01 */
    return (int)(((int64_t)days + thursday) % 7 + 7) % 7;
}
