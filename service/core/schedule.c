#include "core/schedule.h"

static const struct slice day_names[] = {
    [MONDAY] = {"Monday", 6}, [TUESDAY] = {"Tuesday", 7},   [WEDNESDAY] = {"Wednesday", 9}, [THURSDAY] = {"Thursday", 8},
    [FRIDAY] = {"Friday", 6}, [SATURDAY] = {"Saturday", 8}, [SUNDAY] = {"Sunday", 6},
};

static const uint8_t working_days[] = {MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY};
static const struct availability_window working_hours = {working_days, sizeof(working_days), 9 * 60, 17 * 60};

enum weekday weekday_parse(struct slice name)
{
    for (enum weekday day = MONDAY; day <= SUNDAY; day++) {
        if (slice_equal(name, day_names[day])) return day;
    }
    return WEEKDAY_NONE;
}

struct slice weekday_name(enum weekday day)
{
    return day_names[day];
}

void violations_add(struct violations *violations, struct arena *arena, struct slice property, struct slice constraint,
                    struct slice message)
{
    if (violations->len >= SCHEDULE_VIOLATIONS_MAX || violations->out_of_memory) return;
    if (violations->len == violations->capacity) {
        size_t capacity = violations->capacity == 0 ? 8 : violations->capacity * 2;
        struct violation *items = arena_calloc(arena, capacity, sizeof(*items));
        if (items == NULL) {
            violations->out_of_memory = true;
            return;
        }
        if (violations->len > 0) memcpy(items, violations->items, violations->len * sizeof(*items));
        violations->items = items;
        violations->capacity = capacity;
    }
    if (property.data == NULL || message.data == NULL) {
        violations->out_of_memory = true;
        return;
    }
    violations->items[violations->len++] = (struct violation){property, constraint, message};
}

/* Everything a check needs to hand on, and where it is: at the body (no list), at a list's item, or at the one object
 * that stands in a list's place (no index). */
struct check {
    const struct time_zones *zones;
    struct arena *arena;
    struct violations *violations;
    struct slice list;
    size_t index;
};

static const size_t NO_INDEX = SIZE_MAX;

static struct slice path_of(const struct check *check, struct slice field)
{
    int list_len = (int)check->list.len;
    int field_len = (int)field.len;
    if (list_len == 0) return field;
    if (check->index == NO_INDEX) {
        return arena_printf(check->arena, "%.*s.%.*s", list_len, check->list.data, field_len, field.data);
    }
    return arena_printf(check->arena, "%.*s.%zu.%.*s", list_len, check->list.data, check->index, field_len, field.data);
}

static void violate(struct check *check, struct slice field, struct slice constraint, struct slice message)
{
    violations_add(check->violations, check->arena, path_of(check, field), constraint, message);
}

/* Whether another violation would be listed. */
static bool can_violate(const struct check *check)
{
    return check->violations->len < SCHEDULE_VIOLATIONS_MAX && !check->violations->out_of_memory;
}

/* The message of a field: "<field> <rest>". */
static void violate_field(struct check *check, struct slice field, struct slice constraint, const char *rest)
{
    violate(check, field, constraint, arena_printf(check->arena, "%.*s %s", (int)field.len, field.data, rest));
}

/* Counts the characters of valid UTF-8: every byte that does not continue one. */
static size_t utf8_length(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static struct slice check_name(struct check *check, const struct input_text *name)
{
    if (name->kind != INPUT_GIVEN) {
        violate_field(check, SLICE("name"), SLICE("isString"), "must be a string");
        return name->text;
    }
    if (memchr(name->text.data, '\0', name->text.len) != NULL) {
        violate_field(check, SLICE("name"), SLICE("matches"), "must not contain the character NUL");
    }
    if (utf8_length(name->text) > SCHEDULE_NAME_MAX) {
        violate_field(check, SLICE("name"), SLICE("maxLength"), "must be shorter than or equal to 255 characters");
    }
    return name->text;
}

static struct slice check_time_zone(struct check *check, const struct input_text *time_zone)
{
    struct slice zone = {NULL, 0};
    if (time_zone->kind == INPUT_GIVEN && check->zones == NULL) return time_zone->text;
    if (time_zone->kind == INPUT_GIVEN) zone = time_zone_find(check->zones, time_zone->text);
    if (zone.data == NULL) {
        violate_field(check, SLICE("timeZone"), SLICE("isTimeZone"), "must be a valid IANA time-zone");
    }
    return zone;
}

static bool check_time(struct check *check, struct slice field, const struct input_text *time, uint16_t *ret_minute)
{
    if (time->kind == INPUT_GIVEN && time_parse(time->text, ret_minute)) return true;
    violate_field(check, field, SLICE("matches"), "must be a valid time format HH:MM");
    if (time->kind != INPUT_GIVEN) violate_field(check, field, SLICE("isString"), "must be a string");
    return false;
}

/* Both times of an item. shortest is the least length in minutes: 1 for a window, 0 for an override. */
static void check_times(struct check *check, const struct input_item *item, int shortest, uint16_t *ret_start,
                        uint16_t *ret_end)
{
    bool start_ok = check_time(check, SLICE("startTime"), &item->start_time, ret_start);
    bool end_ok = check_time(check, SLICE("endTime"), &item->end_time, ret_end);
    if (start_ok && end_ok && *ret_end - *ret_start < shortest) {
        violate_field(check, SLICE("endTime"), SLICE("isAfter"), "must be after startTime");
    }
}

static void check_days(struct check *check, const struct input_days *days)
{
    if (days->kind == INPUT_GIVEN && days->len == 0) {
        violate_field(check, SLICE("days"), SLICE("arrayMinSize"), "must contain at least 1 elements");
    }
    if (!days->all_valid) {
        violate(check, SLICE("days"), SLICE("isIn"),
                SLICE("each value in days must be one of the following values: "
                      "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"));
    }
    if (days->kind != INPUT_GIVEN) violate_field(check, SLICE("days"), SLICE("isArray"), "must be an array");
}

/* A day that is named again means nothing more. */
static void set_days(struct check *check, const struct input_days *days, struct availability_window *window)
{
    uint8_t *different = arena_alloc(check->arena, SCHEDULE_WINDOW_DAYS_MAX);
    unsigned seen = 1U << WEEKDAY_NONE; /* a violation, reported already */
    if (different == NULL) check->violations->out_of_memory = true;
    for (size_t i = 0; i < days->len && different != NULL; i++) {
        if (seen & 1U << days->items[i]) continue;
        seen |= 1U << days->items[i];
        different[window->days_len++] = days->items[i];
    }
    window->days = different;
}

static void check_window(struct check *check, const struct input_item *item, struct availability_window *ret_window)
{
    check_days(check, &item->days);
    set_days(check, &item->days, ret_window);
    check_times(check, item, 1, &ret_window->start_minute, &ret_window->end_minute);
}

static void check_override(struct check *check, const struct input_item *item, struct date_override *ret_override)
{
    if (item->date.kind != INPUT_GIVEN || !date_parse(item->date.text, &ret_override->date)) {
        violate_field(check, SLICE("date"), SLICE("isIso8601"), "must be a valid ISO 8601 date string");
    }
    check_times(check, item, 0, &ret_override->start_minute, &ret_override->end_minute);
}

static struct slice nested_message(struct arena *arena, struct slice field)
{
    return arena_printf(arena, "each value in nested property %.*s must be either object or array", (int)field.len,
                        field.data);
}

/* Checks the list itself; returns how many of its items are to be looked at. */
static size_t check_list(struct check *check, struct slice field, const struct input_list *list, size_t max)
{
    if (list->kind == INPUT_ABSENT) return 0;
    if (list->kind == INPUT_OTHER) {
        violate_field(check, field, SLICE("isArray"), "must be an array");
        if (list->is_object) return 1;
        violate(check, field, SLICE("nestedValidation"), nested_message(check->arena, field));
        return 0;
    }
    if (list->len > max) {
        violate(check, field, SLICE("arrayMaxSize"),
                arena_printf(check->arena, "%.*s must contain no more than %zu elements", (int)field.len, field.data, max));
        return 0;
    }
    return list->len;
}

/* Points the check at item i and says whether it can be looked into; reports when it is not an object. */
static bool enter_item(struct check *check, struct slice field, const struct input_list *list, size_t i)
{
    check->list = field;
    check->index = list->kind == INPUT_GIVEN ? i : NO_INDEX;
    if (list->items[i].is_object) return true;
    violations_add(check->violations, check->arena, arena_printf(check->arena, "%.*s.%zu", (int)field.len, field.data, i),
                   SLICE("nestedValidation"), nested_message(check->arena, field));
    return false;
}

static void check_availability(struct check *check, const struct input_list *list, struct schedule *schedule)
{
    struct slice field = SLICE("availability");
    size_t len = check_list(check, field, list, SCHEDULE_WINDOWS_MAX);
    struct availability_window *windows = arena_calloc(check->arena, len, sizeof(*windows));
    if (windows == NULL) check->violations->out_of_memory = true;
    for (size_t i = 0; i < len && can_violate(check); i++) {
        if (enter_item(check, field, list, i)) check_window(check, &list->items[i], &windows[i]);
    }
    check->list = (struct slice){NULL, 0};
    schedule->windows = list->kind == INPUT_ABSENT ? &working_hours : windows;
    schedule->windows_len = list->kind == INPUT_ABSENT ? 1 : len;
}

static void check_overrides(struct check *check, const struct input_list *list, struct schedule *schedule)
{
    struct slice field = SLICE("overrides");
    size_t len = check_list(check, field, list, SCHEDULE_OVERRIDES_MAX);
    struct date_override *overrides = arena_calloc(check->arena, len, sizeof(*overrides));
    if (overrides == NULL) check->violations->out_of_memory = true;
    for (size_t i = 0; i < len && can_violate(check); i++) {
        if (enter_item(check, field, list, i)) check_override(check, &list->items[i], &overrides[i]);
    }
    check->list = (struct slice){NULL, 0};
    schedule->overrides = overrides;
    schedule->overrides_len = len;
}

struct slice schedule_unserved_field(size_t index)
{
    static const struct slice names[SCHEDULE_UNSERVED_FIELDS] = {SLICE("availabilities"), SLICE("schedule"),
                                                                 SLICE("dateOverrides")};
    return names[index];
}

static void check_unserved(struct check *check, const struct schedule_input *input)
{
    for (size_t i = 0; i < SCHEDULE_UNSERVED_FIELDS; i++) {
        if (!input->has_unserved[i]) continue;
        violate_field(check, schedule_unserved_field(i), SLICE("isServed"),
                      "is of cal-api-version 2024-04-15, which is not served: send availability and overrides");
    }
}

/* The fields that are there. */
static unsigned given_fields(const struct schedule_input *input)
{
    unsigned fields = 0;
    if (input->name.kind != INPUT_ABSENT) fields |= SCHEDULE_NAME;
    if (input->time_zone.kind != INPUT_ABSENT) fields |= SCHEDULE_TIME_ZONE;
    if (input->availability.kind != INPUT_ABSENT) fields |= SCHEDULE_AVAILABILITY;
    if (input->is_default.kind != INPUT_ABSENT) fields |= SCHEDULE_IS_DEFAULT;
    if (input->overrides.kind != INPUT_ABSENT) fields |= SCHEDULE_OVERRIDES;
    return fields;
}

enum status schedule_check(const struct schedule_input *input, enum schedule_use use, const struct time_zones *zones,
                           struct arena *arena, struct schedule *ret_schedule, struct violations *violations)
{
    size_t before = violations->len;
    struct check check = {.zones = zones, .arena = arena, .violations = violations};
    struct schedule schedule = {.fields = use == SCHEDULE_NEW ? (unsigned)SCHEDULE_ALL_FIELDS : given_fields(input)};
    check_unserved(&check, input);
    if (schedule.fields & SCHEDULE_NAME) schedule.name = check_name(&check, &input->name);
    if (schedule.fields & SCHEDULE_TIME_ZONE) schedule.time_zone = check_time_zone(&check, &input->time_zone);
    if (schedule.fields & SCHEDULE_AVAILABILITY) check_availability(&check, &input->availability, &schedule);
    if ((schedule.fields & SCHEDULE_IS_DEFAULT) && input->is_default.kind != INPUT_GIVEN) {
        violate_field(&check, SLICE("isDefault"), SLICE("isBoolean"), "must be a boolean value");
    }
    schedule.is_default = input->is_default.value;
    if (schedule.fields & SCHEDULE_OVERRIDES) check_overrides(&check, &input->overrides, &schedule);
    if (violations->out_of_memory) return arena_failure(arena);
    if (violations->len > before) return STATUS_INVALID;
    *ret_schedule = schedule;
    return STATUS_OK;
}

struct slice name_check(const struct input_text *name, struct arena *arena, struct violations *violations)
{
    return check_name(&(struct check){.arena = arena, .violations = violations}, name);
}

struct slice time_zone_check(const struct input_text *time_zone, const struct time_zones *zones, struct arena *arena,
                             struct violations *violations)
{
    return check_time_zone(&(struct check){.zones = zones, .arena = arena, .violations = violations}, time_zone);
}
