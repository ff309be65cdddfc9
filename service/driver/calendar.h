/* Hours as an iCalendar object (RFC 5545), made with libical. */
#ifndef DRIVER_CALENDAR_H
#define DRIVER_CALENDAR_H

#include "core/buf.h"
#include "core/hours.h"

/* What is written, and of which schedule. */
struct calendar {
    int64_t schedule_id;
    struct hours_range within;
    int64_t cursor_s; /* what starts before it is left out */
    int64_t limit;    /* at most so many ranges */
    int64_t now_s;
};

/* Appends a VCALENDAR with one VFREEBUSY: FREE where there are hours, BUSY-UNAVAILABLE in between, from the cursor to the end, or to the first range beyond the
 * limit, whose start it returns; INT64_MAX: there is none. The walk begins at the start of `within` and is used up. */
int64_t calendar_write(struct buf *out, const struct calendar *calendar, struct hours *hours);

#endif
