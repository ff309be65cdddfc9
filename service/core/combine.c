#include "core/combine.h"

void combine_start(struct combine *combine, const struct combine_person *people, size_t len, const struct combine_rule *rule,
                   const struct slots_rule *slots, struct hours_range within, int64_t from_s, struct combine_walk *walks)
{
    *combine = (struct combine){
        .people = people,
        .len = len,
        .rule = rule,
        .slots = slots,
        .within = within,
        .from_s = from_s,
        .walks = walks,
        .unmet = rule->groups_len,
    };
}

/* ---- one person ---- */

static void next_range(struct combine_walk *walk)
{
    if (!hours_next(&walk->hours, &walk->range)) walk->range = (struct hours_range){INT64_MAX, INT64_MAX};
}

static void next_slot(struct combine_walk *walk)
{
    struct hours_range slot;
    walk->slot_s = slots_next(&walk->slots, &slot) ? slot.start_s : INT64_MAX;
}

static void begin_walk(struct combine *combine, size_t index)
{
    const struct combine_person *person = &combine->people[index];
    struct combine_walk *walk = &combine->walks[index];
    const struct hours_range *within = &combine->within;
    *walk = (struct combine_walk){.slot_s = INT64_MAX};
    hours_start(&walk->hours, person->plan, person->zone, within->start_s, within->end_s);
    next_range(walk);
    if (combine->slots == NULL) return;
    hours_start(&walk->slot_hours, person->plan, person->zone, within->start_s, within->end_s);
    slots_start(&walk->slots, &walk->slot_hours, combine->slots, combine->from_s);
    next_slot(walk);
}

/* ---- all of them; what follows looks at each, and they are at most COMBINE_PEOPLE_MAX ---- */

static void set_free(struct combine *combine, size_t index, bool is_free)
{
    combine->walks[index].is_free = is_free;
    for (uint32_t groups = combine->people[index].groups; groups != 0; groups &= groups - 1) {
        int group = __builtin_ctz(groups);
        uint32_t enough = combine->rule->at_least[group];
        if (is_free && ++combine->counts[group] == enough) combine->unmet--;
        if (!is_free && combine->counts[group]-- == enough) combine->unmet++;
    }
}

/* Where the person's range begins, or ends if they are in it. */
static int64_t event_of(const struct combine_walk *walk)
{
    return walk->is_free ? walk->range.end_s : walk->range.start_s;
}

/* All that happens at the next instant at which something does, so that one who comes when another goes leaves no gap. */
static enum combine_progress step_ranges(struct combine *combine, struct hours_range *ret_range)
{
    int64_t now_s = INT64_MAX;
    bool was_met = combine->unmet == 0;
    for (size_t i = 0; i < combine->len; i++) {
        if (event_of(&combine->walks[i]) < now_s) now_s = event_of(&combine->walks[i]);
    }
    if (now_s == INT64_MAX) return COMBINE_END;
    for (size_t i = 0; i < combine->len; i++) {
        struct combine_walk *walk = &combine->walks[i];
        if (event_of(walk) != now_s) continue;
        set_free(combine, i, !walk->is_free);
        if (!walk->is_free) next_range(walk);
    }
    if (!was_met && combine->unmet == 0) combine->met_from_s = now_s;
    if (!was_met || combine->unmet == 0 || combine->met_from_s < combine->from_s) return COMBINE_MORE;
    *ret_range = (struct hours_range){combine->met_from_s, now_s};
    return COMBINE_FOUND;
}

static bool has_slot(struct combine_walk *walk, const struct hours_range *slot)
{
    while (walk->range.end_s < slot->end_s) next_range(walk);
    return walk->range.start_s <= slot->start_s;
}

static enum combine_progress step_slots(struct combine *combine, struct hours_range *ret_slot)
{
    int64_t start_s = INT64_MAX;
    for (size_t i = 0; i < combine->len; i++) {
        if (combine->walks[i].slot_s < start_s) start_s = combine->walks[i].slot_s;
    }
    if (start_s == INT64_MAX) return COMBINE_END;
    const struct hours_range slot = {start_s, start_s + combine->slots->duration_s};
    for (size_t i = 0; i < combine->len; i++) {
        struct combine_walk *walk = &combine->walks[i];
        bool is_free = has_slot(walk, &slot);
        if (walk->is_free != is_free) set_free(combine, i, is_free);
        if (walk->slot_s == start_s) next_slot(walk);
    }
    if (combine->unmet > 0) return COMBINE_MORE;
    *ret_slot = slot;
    return COMBINE_FOUND;
}

enum combine_progress combine_step(struct combine *combine, struct hours_range *ret_range)
{
    if (combine->begun < combine->len) {
        begin_walk(combine, combine->begun++);
        return COMBINE_MORE;
    }
    return (combine->slots == NULL ? step_ranges : step_slots)(combine, ret_range);
}

bool combine_is_free(const struct combine *combine, size_t person)
{
    return combine->walks[person].is_free;
}
