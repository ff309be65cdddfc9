#include "relay/progress.h"

struct reading {
    struct slice key;
    struct progress progress; /* the newest record of the key: what it says, */
    struct topic_place place; /* and where it was */
    int64_t highest_id;       /* of all keys */
};

/* Within a partition the later record counts. A key is in two only if partitions were added; then time decides. */
static bool on_record(void *ctx, const struct record *record, const struct topic_place *place)
{
    struct reading *reading = ctx;
    struct progress progress;
    if (!progress_decode(record, &progress)) return true;
    if (progress.highest_id > reading->highest_id) reading->highest_id = progress.highest_id;
    if (!slice_equal(record->key, reading->key)) return true;
    if (place->partition != reading->place.partition && place->timestamp_ms < reading->place.timestamp_ms) return true;
    reading->progress = progress;
    reading->place = *place;
    return true;
}

bool progress_read(const struct topic_source *topic, const char *key, bool is_passing, struct progress *ret_progress)
{
    struct reading reading = {.key = slice_of(key)};
    const struct topic_reading config = {.source = topic,
                                         .stops_at_open = is_passing,
                                         .on_record = on_record,
                                         .ctx = &reading};
    bool is_enough;
    if (!topic_read(&config, &is_enough)) return false;
    *ret_progress = reading.progress;
    ret_progress->highest_id = reading.highest_id;
    return true;
}
