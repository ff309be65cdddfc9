#include "relay/overlap.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "relay/topic_reader.h"

/* Offsets of each partition that are tried first, and then so many times as many. */
enum { NEWEST_FIRST = 200, NEWEST_FACTOR = 8, CAPACITY_FIRST = 256 };

static const int64_t NEWEST_MAX = INT64_C(1) << 60;

struct reading {
    const struct commit_position *from;
    struct overlap *overlap;
    struct error_text *reason;
};

static bool is_from(const struct record *event, const struct commit_position *from, uint64_t *ret_lsn)
{
    struct commit_position position;
    if (!commit_position_parse(record_header(event, SLICE(COMMIT_POSITION_HEADER)), &position)) return false;
    *ret_lsn = position.lsn;
    return position.timeline == from->timeline && position.lsn >= from->lsn;
}

static uint64_t name_of(const struct record *event)
{
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    unsigned char text[SHA256_DIGEST_LENGTH + COMMIT_POSITION_TEXT_MAX];
    struct slice id = record_header(event, SLICE("ce_id"));
    struct slice position = record_header(event, SLICE(COMMIT_POSITION_HEADER));
    size_t position_len = position.len < COMMIT_POSITION_TEXT_MAX ? position.len : COMMIT_POSITION_TEXT_MAX;
    uint64_t name;
    SHA256((const unsigned char *)id.data, id.len, text);
    memcpy(text + SHA256_DIGEST_LENGTH, position.data, position_len);
    SHA256(text, SHA256_DIGEST_LENGTH + position_len, sha256);
    memcpy(&name, sha256, sizeof(name));
    return name;
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
    if (!is_from(record, reading->from, &lsn)) return true;
    if (overlap->len == overlap->capacity && !grow(overlap)) {
        error_text_set(reading->reason, "out of memory");
        return false;
    }
    overlap->names[overlap->len++] = name_of(record);
    if (lsn > overlap->last_lsn) overlap->last_lsn = lsn;
    return true;
}

static bool reaches_back(void *ctx, const struct record *record)
{
    const struct reading *reading = ctx;
    uint64_t lsn;
    return !is_from(record, reading->from, &lsn);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool overlap_read(const struct progress_topic *events, const struct commit_position *from, struct overlap *overlap)
{
    struct reading reading = {from, overlap, events->reason};
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
        overlap->len = 0;
        config.newest = newest > NEWEST_MAX ? 0 : newest;
        if (!topic_read(&config, &is_enough)) return false;
    }
    if (overlap->len > 0) qsort(overlap->names, overlap->len, sizeof(*overlap->names), compare);
    return true;
}

bool overlap_has(const struct overlap *overlap, const struct record *event)
{
    if (overlap->len == 0) return false;
    uint64_t name = name_of(event);
    return bsearch(&name, overlap->names, overlap->len, sizeof(name), compare) != NULL;
}

void overlap_done(struct overlap *overlap)
{
    free(overlap->names);
    *overlap = (struct overlap){0};
}
