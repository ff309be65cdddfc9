/* The hours of several people together: the ranges in which enough of each group have theirs, by one sweep over everybody's ranges; and
 * slots, which count a person only where they lie whole inside of one range of that person. Pure. */
#ifndef CORE_COMBINE_H
#define CORE_COMBINE_H

#include "core/slots.h"

enum { COMBINE_PEOPLE_MAX = 100, COMBINE_GROUPS_MAX = 32 };

/* Somebody and their hours. */
struct combine_person {
    const struct hours_plan *plan;
    const struct zone *zone;
    uint32_t groups; /* bit n: is in group n */
};

/* What is enough: so many of each group, at least 1. "All" and "any" are one group of everybody. */
struct combine_rule {
    size_t groups_len;
    uint32_t at_least[COMBINE_GROUPS_MAX];
};

/* One person's part of the sweep. */
struct combine_walk {
    struct hours hours;
    struct hours_range range; /* the one they are in, or their next one; starts at INT64_MAX: none */
    bool is_free;             /* in it; of slots: has the whole one that was looked at last */
    struct hours slot_hours;
    struct slots slots;
    int64_t slot_s; /* where their next slot begins; INT64_MAX: none */
};

struct combine {
    const struct combine_person *people;
    size_t len;
    const struct combine_rule *rule;
    const struct slots_rule *slots; /* NULL: ranges */
    struct hours_range within;
    int64_t from_s;
    struct combine_walk *walks; /* of each person */
    size_t begun;               /* so many walks have */
    uint32_t counts[COMBINE_GROUPS_MAX];
    size_t unmet;       /* groups that have not enough */
    int64_t met_from_s; /* since when all have */
};

/* Sweeps over `within`, which lies within the years of zone.h; what starts before from_s is left out, where the rest begins does not depend on it. All is
 * borrowed; there are walks for each person, and at most COMBINE_PEOPLE_MAX people. */
void combine_start(struct combine *combine, const struct combine_person *people, size_t len, const struct combine_rule *rule,
                   const struct slots_rule *slots, struct hours_range within, int64_t from_s, struct combine_walk *walks);

enum combine_progress { COMBINE_MORE, COMBINE_FOUND, COMBINE_END };

/* A small piece of the work, so that a caller may do others' in between: COMBINE_FOUND sets the next range or slot, in ascending order of starts;
 * COMBINE_MORE, there may be another one. Slots begin where those of any one of the people do. */
enum combine_progress combine_step(struct combine *combine, struct hours_range *ret_range);

/* Whether a person has the whole slot that was found last. */
bool combine_is_free(const struct combine *combine, size_t person);

#endif
