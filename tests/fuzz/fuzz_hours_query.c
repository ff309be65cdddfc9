/* The target of a question about hours: what is read keeps every limit, and its answer is bounded by what was asked for. */
#include "core/time_zone.h"
#include "fuzz.h"
#include "api/http_hours_query.h"
#include "api/http_query.h"

static struct zone utc = {1, (int64_t[]){INT64_MIN}, (int32_t[]){0}};

static void check(const struct hours_query *query)
{
    struct hours_range range = hours_query_range(query, &utc);
    MUST(range.start_s < range.end_s && range.end_s - range.start_s <= HOURS_DAYS_MAX * 86400);
    MUST(query->limit >= 1 && query->limit <= HOURS_RANGES_MAX);
    if (query->has_slots) MUST(query->slots.duration_s >= 60 && query->slots.step_s >= 60 && query->slots.step_s <= 86400);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct time_zones *names = time_zones_new(SLICE(FUZZ_ZONES));
    struct arena *arena = arena_new(1 << 20);
    struct hours_query query;
    struct violations violations = {0};
    struct slice target = slice_of_input(data, size);
    if (names != NULL && arena != NULL) {
        enum status status = hours_query_read(target, NULL, names, arena, &query, &violations);
        MUST((status == STATUS_INVALID) == (violations.len > 0) || status == STATUS_NO_MEMORY);
        if (status == STATUS_OK) check(&query);
        MUST(query_without(target, SLICE("cursor"), arena).len <= target.len);
    }
    arena_free(arena);
    time_zones_free(names);
    return 0;
}
