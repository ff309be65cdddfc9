#include "core/posix_tz.h"

#include "core/civil.h"

enum { HOUR_S = 3600, HOURS_MAX = 167, OFFSET_HOURS_MAX = 24, NAME_MIN = 3 };

/* ---- reading; each takes what it reads off the front and is false when something else stands there ---- */

static bool take_number(struct slice *text, int min, int max, int *ret_value)
{
    int value = 0;
    size_t len = 0;
    for (; len < text->len && text->data[len] >= '0' && text->data[len] <= '9'; len++) {
        value = value * 10 + (text->data[len] - '0');
        if (value > max) return false;
    }
    if (len == 0 || value < min) return false;
    *text = (struct slice){text->data + len, text->len - len};
    *ret_value = value;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_quoted_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-';
}

/* Letters, or between < and > also digits and signs. */
static bool take_name(struct slice *text)
{
    bool is_quoted = slice_take_char(text, '<');
    size_t len = 0;
    while (len < text->len && (is_quoted ? is_quoted_char(text->data[len]) : is_letter(text->data[len]))) len++;
    *text = (struct slice){text->data + len, text->len - len};
    return len >= NAME_MIN && (!is_quoted || slice_take_char(text, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct slice *text, int hours_max, int32_t *ret_s)
{
    bool is_negative = slice_take_char(text, '-');
    int hours;
    int minutes = 0;
    int seconds = 0;
    if (!is_negative) (void)slice_take_char(text, '+');
    if (!take_number(text, 0, hours_max, &hours)) return false;
    if (slice_take_char(text, ':')) {
        if (!take_number(text, 0, 59, &minutes)) return false;
        if (slice_take_char(text, ':') && !take_number(text, 0, 59, &seconds)) return false;
    }
    int32_t value_s = hours * HOUR_S + minutes * 60 + seconds;
    *ret_s = is_negative ? -value_s : value_s;
    return true;
}

static bool take_day(struct slice *text, struct posix_tz_change *change)
{
    if (slice_take_char(text, 'J')) {
        change->kind = DAY_JULIAN;
        return take_number(text, 1, 365, &change->day);
    }
    if (slice_take_char(text, 'M')) {
        change->kind = DAY_OF_MONTH;
        return take_number(text, 1, 12, &change->month) && slice_take_char(text, '.') &&
               take_number(text, 1, 5, &change->week) && slice_take_char(text, '.') &&
               take_number(text, 0, 6, &change->weekday);
    }
    change->kind = DAY_ZERO_BASED;
    return take_number(text, 0, 365, &change->day);
}

static bool take_change(struct slice *text, struct posix_tz_change *change)
{
    change->time_s = 2 * HOUR_S;
    if (!slice_take_char(text, ',') || !take_day(text, change)) return false;
    return !slice_take_char(text, '/') || take_time(text, HOURS_MAX, &change->time_s);
}

bool posix_tz_parse(struct slice text, struct posix_tz *ret_rule)
{
    struct posix_tz rule = {0};
    int32_t west_s;
    if (!take_name(&text) || !take_time(&text, OFFSET_HOURS_MAX, &west_s)) return false;
    rule.standard_offset_s = -west_s;
    rule.has_dst = text.len > 0;
    if (rule.has_dst) {
        if (!take_name(&text)) return false;
        rule.dst_offset_s = rule.standard_offset_s + HOUR_S;
        if (text.len > 0 && text.data[0] != ',') {
            if (!take_time(&text, OFFSET_HOURS_MAX, &west_s)) return false;
            rule.dst_offset_s = -west_s;
        }
        if (!take_change(&text, &rule.to_dst) || !take_change(&text, &rule.to_standard)) return false;
    }
    if (text.len > 0) return false;
    *ret_rule = rule;
    return true;
}

/* ---- the calendar ---- */

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int32_t first_of_month(int year, int month)
{
    return days_of((struct date){(uint16_t)year, (uint8_t)month, 1});
}

static int32_t day_of_month(const struct posix_tz_change *change, int year)
{
    int32_t first = first_of_month(year, change->month);
    int32_t next = change->month == 12 ? first + 31 : first_of_month(year, change->month + 1);
    int weekday = (change->weekday + 6) % 7; /* 0 Monday */
    int32_t day = first + (weekday - weekday_of(first) + 7) % 7 + 7 * (change->week - 1);
    return day < next ? day : day - 7;
}

int64_t posix_tz_change_s(const struct posix_tz_change *change, int year)
{
    const int march_1 = 60; /* of a common year, as a Julian day */
    const int64_t day_s = 86400;
    int32_t day = first_of_month(year, 1);
    switch (change->kind) {
    case DAY_JULIAN: day += change->day - 1 + (is_leap(year) && change->day >= march_1); break;
    case DAY_ZERO_BASED: day += change->day; break;
    case DAY_OF_MONTH: day = day_of_month(change, year); break;
    }
    return day * day_s + change->time_s;
}
