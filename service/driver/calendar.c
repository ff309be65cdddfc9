/* Happy path: a component of libical's is filled with one property for each stretch of time, and its text is copied. libical is loaded for the
 * first one: with ICU behind it, it takes 3 MiB, which who asks for no calendar does without.
 *
 * Failure modes: libical is not installed, which is logged; without memory it leaves a property out, and what has not all of them is not
 * answered. */
#include "driver/calendar.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>

#include <libical/ical.h>

#include "driver/log.h"

#define LIBICAL(X)                    \
    X(icalcomponent_add_component)    \
    X(icalcomponent_add_property)     \
    X(icalcomponent_as_ical_string_r) \
    X(icalcomponent_count_properties) \
    X(icalcomponent_free)             \
    X(icalcomponent_new)              \
    X(icaldurationtype_null_duration) \
    X(icalerror_set_errors_are_fatal) \
    X(icalparameter_new_fbtype)       \
    X(icalproperty_add_parameter)     \
    X(icalproperty_new_dtend)         \
    X(icalproperty_new_dtstamp)       \
    X(icalproperty_new_dtstart)       \
    X(icalproperty_new_freebusy)      \
    X(icalproperty_new_prodid)        \
    X(icalproperty_new_uid)           \
    X(icalproperty_new_version)       \
    X(icaltime_from_timet_with_zone)  \
    X(icaltimezone_get_utc_timezone)

static struct {
#define POINTER(name) __typeof__(name) *(name);
    LIBICAL(POINTER)
#undef POINTER
} library;

struct calendar {
    icalcomponent *whole;
    icalcomponent *busy; /* the VFREEBUSY that is written */
    int64_t now_s;
    int64_t at_s; /* it is written up to here */
    int count;    /* of its stretches */
    bool failed;
};

static bool load_library(void)
{
    static bool is_loaded;
    if (is_loaded) return true;
    void *handle = dlopen("libical.so.3", RTLD_NOW | RTLD_LOCAL);
    is_loaded = handle != NULL;
#define LOOK_UP(name) is_loaded = is_loaded && (*(void **)&library.name = dlsym(handle, #name)) != NULL;
    LIBICAL(LOOK_UP)
#undef LOOK_UP
    if (!is_loaded) LOG_ERROR("no calendars: libical cannot be loaded", LOG_STR("reason", dlerror()));
    return is_loaded;
}

static struct icaltimetype time_of(int64_t instant_s)
{
    return library.icaltime_from_timet_with_zone((time_t)instant_s, 0, library.icaltimezone_get_utc_timezone());
}

struct calendar *calendar_new(int64_t now_s)
{
    struct calendar *calendar = load_library() ? calloc(1, sizeof(*calendar)) : NULL;
    if (calendar == NULL) return NULL;
    library.icalerror_set_errors_are_fatal(0);
    calendar->now_s = now_s;
    calendar->whole = library.icalcomponent_new(ICAL_VCALENDAR_COMPONENT);
    if (calendar->whole == NULL) {
        free(calendar);
        return NULL;
    }
    library.icalcomponent_add_property(calendar->whole, library.icalproperty_new_version("2.0"));
    library.icalcomponent_add_property(calendar->whole, library.icalproperty_new_prodid("-//schedule-service//EN"));
    return calendar;
}

void calendar_free(struct calendar *calendar)
{
    if (calendar == NULL) return;
    library.icalcomponent_free(calendar->whole);
    free(calendar);
}

void calendar_begin(struct calendar *calendar, const char *uid, int64_t start_s)
{
    calendar->busy = library.icalcomponent_new(ICAL_VFREEBUSY_COMPONENT);
    calendar->at_s = start_s;
    calendar->count = 0;
    if (calendar->busy == NULL) {
        calendar->failed = true;
        return;
    }
    library.icalcomponent_add_component(calendar->whole, calendar->busy);
    library.icalcomponent_add_property(calendar->busy, library.icalproperty_new_uid(uid));
    library.icalcomponent_add_property(calendar->busy, library.icalproperty_new_dtstamp(time_of(calendar->now_s)));
    library.icalcomponent_add_property(calendar->busy, library.icalproperty_new_dtstart(time_of(start_s)));
}

/* None of an empty one. */
static void add_stretch(struct calendar *calendar, enum icalparameter_fbtype type, int64_t end_s)
{
    const struct icalperiodtype period = {.start = time_of(calendar->at_s),
                                          .end = time_of(end_s),
                                          .duration = library.icaldurationtype_null_duration()};
    if (calendar->at_s >= end_s) return;
    icalproperty *property = calendar->busy == NULL ? NULL : library.icalproperty_new_freebusy(period);
    if (property != NULL) {
        library.icalproperty_add_parameter(property, library.icalparameter_new_fbtype(type));
        library.icalcomponent_add_property(calendar->busy, property);
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
    library.icalcomponent_add_property(calendar->busy, library.icalproperty_new_dtend(time_of(end_s)));
    if (library.icalcomponent_count_properties(calendar->busy, ICAL_FREEBUSY_PROPERTY) != calendar->count)
        calendar->failed = true;
}

void calendar_write(struct buf *out, const struct calendar *calendar)
{
    char *text = calendar->failed ? NULL : library.icalcomponent_as_ical_string_r(calendar->whole);
    if (text == NULL) buf_fail(out, STATUS_NO_MEMORY);
    else buf_append_slice(out, slice_of(text));
    free(text);
}
