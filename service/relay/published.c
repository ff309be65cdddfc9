#include "relay/published.h"

#include <stdio.h>

#include "codec/event.h"
#include "relay/topic_reader.h"

/* Offsets of each partition that are tried first, and then so many times as many. */
enum { NEWEST_FIRST = 1000, NEWEST_FACTOR = 8 };

static const int64_t NEWEST_MAX = INT64_C(1) << 60;

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

bool published_read(const struct progress_topic *events, const struct published_range *range, struct healing *healing,
                    struct published *ret_published)
{
    struct reading reading = {range, healing, ret_published};
    struct topic_reading config = {.client = events->client,
                                   .topic = events->name,
                                   .on_record = on_record,
                                   .reaches_back = reaches_back,
                                   .ctx = &reading,
                                   .on_wait = events->on_wait,
                                   .wait_ctx = events->ctx,
                                   .reason = events->reason};
    bool is_enough = false;
    for (int64_t newest = NEWEST_FIRST; !is_enough; newest *= NEWEST_FACTOR) {
        *ret_published = (struct published){0};
        config.newest = reads_all(range) || newest > NEWEST_MAX ? 0 : newest;
        if (!topic_read(&config, &is_enough)) return false;
    }
    return true;
}
