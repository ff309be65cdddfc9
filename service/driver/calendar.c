/* Happy path: a component of libical's is filled with one property for each stretch of time, and its text is copied.
 *
 * Failure modes: libical without memory leaves a property out, and what has not all of them is not answered. */
#include "driver/calendar.h"

#include <stdio.h>
#include <stdlib.h>

#include <libical/ical.h>

enum { UID_SIZE = 32 };

static struct icaltimetype time_of(int64_t instant_s)
{
    return icaltime_from_timet_with_zone((time_t)instant_s, 0, icaltimezone_get_utc_timezone());
}

/* How many properties that is: none of an empty one. */
static int add_stretch(icalcomponent *busy, enum icalparameter_fbtype type, int64_t start_s, int64_t end_s)
{
    const struct icalperiodtype period = {.start = time_of(start_s),
                                          .end = time_of(end_s),
                                          .duration = icaldurationtype_null_duration()};
    if (start_s >= end_s) return 0;
    icalproperty *property = icalproperty_new_freebusy(period);
    if (property != NULL) {
        icalproperty_add_parameter(property, icalparameter_new_fbtype(type));
        icalcomponent_add_property(busy, property);
    }
    return 1;
}

/* Returns the start of the range beyond the limit. */
static int64_t add_hours(icalcomponent *busy, const struct calendar *calendar, struct hours *hours, int64_t start_s,
                         int *ret_count)
{
    struct hours_range range;
    int64_t shown = 0;
    while (hours_next(hours, &range)) {
        if (range.start_s < calendar->cursor_s) continue;
        *ret_count += add_stretch(busy, ICAL_FBTYPE_BUSYUNAVAILABLE, start_s, range.start_s);
        if (shown++ == calendar->limit) return range.start_s;
        *ret_count += add_stretch(busy, ICAL_FBTYPE_FREE, range.start_s, range.end_s);
        start_s = range.end_s;
    }
    *ret_count += add_stretch(busy, ICAL_FBTYPE_BUSYUNAVAILABLE, start_s, calendar->within.end_s);
    return INT64_MAX;
}

static void write_component(struct buf *out, icalcomponent *whole)
{
    char *text = icalcomponent_as_ical_string_r(whole);
    if (text == NULL) buf_fail(out, STATUS_NO_MEMORY);
    else buf_append_slice(out, slice_of(text));
    free(text);
}

int64_t calendar_write(struct buf *out, const struct calendar *calendar, struct hours *hours)
{
    char uid[UID_SIZE];
    int count = 0;
    int64_t start_s = calendar->cursor_s > calendar->within.start_s ? calendar->cursor_s : calendar->within.start_s;
    icalerror_set_errors_are_fatal(0);
    snprintf(uid, sizeof(uid), "schedule-%lld", (long long)calendar->schedule_id);
    icalcomponent *busy = icalcomponent_new(ICAL_VFREEBUSY_COMPONENT);
    icalcomponent *whole = icalcomponent_new(ICAL_VCALENDAR_COMPONENT);
    icalcomponent_add_property(whole, icalproperty_new_version("2.0"));
    icalcomponent_add_property(whole, icalproperty_new_prodid("-//schedule-service//EN"));
    icalcomponent_add_property(busy, icalproperty_new_uid(uid));
    icalcomponent_add_property(busy, icalproperty_new_dtstamp(time_of(calendar->now_s)));
    int64_t next_s = add_hours(busy, calendar, hours, start_s, &count);
    icalcomponent_add_property(busy, icalproperty_new_dtstart(time_of(start_s)));
    icalcomponent_add_property(busy, icalproperty_new_dtend(time_of(next_s == INT64_MAX ? calendar->within.end_s : next_s)));
    icalcomponent_add_component(whole, busy);
    if (icalcomponent_count_properties(busy, ICAL_FREEBUSY_PROPERTY) == count) write_component(out, whole);
    else buf_fail(out, STATUS_NO_MEMORY);
    icalcomponent_free(whole);
    return next_s;
}
