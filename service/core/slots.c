#include "core/slots.h"

enum { DAY_S = 86400 };

void slots_start(struct slots *slots, struct hours *hours, const struct slots_rule *rule, int64_t from_s)
{
    *slots = (struct slots){.hours = hours, .rule = *rule, .from_s = from_s};
}

/* Where the first slot of the range that counts may begin. */
static int64_t first_of_range(const struct slots *slots)
{
    int64_t start_s = slots->range.start_s;
    int64_t step_s = slots->rule.step_s;
    if (start_s >= slots->from_s) return start_s;
    if (slots->rule.align == SLOTS_ALIGN_CLOCK) return slots->from_s;
    return start_s + (slots->from_s - start_s + step_s - 1) / step_s * step_s;
}

/* The first instant from this one on at which a slot may begin. */
static int64_t align(const struct slots *slots, int64_t instant_s)
{
    const struct zone *zone = slots->hours->zone;
    if (slots->rule.align == SLOTS_ALIGN_RANGE) return instant_s;
    for (size_t period = zone_period_at(zone, instant_s);; period++) {
        int64_t since_midnight_s = ((instant_s + zone->offsets_s[period]) % DAY_S + DAY_S) % DAY_S;
        int64_t over_s = since_midnight_s % slots->rule.step_s;
        int64_t to_midnight_s = DAY_S - since_midnight_s;
        int64_t wait_s = over_s == 0 ? 0 : slots->rule.step_s - over_s;
        int64_t aligned_s = instant_s + (wait_s < to_midnight_s ? wait_s : to_midnight_s);
        int64_t end_s = zone_period_end_s(zone, period);
        if (aligned_s < end_s) return aligned_s;
        instant_s = end_s;
    }
}

bool slots_next(struct slots *slots, struct hours_range *ret_slot)
{
    for (;;) {
        if (slots->range.start_s < slots->range.end_s) {
            int64_t start_s = align(slots, slots->next_s);
            if (start_s + slots->rule.duration_s <= slots->range.end_s) {
                *ret_slot = (struct hours_range){start_s, start_s + slots->rule.duration_s};
                slots->next_s = start_s + (slots->rule.align == SLOTS_ALIGN_CLOCK ? 1 : slots->rule.step_s);
                return true;
            }
        }
        if (!hours_next(slots->hours, &slots->range)) return false;
        slots->next_s = first_of_range(slots);
    }
}
