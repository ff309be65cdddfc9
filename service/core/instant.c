#include "core/instant.h"

#include <stdlib.h>

#include "core/civil.h"

enum { DATE_TIME_LEN = DATE_TEXT_LEN + 1 + TIME_TEXT_LEN, DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60 };

/* `HH:MM` off the front, as seconds. */
static bool take_time(struct slice *text, int64_t *ret_s)
{
    uint16_t minute;
    if (text->len < TIME_TEXT_LEN || !time_parse((struct slice){text->data, TIME_TEXT_LEN}, &minute)) return false;
    *text = (struct slice){text->data + TIME_TEXT_LEN, text->len - TIME_TEXT_LEN};
    *ret_s = (int64_t)minute * MINUTE_S;
    return true;
}

/* `:SS`, with `.000` behind it or not. Nothing of it is 0. */
static bool take_seconds(struct slice *text, int64_t *ret_s)
{
    *ret_s = 0;
    if (!slice_take_char(text, ':')) return true;
    if (text->len < 2 || text->data[0] < '0' || text->data[0] > '5' || text->data[1] < '0' || text->data[1] > '9')
        return false;
    *ret_s = (text->data[0] - '0') * 10 + (text->data[1] - '0');
    *text = (struct slice){text->data + 2, text->len - 2};
    if (!slice_take_char(text, '.')) return true;
    if (!slice_take_char(text, '0')) return false;
    while (slice_take_char(text, '0')) {
    }
    return true;
}

static bool take_offset(struct slice *text, int64_t *ret_s)
{
    *ret_s = 0;
    if (slice_take_char(text, 'Z')) return true;
    bool is_west = slice_take_char(text, '-');
    if (!is_west && !slice_take_char(text, '+')) return false;
    if (!take_time(text, ret_s)) return false;
    if (is_west) *ret_s = -*ret_s;
    return true;
}

bool instant_parse(struct slice text, int64_t *ret_instant_s)
{
    struct date date;
    int64_t time_s;
    int64_t seconds;
    int64_t offset_s;
    if (text.len < DATE_TIME_LEN || !date_parse((struct slice){text.data, DATE_TEXT_LEN}, &date)) return false;
    text = (struct slice){text.data + DATE_TEXT_LEN, text.len - DATE_TEXT_LEN};
    if (!slice_take_char(&text, 'T') || !take_time(&text, &time_s) || !take_seconds(&text, &seconds)) return false;
    if (!take_offset(&text, &offset_s) || text.len > 0) return false;
    *ret_instant_s = (int64_t)days_of(date) * DAY_S + time_s + seconds - offset_s;
    return true;
}

/* Two digits, and what stands before them. */
static char *put(char *to, char before, int64_t value)
{
    to[0] = before;
    to[1] = (char)('0' + value / 10);
    to[2] = (char)('0' + value % 10);
    return to + 3;
}

static char *put_reading(char *to, int64_t local_s)
{
    int32_t day = day_of_reading(local_s);
    int64_t second = local_s - (int64_t)day * DAY_S;
    date_format(date_of(day), to);
    to = put(to + DATE_TEXT_LEN, 'T', second / HOUR_S);
    to = put(to, ':', second / MINUTE_S % 60);
    return put(to, ':', second % 60);
}

struct slice instant_format_utc(int64_t instant_s, char text[INSTANT_TEXT_MAX])
{
    char *end = put_reading(text, instant_s);
    *end++ = 'Z';
    *end = '\0';
    return (struct slice){text, (size_t)(end - text)};
}

struct slice instant_format_local(int64_t instant_s, int32_t offset_s, char text[INSTANT_TEXT_MAX])
{
    int32_t east_s = abs(offset_s);
    char *end = put_reading(text, instant_s + offset_s);
    end = put(end, offset_s < 0 ? '-' : '+', east_s / HOUR_S);
    end = put(end, ':', east_s / MINUTE_S % 60);
    if (east_s % 60 != 0) end = put(end, ':', east_s % 60);
    *end = '\0';
    return (struct slice){text, (size_t)(end - text)};
}
