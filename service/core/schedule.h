/* The schedule and its rules. A sender's words (struct schedule_input, of any shape) go in; a schedule comes out, or the
 * complete list of what is wrong with it. HTTP and Kafka both use this one function, so the same body gets the same verdict.
 * Pure: no I/O, no clock, no log. Property paths, constraint keys and messages are the HTTP contract's. */
#ifndef CORE_SCHEDULE_H
#define CORE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/civil.h"
#include "core/slice.h"
#include "core/status.h"
#include "core/time_zone.h"

enum {
    SCHEDULE_NAME_MAX = 255, /* Unicode characters */
    SCHEDULE_WINDOWS_MAX = 100,
    SCHEDULE_OVERRIDES_MAX = 1000,
    SCHEDULE_WINDOW_DAYS_MAX = 7,
    SCHEDULE_VIOLATIONS_MAX = 100 /* further ones of the same body are not listed */
};

/* ISO 8601 numbers. */
enum weekday { WEEKDAY_NONE, MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY };

/* "Monday" ... "Sunday", case-sensitive; WEEKDAY_NONE for anything else. */
enum weekday weekday_parse(struct slice name);
struct slice weekday_name(enum weekday day);

struct availability_window {
    const uint8_t *days;   /* enum weekday, each once, in the order they were sent */
    size_t days_len;       /* at most SCHEDULE_WINDOW_DAYS_MAX */
    uint16_t start_minute; /* of the day */
    uint16_t end_minute;   /* later than start_minute */
};

struct date_override {
    struct date date;
    uint16_t start_minute;
    uint16_t end_minute; /* not before start_minute; equal means the day is unavailable */
};

/* The fields that a sender may set. */
enum schedule_field {
    SCHEDULE_NAME = 1,
    SCHEDULE_TIME_ZONE = 2,
    SCHEDULE_AVAILABILITY = 4,
    SCHEDULE_IS_DEFAULT = 8,
    SCHEDULE_OVERRIDES = 16,
    SCHEDULE_ALL_FIELDS = 31
};

/* A whole schedule, or the part of one that a change sets. All parts live in the arena they were made from (time_zone: in the
 * zone table). */
struct schedule {
    unsigned fields; /* bits of enum schedule_field: which are set */
    struct slice name;
    struct slice time_zone; /* IANA spelling */
    bool is_default;
    const struct availability_window *windows;
    size_t windows_len;
    const struct date_override *overrides;
    size_t overrides_len;
};

/* ---- what a sender said, before any rule ---- */

/* OTHER is any value of a type the field does not have. JSON null counts as ABSENT, but for name and time zone, which a change
 * cannot take away: there it is OTHER. */
enum input_kind { INPUT_ABSENT, INPUT_GIVEN, INPUT_OTHER };

struct input_text {
    enum input_kind kind;
    struct slice text; /* valid UTF-8 when GIVEN */
};

/* A number that a sender gave. */
struct input_id {
    int64_t value; /* 0 when it is absent */
    bool is_usable;
};

struct input_bool {
    enum input_kind kind;
    bool value;
};

/* GIVEN: a list. OTHER with is_object: one object where a list belongs, held as the only item; its own faults are reported too. */
struct input_days {
    enum input_kind kind;
    bool all_valid;       /* each item is a weekday's name, or what stands in place of a list is */
    const uint8_t *items; /* enum weekday */
    size_t len;
};

/* An item of availability (days) or of overrides (date). is_object false: the item is no object, the rest is unset. */
struct input_item {
    bool is_object;
    struct input_days days;
    struct input_text date;
    struct input_text start_time;
    struct input_text end_time;
};

struct input_list {
    enum input_kind kind;
    bool is_object;
    const struct input_item *items;
    size_t len; /* how many were sent; items holds at most the list's maximum of them */
};

/* The fields of the body of cal-api-version 2024-04-15, which is not served. Its hours are in them: whoever sends one would get other hours. */
enum { SCHEDULE_UNSERVED_FIELDS = 3 };
struct slice schedule_unserved_field(size_t index);

struct schedule_input {
    bool has_unserved[SCHEDULE_UNSERVED_FIELDS];
    struct input_text name;
    struct input_text time_zone;
    struct input_bool is_default;
    struct input_list availability; /* ABSENT: Monday to Friday 09:00 to 17:00 */
    struct input_list overrides;    /* ABSENT: none */
};

/* ---- the verdict ---- */

struct violation {
    struct slice property;   /* path from the body: "name", "availability.0.startTime" */
    struct slice constraint; /* the key: "isString" */
    struct slice message;
};

/* In the contract's order: fields as declared, constraints of one field in reverse order of declaration. */
struct violations {
    struct violation *items;
    size_t len;
    size_t capacity;
    bool out_of_memory;
};

/* Appends one; the text is borrowed for as long as the list lives. */
void violations_add(struct violations *violations, struct arena *arena, struct slice property, struct slice constraint,
                    struct slice message);

/* The rules of a name and of a time zone, wherever one stands at the top of a body. Return the text, the zone in its IANA
 * spelling; it is of use only when no violation was added. */
struct slice name_check(const struct input_text *name, struct arena *arena, struct violations *violations);
struct slice time_zone_check(const struct input_text *time_zone, const struct time_zones *zones, struct arena *arena,
                             struct violations *violations);

/* Whether all fields that have no default must be there, or only those that are there count. */
enum schedule_use { SCHEDULE_NEW, SCHEDULE_CHANGE };

/* Checks what was sent. STATUS_OK sets *ret_schedule; STATUS_INVALID leaves at least one violation in *violations
 * (which may hold earlier ones of the caller; they alone do not make it invalid); STATUS_TOO_LARGE when the arena is full; STATUS_NO_MEMORY.
 * The input is borrowed; the schedule's text is the input's own, not a copy. Without zones any name of one is taken as it is: for
 * what was checked before. */
enum status schedule_check(const struct schedule_input *input, enum schedule_use use, const struct time_zones *zones,
                           struct arena *arena, struct schedule *ret_schedule, struct violations *violations);

/* A schedule that is stored. */
struct stored_schedule {
    int64_t id;
    int64_t owner_id;
    int64_t org_id;  /* 0: none */
    int64_t version; /* 1 when created, one more with each change */
    struct schedule schedule;
};

#endif
