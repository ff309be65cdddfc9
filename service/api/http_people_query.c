#include "api/http_people_query.h"

#include <inttypes.h>

#include "api/http_path.h"
#include "api/http_query.h"
#include "codec/json_text.h"
#include "core/instant.h"

/* The reading of one body. */
struct reading {
    const json_t *body;
    struct arena *arena;
    struct violations *violations;
};

static void refuse(struct reading *reading, struct slice property, const char *constraint, struct slice message)
{
    violations_add(reading->violations, reading->arena, property, slice_of(constraint), message);
}

/* A member that is not null. */
static const json_t *member_of(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    return json_is_null(member) ? NULL : member;
}

/* An integer from 1 to most; else 0, and the violation. */
static int64_t read_integer(struct reading *reading, const json_t *value, struct slice property, int64_t most)
{
    int64_t number;
    if (json_integer_read(value, &number) && number >= 1 && number <= most) return number;
    refuse(reading, property, "isInt",
           most == INT64_MAX
               ? arena_printf(reading->arena, "%s must be a positive integer", property.data)
               : arena_printf(reading->arena, "%s must be an integer from 1 to %" PRId64, property.data, most));
    return 0;
}

/* Whether it is a list of 1 to most items; else the violation. */
static bool check_list(struct reading *reading, const json_t *value, struct slice property, size_t most)
{
    if (json_is_array(value) && json_array_size(value) >= 1 && json_array_size(value) <= most) return true;
    refuse(reading, property, "arraySize",
           arena_printf(reading->arena, "%s must be a list of 1 to %zu items", property.data, most));
    return false;
}

static bool has(const int64_t *ids, size_t len, int64_t id)
{
    for (size_t i = 0; i < len; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

/* Nobody twice. */
static void check_unique(struct reading *reading, const int64_t *users, size_t len, struct slice property)
{
    for (size_t i = 1; i < len; i++) {
        if (users[i] == 0 || !has(users, i, users[i])) continue;
        refuse(reading, property, "isUnique", arena_printf(reading->arena, "%s must name nobody twice", property.data));
        return;
    }
}

/* ---- who ---- */

static void read_user(struct reading *reading, const json_t *item, size_t index, int64_t *user, int64_t *schedule)
{
    const json_t *schedule_id = member_of(item, "scheduleId");
    *user =
        read_integer(reading, member_of(item, "userId"), arena_printf(reading->arena, "users.%zu.userId", index), INT64_MAX);
    if (schedule_id == NULL) return;
    *schedule = read_integer(reading, schedule_id, arena_printf(reading->arena, "users.%zu.scheduleId", index), INT64_MAX);
}

static void read_users(struct reading *reading, const json_t *list, struct people_query *query)
{
    if (!check_list(reading, list, SLICE("users"), PEOPLE_MAX)) return;
    size_t len = json_array_size(list);
    int64_t *users = arena_calloc(reading->arena, len, sizeof(*users));
    int64_t *schedules = arena_calloc(reading->arena, len, sizeof(*schedules));
    reading->violations->out_of_memory |= users == NULL || schedules == NULL;
    for (size_t i = 0; i < len && !reading->violations->out_of_memory; i++) {
        read_user(reading, json_array_get(list, i), i, &users[i], &schedules[i]);
    }
    if (reading->violations->out_of_memory) return;
    check_unique(reading, users, len, SLICE("users"));
    query->users = users;
    query->schedules = schedules;
    query->users_len = len;
}

static void read_people(struct reading *reading, struct people_query *query)
{
    const json_t *users = member_of(reading->body, "users");
    const json_t *team = member_of(reading->body, "teamId");
    if ((users == NULL) == (team == NULL)) {
        refuse(reading, SLICE("users"), "isDefined", SLICE("either users or teamId must be given"));
    } else if (users != NULL) {
        read_users(reading, users, query);
    } else {
        query->team_id = read_integer(reading, team, SLICE("teamId"), INT64_MAX);
    }
}

/* ---- how they are put together ---- */

static void read_group(struct reading *reading, const struct people_query *query, size_t index, const json_t *item,
                       struct people_group *group)
{
    struct slice property = arena_printf(reading->arena, "groups.%zu.users", index);
    const json_t *list = member_of(item, "users");
    if (property.data == NULL || !check_list(reading, list, property, PEOPLE_MAX)) return;
    size_t len = json_array_size(list);
    int64_t *users = arena_calloc(reading->arena, len, sizeof(*users));
    reading->violations->out_of_memory |= users == NULL;
    for (size_t i = 0; i < len && !reading->violations->out_of_memory; i++) {
        struct slice place = arena_printf(reading->arena, "groups.%zu.users.%zu", index, i);
        users[i] = read_integer(reading, json_array_get(list, i), place, INT64_MAX);
        if (users[i] == 0 || query->users_len == 0 || has(query->users, query->users_len, users[i])) continue;
        refuse(reading, place, "isIn", arena_printf(reading->arena, "%s must be one of users", place.data));
    }
    if (reading->violations->out_of_memory) return;
    check_unique(reading, users, len, property);
    struct slice place = arena_printf(reading->arena, "groups.%zu.atLeast", index);
    *group = (struct people_group){users, len, read_integer(reading, member_of(item, "atLeast"), place, (int64_t)len)};
}

static void read_groups(struct reading *reading, struct people_query *query)
{
    const json_t *list = member_of(reading->body, "groups");
    if (!check_list(reading, list, SLICE("groups"), PEOPLE_GROUPS_MAX)) return;
    size_t len = json_array_size(list);
    struct people_group *groups = arena_calloc(reading->arena, len, sizeof(*groups));
    reading->violations->out_of_memory |= groups == NULL;
    for (size_t i = 0; i < len && !reading->violations->out_of_memory; i++) {
        read_group(reading, query, i, json_array_get(list, i), &groups[i]);
    }
    query->groups = groups;
    query->groups_len = len;
}

/* What belongs to one combine only is refused with the others. */
static void refuse_without(struct reading *reading, const char *name, const char *combine)
{
    if (member_of(reading->body, name) == NULL) return;
    refuse(reading, slice_of(name), "isAbsent",
           arena_printf(reading->arena, "%s must be given only where combine is %s", name, combine));
}

static enum people_combine read_word(struct reading *reading)
{
    static const char *const words[] = {"each", "all", "any", "atLeast", "groups"};
    const json_t *combine = member_of(reading->body, "combine");
    if (combine == NULL) return PEOPLE_EACH;
    for (size_t i = 0; json_is_string(combine) && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(json_string_value(combine), words[i]) == 0) return (enum people_combine)i;
    }
    refuse(reading, SLICE("combine"), "isIn", SLICE("combine must be each, all, any, atLeast or groups"));
    return PEOPLE_EACH;
}

static void read_combine(struct reading *reading, struct people_query *query)
{
    query->combine = read_word(reading);
    if (query->combine == PEOPLE_AT_LEAST) {
        size_t most = query->users_len == 0 ? PEOPLE_MAX : query->users_len;
        query->at_least = read_integer(reading, member_of(reading->body, "k"), SLICE("k"), (int64_t)most);
    } else {
        refuse_without(reading, "k", "atLeast");
    }
    if (query->combine == PEOPLE_GROUPS) read_groups(reading, query);
    else refuse_without(reading, "groups", "groups");
}

/* ---- where an answer goes on ---- */

/* An instant; of each, the user's id and "@" before it. */
static void read_cursor(struct reading *reading, struct slice target, struct people_query *query)
{
    struct slice text;
    if (!query_value(target, SLICE("cursor"), reading->arena, &text)) reading->violations->out_of_memory = true;
    if (reading->violations->out_of_memory || text.data == NULL) return;
    const char *at = query->combine == PEOPLE_EACH ? memchr(text.data, '@', text.len) : NULL;
    size_t user_len = at == NULL ? 0 : (size_t)(at - text.data);
    size_t skipped = at == NULL ? 0 : user_len + 1;
    bool has_user = at != NULL && path_int((struct slice){text.data, user_len}, &query->cursor_user);
    struct slice instant = {text.data + skipped, text.len - skipped};
    if (has_user == (query->combine == PEOPLE_EACH) && instant_parse(instant, &query->hours.cursor_s)) return;
    refuse(reading, SLICE("cursor"), "isCursor", SLICE("cursor must be one of a Link header of this query"));
}

/* ---- all ---- */

bool people_query_fits(const struct people_query *query, size_t people, struct arena *arena, struct violations *violations)
{
    if (hours_query_days(&query->hours) * (int64_t)people <= PEOPLE_DAYS_MAX) return true;
    violations_add(violations, arena, SLICE("to"), SLICE("personDays"),
                   arena_printf(arena, "the days from from to to, times the people, must be at most %d", PEOPLE_DAYS_MAX));
    return false;
}

enum status people_query_read(const json_t *body, struct slice target, const struct time_zones *names, struct arena *arena,
                              struct people_query *ret_query, struct violations *violations)
{
    struct reading reading = {.body = body, .arena = arena, .violations = violations};
    struct people_query query = {.combine = PEOPLE_EACH};
    size_t earlier = violations->len;
    enum status status = hours_query_read(target, body, names, arena, &query.hours, violations);
    if (status != STATUS_OK && status != STATUS_INVALID) return status;
    read_people(&reading, &query);
    read_combine(&reading, &query);
    read_cursor(&reading, target, &query);
    if (violations->out_of_memory) return STATUS_NO_MEMORY;
    if (status == STATUS_OK) people_query_fits(&query, query.users_len, arena, violations);
    if (violations->out_of_memory) return STATUS_NO_MEMORY;
    if (violations->len > earlier) return STATUS_INVALID;
    *ret_query = query;
    return STATUS_OK;
}

bool people_group_names(const struct people_group *group, int64_t user_id)
{
    for (size_t i = 0; i < group->users_len; i++) {
        if (group->users[i] == user_id) return true;
    }
    return false;
}
