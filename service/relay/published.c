#include "relay/published.h"

#include <stdio.h>

#include "codec/event.h"

enum { NEWEST_FIRST = 1000 /* offsets of each partition */ };

struct reading {
    const struct published_range *range;
    struct healing *healing;
    struct published *published;
};

/* An event without a position is skipped. */
static bool is_from(const struct record *record, const struct commit_position *begin)
{
    struct commit_position position;
    if (!commit_position_parse(record_header(record, SLICE(COMMIT_POSITION_HEADER)), &position)) return false;
    return position.timeline == begin->timeline && position.lsn >= begin->lsn;
}

static bool reads_all(const struct published_range *range)
{
    return range->from.timeline == 0;
}

static void count_beyond(struct published *published, const struct record *record)
{
    if (published->beyond < PUBLISHED_NAMES_MAX) {
        struct slice type = record_header(record, SLICE("ce_type"));
        struct slice ce_id = record_header(record, SLICE("ce_id"));
        snprintf(published->names[published->beyond], PUBLISHED_NAME_MAX, "%.*s %.*s", (int)type.len, type.data,
                 (int)ce_id.len, ce_id.data);
    }
    published->beyond++;
}

static bool on_record(void *ctx, const struct record *record, const struct topic_place *place)
{
    const struct reading *reading = ctx;
    const struct published_range *range = reading->range;
    int64_t id = event_schedule_id(record);
    if (id == 0) return true; /* of a command that was rejected: it is read again */
    if (id > reading->published->highest_id) reading->published->highest_id = id;
    if (is_from(record, &range->beyond)) count_beyond(reading->published, record);
    if (!reads_all(range) && !is_from(record, &range->from)) return true;
    return healing_note(reading->healing, record, place->timestamp_ms);
}

static bool reaches_back(void *ctx, const struct record *record)
{
    const struct reading *reading = ctx;
    return !is_from(record, &reading->range->from);
}

static void on_start(void *ctx)
{
    const struct reading *reading = ctx;
    *reading->published = (struct published){0};
}

bool published_read(const struct topic_source *events, const struct published_range *range, struct healing *healing,
                    struct published *ret_published)
{
    struct reading reading = {range, healing, ret_published};
    struct topic_reading config = {
        .source = events, .on_record = on_record, .reaches_back = reaches_back, .on_start = on_start, .ctx = &reading};
    return topic_read_back(&config, reads_all(range) ? 0 : NEWEST_FIRST);
}
