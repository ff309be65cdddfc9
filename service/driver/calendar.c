/* Happy path: a component of libical's is filled with one property for each stretch of time, and its text is copied.
 *
 * Failure modes: libical without memory leaves a property out, and what has not all of them is not answered. */
#include "driver/calendar.h"

#include <stdbool.h>
#include <stdlib.h>

#include <libical/ical.h>

struct calendar {
    icalcomponent *whole;
    icalcomponent *busy; /* the VFREEBUSY that is written */
    int64_t now_s;
    int64_t at_s; /* it is written up to here */
    int count;    /* of its stretches */
    bool failed;
};

static struct icaltimetype time_of(int64_t instant_s)
{
    return icaltime_from_timet_with_zone((time_t)instant_s, 0, icaltimezone_get_utc_timezone());
}

struct calendar *calendar_new(int64_t now_s)
{
    struct calendar *calendar = calloc(1, sizeof(*calendar));
    if (calendar == NULL) return NULL;
    icalerror_set_errors_are_fatal(0);
    calendar->now_s = now_s;
    calendar->whole = icalcomponent_new(ICAL_VCALENDAR_COMPONENT);
    if (calendar->whole == NULL) {
        free(calendar);
        return NULL;
    }
    icalcomponent_add_property(calendar->whole, icalproperty_new_version("2.0"));
    icalcomponent_add_property(calendar->whole, icalproperty_new_prodid("-//schedule-service//EN"));
    return calendar;
}

void calendar_free(struct calendar *calendar)
{
    if (calendar == NULL) return;
    icalcomponent_free(calendar->whole);
    free(calendar);
}

void calendar_begin(struct calendar *calendar, const char *uid, int64_t start_s)
{
    calendar->busy = icalcomponent_new(ICAL_VFREEBUSY_COMPONENT);
    calendar->at_s = start_s;
    calendar->count = 0;
    if (calendar->busy == NULL) {
        calendar->failed = true;
        return;
    }
    icalcomponent_add_component(calendar->whole, calendar->busy);
    icalcomponent_add_property(calendar->busy, icalproperty_new_uid(uid));
    icalcomponent_add_property(calendar->busy, icalproperty_new_dtstamp(time_of(calendar->now_s)));
    icalcomponent_add_property(calendar->busy, icalproperty_new_dtstart(time_of(start_s)));
}

/* None of an empty one. */
static void add_stretch(struct calendar *calendar, enum icalparameter_fbtype type, int64_t end_s)
{
    const struct icalperiodtype period = {.start = time_of(calendar->at_s),
                                          .end = time_of(end_s),
                                          .duration = icaldurationtype_null_duration()};
    if (calendar->at_s >= end_s) return;
    icalproperty *property = calendar->busy == NULL ? NULL : icalproperty_new_freebusy(period);
    if (property != NULL) {
        icalproperty_add_parameter(property, icalparameter_new_fbtype(type));
        icalcomponent_add_property(calendar->busy, property);
    }
    calendar->count++;
    calendar->at_s = end_s;
}

void calendar_add_free(struct calendar *calendar, int64_t start_s, int64_t end_s)
{
    add_stretch(calendar, ICAL_FBTYPE_BUSYUNAVAILABLE, start_s);
    add_stretch(calendar, ICAL_FBTYPE_FREE, end_s);
}

void calendar_end(struct calendar *calendar, int64_t end_s)
{
    add_stretch(calendar, ICAL_FBTYPE_BUSYUNAVAILABLE, end_s);
    if (calendar->busy == NULL) return;
    icalcomponent_add_property(calendar->busy, icalproperty_new_dtend(time_of(end_s)));
    if (icalcomponent_count_properties(calendar->busy, ICAL_FREEBUSY_PROPERTY) != calendar->count) calendar->failed = true;
}

void calendar_write(struct buf *out, const struct calendar *calendar)
{
    char *text = calendar->failed ? NULL : icalcomponent_as_ical_string_r(calendar->whole);
    if (text == NULL) buf_fail(out, STATUS_NO_MEMORY);
    else buf_append_slice(out, slice_of(text));
    free(text);
}
