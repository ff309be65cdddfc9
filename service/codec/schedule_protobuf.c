/* Fields go by their numbers and proto3's defaults are left out, as every protobuf library writes them: protobuf.dev, "Encoding". What is nested
 * begins with its length, so lengths are reckoned first. The numbers are those of proto/schedules/v1. */
#include "codec/schedule_protobuf.h"

enum wire_type { VARINT = 0, LENGTH_DELIMITED = 2 };
enum { SCHEDULE = 1, COMMAND_ID, OCCURRED_AT };
enum { ID = 1, OWNER_ID, ORG_ID, NAME, TIME_ZONE, AVAILABILITY, IS_DEFAULT, OVERRIDES, VERSION };
enum { DAYS = 1, WINDOW_START, WINDOW_END };
enum { DATE = 1, OVERRIDE_START, OVERRIDE_END };
enum { SECONDS = 1, NANOS };

/* ---- lengths: a tag is one byte, as all numbers are below 16 ---- */

static size_t varint_len(uint64_t value)
{
    size_t bits = 64 - (size_t)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

static size_t number_len(int64_t value)
{
    return value == 0 ? 0 : 1 + varint_len((uint64_t)value);
}

static size_t message_len(size_t len)
{
    return 1 + varint_len(len) + len;
}

static size_t text_len(size_t len)
{
    return len == 0 ? 0 : message_len(len);
}

static size_t window_len(const struct availability_window *window)
{
    return text_len(window->days_len) + 2 * text_len(TIME_TEXT_LEN);
}

static const size_t override_len = 1 + 1 + DATE_TEXT_LEN + 2 * (1 + 1 + TIME_TEXT_LEN);

static size_t schedule_len(const struct stored_schedule *stored)
{
    const struct schedule *schedule = &stored->schedule;
    size_t len = number_len(stored->id) + number_len(stored->owner_id) + number_len(stored->org_id) +
                 text_len(schedule->name.len) + text_len(schedule->time_zone.len) + number_len(schedule->is_default) +
                 number_len(stored->version) + schedule->overrides_len * message_len(override_len);
    for (size_t i = 0; i < schedule->windows_len; i++) len += message_len(window_len(&schedule->windows[i]));
    return len;
}

/* ---- bytes: each returns where the next one goes ---- */

static char *put_varint(char *to, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) *to++ = (char)(value | 0x80);
    *to++ = (char)value;
    return to;
}

static char *put_tag(char *to, int field, enum wire_type type)
{
    *to = (char)(field << 3 | (int)type);
    return to + 1;
}

static char *put_number(char *to, int field, int64_t value)
{
    return value == 0 ? to : put_varint(put_tag(to, field, VARINT), (uint64_t)value);
}

/* What has the length follows. */
static char *put_start(char *to, int field, size_t len)
{
    return put_varint(put_tag(to, field, LENGTH_DELIMITED), len);
}

static char *put_text(char *to, int field, struct slice text)
{
    if (text.len == 0) return to;
    to = put_start(to, field, text.len);
    memcpy(to, text.data, text.len);
    return to + text.len;
}

static char *put_time(char *to, int field, uint16_t minute)
{
    to = put_start(to, field, TIME_TEXT_LEN);
    time_format(minute, to);
    return to + TIME_TEXT_LEN;
}

static char *put_window(char *to, const struct availability_window *window)
{
    to = put_text(to, DAYS, (struct slice){(const char *)window->days, window->days_len}); /* packed: a byte for each */
    to = put_time(to, WINDOW_START, window->start_minute);
    return put_time(to, WINDOW_END, window->end_minute);
}

static char *put_override(char *to, const struct date_override *override)
{
    to = put_start(to, DATE, DATE_TEXT_LEN);
    date_format(override->date, to);
    to = put_time(to + DATE_TEXT_LEN, OVERRIDE_START, override->start_minute);
    return put_time(to, OVERRIDE_END, override->end_minute);
}

static char *put_schedule(char *to, const struct stored_schedule *stored)
{
    const struct schedule *schedule = &stored->schedule;
    to = put_number(to, ID, stored->id);
    to = put_number(to, OWNER_ID, stored->owner_id);
    to = put_number(to, ORG_ID, stored->org_id);
    to = put_text(to, NAME, schedule->name);
    to = put_text(to, TIME_ZONE, schedule->time_zone);
    for (size_t i = 0; i < schedule->windows_len; i++) {
        const struct availability_window *window = &schedule->windows[i];
        to = put_window(put_start(to, AVAILABILITY, window_len(window)), window);
    }
    to = put_number(to, IS_DEFAULT, schedule->is_default);
    for (size_t i = 0; i < schedule->overrides_len; i++) {
        to = put_override(put_start(to, OVERRIDES, override_len), &schedule->overrides[i]);
    }
    return put_number(to, VERSION, stored->version);
}

void schedule_protobuf_write(struct buf *out, const struct schedule_event *event)
{
    int64_t seconds = event->occurred_us / 1000000;
    int64_t nanos = event->occurred_us % 1000000 * 1000;
    size_t inner_len = schedule_len(&event->stored);
    size_t time_len = number_len(seconds) + number_len(nanos);
    char *to = buf_extend(out, message_len(inner_len) + text_len(event->command_id.len) + message_len(time_len));
    if (to == NULL) return;
    to = put_schedule(put_start(to, SCHEDULE, inner_len), &event->stored);
    to = put_text(to, COMMAND_ID, event->command_id);
    to = put_number(put_start(to, OCCURRED_AT, time_len), SECONDS, seconds);
    put_number(to, NANOS, nanos);
}
