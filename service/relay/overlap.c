#include "relay/overlap.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "core/commit_position.h"

enum { NEWEST_FIRST = 200 /* offsets of each partition */, CAPACITY_FIRST = 256 };

struct reading {
    const struct timeline_history *history;
    uint64_t from_lsn;
    struct overlap *overlap;
    struct error_text *reason;
};

static bool is_from(const struct reading *reading, const struct record *event, uint64_t *ret_lsn)
{
    struct commit_position position;
    if (!commit_position_parse(record_header(event, SLICE(COMMIT_POSITION_HEADER)), &position)) return false;
    *ret_lsn = position.lsn;
    return position.lsn >= reading->from_lsn && position.lsn < timeline_end(reading->history, position.timeline);
}

/* Of the ce_id, which every event of ours has: its value may have been reduced. The same commit may be told on another timeline. */
static uint64_t name_of(const struct record *event, uint64_t lsn)
{
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    struct slice id = record_header(event, SLICE("ce_id"));
    uint64_t name;
    if (id.data == NULL) id = event->value;
    SHA256((const unsigned char *)id.data, id.len, sha256);
    memcpy(&name, sha256, sizeof(name));
    return name ^ lsn;
}

static bool grow(struct overlap *overlap)
{
    size_t capacity = overlap->capacity == 0 ? CAPACITY_FIRST : 2 * overlap->capacity;
    uint64_t *names = reallocarray(overlap->names, capacity, sizeof(*names));
    if (names == NULL) return false;
    overlap->names = names;
    overlap->capacity = capacity;
    return true;
}

static bool on_record(void *ctx, const struct record *record, const struct topic_place *place)
{
    (void)place;
    const struct reading *reading = ctx;
    struct overlap *overlap = reading->overlap;
    uint64_t lsn;
    if (!is_from(reading, record, &lsn)) return true;
    if (overlap->len == overlap->capacity && !grow(overlap)) {
        error_text_set(reading->reason, "out of memory");
        return false;
    }
    overlap->names[overlap->len++] = name_of(record, lsn);
    if (lsn > overlap->last_lsn) overlap->last_lsn = lsn;
    return true;
}

static bool reaches_back(void *ctx, const struct record *record)
{
    const struct reading *reading = ctx;
    uint64_t lsn;
    return !is_from(reading, record, &lsn);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void on_start(void *ctx)
{
    const struct reading *reading = ctx;
    reading->overlap->len = 0;
}

bool overlap_read(const struct topic_source *events, const struct timeline_history *history, uint64_t lsn,
                  struct overlap *overlap)
{
    struct reading reading = {history, lsn, overlap, events->reason};
    struct topic_reading config = {
        .source = events, .on_record = on_record, .reaches_back = reaches_back, .on_start = on_start, .ctx = &reading};
    if (!topic_read_back(&config, NEWEST_FIRST)) return false;
    if (overlap->len > 0) qsort(overlap->names, overlap->len, sizeof(*overlap->names), compare);
    return true;
}

bool overlap_has(const struct overlap *overlap, const struct record *event, uint64_t lsn)
{
    if (overlap->len == 0) return false;
    uint64_t name = name_of(event, lsn);
    return bsearch(&name, overlap->names, overlap->len, sizeof(name), compare) != NULL;
}

void overlap_done(struct overlap *overlap)
{
    free(overlap->names);
    *overlap = (struct overlap){0};
}
