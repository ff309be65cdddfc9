#include "codec/hours_json.h"

#include "codec/schedule_json.h"
#include "core/instant.h"

static void write_text(struct buf *out, const char *text)
{
    buf_append_slice(out, slice_of(text));
}

static void write_utc(struct buf *out, const char *before, int64_t instant_s)
{
    char text[INSTANT_TEXT_MAX];
    write_text(out, before);
    buf_append_slice(out, instant_format_utc(instant_s, text));
    buf_append_char(out, '"');
}

static void write_local(struct buf *out, const char *before, const struct zone *view, int64_t instant_s)
{
    char text[INSTANT_TEXT_MAX];
    write_text(out, before);
    buf_append_slice(out, instant_format_local(instant_s, view->offsets_s[zone_period_at(view, instant_s)], text));
    buf_append_char(out, '"');
}

static void write_range(struct buf *out, const struct zone *view, const struct hours_range *range)
{
    write_utc(out, "{\"start\":\"", range->start_s);
    write_utc(out, ",\"end\":\"", range->end_s);
    write_local(out, ",\"localStart\":\"", view, range->start_s);
    write_local(out, ",\"localEnd\":\"", view, range->end_s);
    buf_append_char(out, '}');
}

static void write_schedules(struct buf *out, const struct hours_answer *answer)
{
    write_text(out, ",\"schedules\":[");
    if (answer->schedule_id != 0) {
        write_text(out, "{\"id\":");
        buf_append_int(out, answer->schedule_id);
        if (answer->version != 0) {
            write_text(out, ",\"version\":");
            buf_append_int(out, answer->version);
        }
        buf_append_char(out, '}');
    }
    buf_append_char(out, ']');
}

void hours_write_json(struct buf *out, const struct hours_answer *answer, struct hours *hours)
{
    struct hours_range range;
    write_text(out, "{\"zoneData\":");
    json_write_string(out, answer->zone_data);
    write_text(out, ",\"timeZone\":");
    json_write_string(out, answer->time_zone);
    write_utc(out, ",\"from\":\"", answer->within.start_s);
    write_utc(out, ",\"to\":\"", answer->within.end_s);
    write_schedules(out, answer);
    write_text(out, ",\"ranges\":[");
    for (const char *before = "\n"; hours_next(hours, &range); before = ",\n") {
        write_text(out, before);
        write_range(out, answer->view, &range);
    }
    write_text(out, "]}\n");
}
