#include "relay/published.h"

#include <stdio.h>

#include "codec/event.h"
#include "relay/topic_reader.h"

/* Offsets of each partition that are tried first, and then so many times as many. */
enum { NEWEST_FIRST = 1000, NEWEST_FACTOR = 8 };

static const int64_t NEWEST_MAX = INT64_C(1) << 60;

struct reading {
    const struct commit_position *position;
    struct published *published;
};

/* Nothing says that it is not. */
static bool is_shared(const struct reading *reading, const struct record *record)
{
    struct commit_position position;
    if (!commit_position_parse(record_header(record, SLICE(COMMIT_POSITION_HEADER)), &position)) return true;
    return position.timeline != reading->position->timeline || position.lsn < reading->position->lsn;
}

static void on_record(void *ctx, const struct record *record, const struct topic_place *place)
{
    const struct reading *reading = ctx;
    struct published *published = reading->published;
    int64_t id = event_schedule_id(record);
    (void)place;
    if (id == 0) return; /* of a command that was rejected: it is read again */
    if (id > published->highest_id) published->highest_id = id;
    if (is_shared(reading, record)) return;
    if (published->beyond < PUBLISHED_NAMES_MAX) {
        struct slice type = record_header(record, SLICE("ce_type"));
        struct slice ce_id = record_header(record, SLICE("ce_id"));
        snprintf(published->names[published->beyond], PUBLISHED_NAME_MAX, "%.*s %.*s", (int)type.len, type.data,
                 (int)ce_id.len, ce_id.data);
    }
    published->beyond++;
}

static bool reaches_back(void *ctx, const struct record *record)
{
    return is_shared(ctx, record);
}

bool published_read(const struct progress_topic *events, const struct commit_position *position, bool is_all,
                    struct published *ret_published)
{
    struct reading reading = {position, ret_published};
    struct topic_reading config = {.kafka = events->kafka,
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
        config.newest = is_all || newest > NEWEST_MAX ? 0 : newest;
        if (!topic_read(&config, &is_enough)) return false;
    }
    return true;
}
