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

void hours_write_range(struct buf *out, const struct zone *view, const struct hours_range *range)
{
    write_utc(out, "{\"start\":\"", range->start_s);
    write_utc(out, ",\"end\":\"", range->end_s);
    write_local(out, ",\"localStart\":\"", view, range->start_s);
    write_local(out, ",\"localEnd\":\"", view, range->end_s);
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

void hours_write_source(struct buf *out, const struct hours_piece *piece)
{
    char date[DATE_TEXT_LEN];
    date_format(date_of(piece->day), date);
    write_text(out, "\"date\":\"");
    buf_append(out, date, sizeof(date));
    write_text(out, piece->source == HOURS_OF_WINDOW ? "\",\"window\":" : "\",\"override\":");
    buf_append_int(out, (int64_t)piece->index);
}

/* The pieces that the range is made of. */
static void write_sources(struct buf *out, const struct hours_answer *answer, const struct hours_range *range)
{
    const char *before = ",\"sources\":[{";
    struct hours pieces;
    struct hours_piece piece;
    hours_start(&pieces, answer->plan, answer->zone, range->start_s, range->end_s);
    while (hours_next_piece(&pieces, &piece)) {
        write_text(out, before);
        hours_write_source(out, &piece);
        before = "},{";
    }
    write_text(out, "}]");
}

static int64_t write_ranges(struct buf *out, const struct hours_answer *answer, struct hours *hours)
{
    struct hours_range range;
    int64_t written = 0;
    write_text(out, ",\"ranges\":[");
    while (hours_next(hours, &range)) {
        if (range.start_s < answer->cursor_s) continue;
        if (written == answer->limit) return range.start_s;
        write_text(out, written++ == 0 ? "\n" : ",\n");
        hours_write_range(out, answer->view, &range);
        if (answer->explain) write_sources(out, answer, &range);
        buf_append_char(out, '}');
    }
    return INT64_MAX;
}

static int64_t write_slots(struct buf *out, const struct hours_answer *answer, struct hours *hours)
{
    struct slots slots;
    struct hours_range slot;
    int64_t written = 0;
    write_text(out, ",\"slots\":[");
    slots_start(&slots, hours, answer->slots, answer->cursor_s);
    while (slots_next(&slots, &slot)) {
        if (written == answer->limit) return slot.start_s;
        write_text(out, written++ == 0 ? "\n" : ",\n");
        hours_write_range(out, answer->view, &slot);
        write_text(out, ",\"free\":[");
        buf_append_int(out, answer->owner_id);
        write_text(out, "],\"freeCount\":1}");
    }
    return INT64_MAX;
}

void hours_write_head(struct buf *out, struct slice zone_data, struct slice time_zone, const struct hours_range *within)
{
    write_text(out, "{\"zoneData\":");
    json_write_string(out, zone_data);
    write_text(out, ",\"timeZone\":");
    json_write_string(out, time_zone);
    write_utc(out, ",\"from\":\"", within->start_s);
    write_utc(out, ",\"to\":\"", within->end_s);
}

int64_t hours_write_json(struct buf *out, const struct hours_answer *answer)
{
    struct hours hours;
    hours_write_head(out, answer->zone_data, answer->time_zone, &answer->within);
    write_schedules(out, answer);
    hours_start(&hours, answer->plan, answer->zone, answer->within.start_s, answer->within.end_s);
    int64_t next_s = (answer->slots == NULL ? write_ranges : write_slots)(out, answer, &hours);
    write_text(out, "]}");
    return next_s;
}
