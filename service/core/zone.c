#include "core/zone.h"

#include <stdlib.h>

#include "core/posix_tz.h"

enum { HEADER_LEN = 44, TYPE_LEN = 6, COUNTS = 6, TIMES_MAX = 10000 };

/* Of a header, in its order. */
enum { COUNT_UT, COUNT_STANDARD, COUNT_LEAP, COUNT_TIME, COUNT_TYPE, COUNT_CHAR };

static const int64_t day_s = 86400;

struct block {
    uint32_t counts[COUNTS];
    const uint8_t *times;
    const uint8_t *type_of_time;
    const uint8_t *types;
};

/* ---- bytes ---- */

static uint64_t big_endian(const uint8_t *p, int len)
{
    uint64_t value = 0;
    for (int i = 0; i < len; i++) value = value << 8 | p[i];
    return value;
}

/* Takes a header and the block behind it off the front, whose times are time_len bytes long. */
static bool take_block(struct slice *rest, int time_len, struct block *ret_block)
{
    if (rest->len < HEADER_LEN || memcmp(rest->data, "TZif", 4) != 0 || rest->data[4] < '2') return false;
    const uint8_t *p = (const uint8_t *)rest->data + HEADER_LEN - 4 * COUNTS;
    uint64_t len = HEADER_LEN;
    for (int i = 0; i < COUNTS; i++) ret_block->counts[i] = (uint32_t)big_endian(p + (size_t)i * 4, 4);
    const uint32_t *counts = ret_block->counts;
    uint64_t times_len = (uint64_t)counts[COUNT_TIME] * (uint64_t)time_len;
    len += times_len + counts[COUNT_TIME] + (uint64_t)counts[COUNT_TYPE] * TYPE_LEN + counts[COUNT_CHAR] +
           (uint64_t)counts[COUNT_LEAP] * (uint64_t)(time_len + 4) + counts[COUNT_STANDARD] + counts[COUNT_UT];
    if (len > rest->len) return false;
    ret_block->times = (const uint8_t *)rest->data + HEADER_LEN;
    ret_block->type_of_time = ret_block->times + times_len;
    ret_block->types = ret_block->type_of_time + counts[COUNT_TIME];
    *rest = (struct slice){rest->data + len, rest->len - len};
    return true;
}

/* The text between the two newlines behind the blocks; empty when there is none. */
static struct slice footer_of(struct slice rest)
{
    const char *end = rest.len < 2 || rest.data[0] != '\n' ? NULL : memchr(rest.data + 1, '\n', rest.len - 1);
    return end == NULL ? (struct slice){NULL, 0} : (struct slice){rest.data + 1, (size_t)(end - rest.data - 1)};
}

static bool is_usable(const struct block *block)
{
    const uint32_t *counts = block->counts;
    if (counts[COUNT_LEAP] != 0 || counts[COUNT_TYPE] == 0 || counts[COUNT_TIME] > TIMES_MAX) return false;
    for (uint32_t i = 0; i < counts[COUNT_TIME]; i++) {
        if (block->type_of_time[i] >= counts[COUNT_TYPE]) return false;
        if (i > 0 && (int64_t)big_endian(block->times + (size_t)i * 8, 8) <=
                         (int64_t)big_endian(block->times + (size_t)(i - 1) * 8, 8)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < counts[COUNT_TYPE]; i++) {
        int32_t offset_s = (int32_t)(uint32_t)big_endian(block->types + (size_t)i * TYPE_LEN, 4);
        if (offset_s <= -ZONE_OFFSET_MAX_S || offset_s >= ZONE_OFFSET_MAX_S) return false;
    }
    return true;
}

/* ---- periods ---- */

static int32_t offset_of_type(const struct block *block, uint32_t type)
{
    return (int32_t)(uint32_t)big_endian(block->types + (size_t)type * TYPE_LEN, 4);
}

/* Begins a period. One that begins where the last one does takes its place; one with the same offset continues. */
static void append(struct zone *zone, int64_t start_s, int32_t offset_s)
{
    if (zone->len > 0 && zone->starts_s[zone->len - 1] == start_s) zone->len--;
    if (zone->len > 0 && zone->offsets_s[zone->len - 1] == offset_s) return;
    zone->starts_s[zone->len] = start_s;
    zone->offsets_s[zone->len] = offset_s;
    zone->len++;
}

static void append_table(struct zone *zone, const struct block *block)
{
    append(zone, INT64_MIN, offset_of_type(block, 0));
    for (uint32_t i = 0; i < block->counts[COUNT_TIME]; i++) {
        append(zone, (int64_t)big_endian(block->times + (size_t)i * 8, 8), offset_of_type(block, block->type_of_time[i]));
    }
}

/* The two changes of each year that lie behind the table's last. */
static void append_rule(struct zone *zone, const struct posix_tz *rule, int64_t after_s)
{
    for (int year = ZONE_YEAR_MIN - 1; year <= ZONE_YEAR_MAX + 1; year++) {
        int64_t to_dst_s = posix_tz_change_s(&rule->to_dst, year) - rule->standard_offset_s;
        int64_t to_standard_s = posix_tz_change_s(&rule->to_standard, year) - rule->dst_offset_s;
        bool dst_first = to_dst_s < to_standard_s;
        int64_t first_s = dst_first ? to_dst_s : to_standard_s;
        int64_t second_s = dst_first ? to_standard_s : to_dst_s;
        if (first_s > after_s && first_s >= zone->starts_s[zone->len - 1]) {
            append(zone, first_s, dst_first ? rule->dst_offset_s : rule->standard_offset_s);
        }
        if (second_s > after_s && second_s >= zone->starts_s[zone->len - 1]) {
            append(zone, second_s, dst_first ? rule->standard_offset_s : rule->dst_offset_s);
        }
    }
}

static struct zone *allocate(size_t periods_max)
{
    struct zone *zone = calloc(1, sizeof(*zone));
    if (zone == NULL) return NULL;
    zone->starts_s = calloc(periods_max, sizeof(*zone->starts_s));
    zone->offsets_s = calloc(periods_max, sizeof(*zone->offsets_s));
    if (zone->starts_s != NULL && zone->offsets_s != NULL) return zone;
    zone_free(zone);
    return NULL;
}

/* Gives back what the periods do not need. */
static void shrink(struct zone *zone)
{
    int64_t *starts_s = realloc(zone->starts_s, zone->len * sizeof(*starts_s));
    int32_t *offsets_s = realloc(zone->offsets_s, zone->len * sizeof(*offsets_s));
    if (starts_s != NULL) zone->starts_s = starts_s;
    if (offsets_s != NULL) zone->offsets_s = offsets_s;
}

struct zone *zone_new(struct slice tzif)
{
    const size_t rule_periods_max = (size_t)2 * (ZONE_YEAR_MAX - ZONE_YEAR_MIN + 3);
    struct block block; /* the second one: the first has 32-bit times */
    struct posix_tz rule = {0};
    if (!take_block(&tzif, 4, &block) || !take_block(&tzif, 8, &block) || !is_usable(&block)) return NULL;
    struct slice footer = footer_of(tzif);
    if (footer.len > 0 && !posix_tz_parse(footer, &rule)) return NULL;
    struct zone *zone = allocate(1 + block.counts[COUNT_TIME] + rule_periods_max);
    if (zone == NULL) return NULL;
    append_table(zone, &block);
    uint32_t times = block.counts[COUNT_TIME];
    int64_t after_s = times == 0 ? INT64_MIN : (int64_t)big_endian(block.times + (size_t)(times - 1) * 8, 8);
    if (rule.has_dst) append_rule(zone, &rule, after_s);
    shrink(zone);
    return zone;
}

void zone_free(struct zone *zone)
{
    if (zone == NULL) return;
    free(zone->starts_s);
    free(zone->offsets_s);
    free(zone);
}

/* ---- look-ups ---- */

size_t zone_period_at(const struct zone *zone, int64_t instant_s)
{
    size_t low = 0;
    size_t high = zone->len;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->starts_s[middle] <= instant_s) low = middle;
        else high = middle;
    }
    return low;
}

int64_t zone_period_end_s(const struct zone *zone, size_t period)
{
    return period + 1 < zone->len ? zone->starts_s[period + 1] : INT64_MAX;
}

int64_t zone_day_start_s(const struct zone *zone, int32_t day)
{
    int64_t local_s = day * day_s;
    size_t period = zone_period_at(zone, local_s - ZONE_OFFSET_MAX_S);
    while (local_s - zone->offsets_s[period] >= zone_period_end_s(zone, period)) period++;
    int64_t start_s = local_s - zone->offsets_s[period];
    return start_s > zone->starts_s[period] ? start_s : zone->starts_s[period];
}
