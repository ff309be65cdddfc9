/* Slots: stretches of one length that lie whole inside of a range of hours. Pure. */
#ifndef CORE_SLOTS_H
#define CORE_SLOTS_H

#include "core/hours.h"

/* Where slots begin. */
enum slots_align {
    SLOTS_ALIGN_RANGE, /* with their range, and every step after that */
    SLOTS_ALIGN_CLOCK  /* when a clock in the schedule's zone reads a multiple of the step since midnight */
};

struct slots_rule {
    int32_t duration_s; /* more than 0 */
    int32_t step_s;     /* the same */
    enum slots_align align;
};

/* A walk over the slots of a walk over hours, which it uses up. */
struct slots {
    struct hours *hours;
    struct slots_rule rule;
    int64_t from_s;
    struct hours_range range; /* the one whose slots come; empty: none yet */
    int64_t next_s;           /* where the next slot may begin */
};

/* Slots that begin before from_s are left out; where the others begin does not depend on it. INT64_MIN: none are. */
void slots_start(struct slots *slots, struct hours *hours, const struct slots_rule *rule, int64_t from_s);

/* The next slot, in ascending order of starts; false: there is none. A step from the start of a range is of
 * elapsed time; what a clock reads may be skipped or come twice. */
bool slots_next(struct slots *slots, struct hours_range *ret_slot);

#endif
