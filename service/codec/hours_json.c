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

/* Without the closing brace. */
static void write_range(struct buf *out, const struct zone *view, const struct hours_range *range)
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

static void write_source(struct buf *out, const struct hours_piece *piece)
{
    char date[DATE_TEXT_LEN];
    date_format(date_of(piece->day), date);
    write_text(out, "{\"date\":\"");
    buf_append(out, date, sizeof(date));
    write_text(out, piece->source == HOURS_OF_WINDOW ? "\",\"window\":" : "\",\"override\":");
    buf_append_int(out, (int64_t)piece->index);
    buf_append_char(out, '}');
}

/* Where ranges come from: a second walk, piece by piece, which follows the one over ranges. */
struct sources {
    struct hours hours;
    struct hours_piece next;
    bool has_next;
};

static void sources_start(struct sources *sources, const struct hours_answer *answer)
{
    hours_start(&sources->hours, answer->plan, answer->zone, answer->within.start_s, answer->within.end_s);
    sources->has_next = hours_next_piece(&sources->hours, &sources->next);
}

/* Takes the pieces of the range, and writes them where there is something to write to. */
static void sources_take(struct sources *sources, const struct hours_range *range, struct buf *out)
{
    const char *before = ",\"sources\":[";
    while (sources->has_next && sources->next.range.start_s < range->end_s) {
        if (out != NULL) {
            write_text(out, before);
            write_source(out, &sources->next);
        }
        before = ",";
        sources->has_next = hours_next_piece(&sources->hours, &sources->next);
    }
    if (out != NULL) buf_append_char(out, ']');
}

static int64_t write_ranges(struct buf *out, const struct hours_answer *answer, struct hours *hours)
{
    struct sources sources;
    struct hours_range range;
    int64_t written = 0;
    write_text(out, ",\"ranges\":[");
    if (answer->explain) sources_start(&sources, answer);
    while (hours_next(hours, &range)) {
        bool is_wanted = range.start_s >= answer->cursor_s;
        if (is_wanted && written == answer->limit) return range.start_s;
        if (is_wanted) {
            write_text(out, written++ == 0 ? "\n" : ",\n");
            write_range(out, answer->view, &range);
        }
        if (answer->explain) sources_take(&sources, &range, is_wanted ? out : NULL);
        if (is_wanted) buf_append_char(out, '}');
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
        write_range(out, answer->view, &slot);
        write_text(out, ",\"free\":[");
        buf_append_int(out, answer->owner_id);
        write_text(out, "],\"freeCount\":1}");
    }
    return INT64_MAX;
}

int64_t hours_write_json(struct buf *out, const struct hours_answer *answer)
{
    struct hours hours;
    write_text(out, "{\"zoneData\":");
    json_write_string(out, answer->zone_data);
    write_text(out, ",\"timeZone\":");
    json_write_string(out, answer->time_zone);
    write_utc(out, ",\"from\":\"", answer->within.start_s);
    write_utc(out, ",\"to\":\"", answer->within.end_s);
    write_schedules(out, answer);
    hours_start(&hours, answer->plan, answer->zone, answer->within.start_s, answer->within.end_s);
    int64_t next_s = (answer->slots == NULL ? write_ranges : write_slots)(out, answer, &hours);
    write_text(out, "]}");
    return next_s;
}
