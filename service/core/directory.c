#include "core/directory.h"

#include <inttypes.h>

#define BIT(field) (1U << (field))

/* Identity and content of each type. The identity's fields make the key in their order here. */
static const struct {
    struct slice name;
    unsigned identity;
    unsigned content;
} types[] = {
    [DIRECTORY_ORGANIZATION] = {{"organization", 12}, BIT(DIRECTORY_ID), BIT(DIRECTORY_NAME)},
    [DIRECTORY_USER] = {{"user", 4}, BIT(DIRECTORY_ID), BIT(DIRECTORY_NAME) | BIT(DIRECTORY_TIME_ZONE)},
    [DIRECTORY_MEMBERSHIP] = {{"membership", 10}, BIT(DIRECTORY_ORG_ID) | BIT(DIRECTORY_USER_ID), BIT(DIRECTORY_ROLE)},
    [DIRECTORY_TEAM] = {{"team", 4}, BIT(DIRECTORY_ID), BIT(DIRECTORY_ORG_ID) | BIT(DIRECTORY_NAME)},
    [DIRECTORY_TEAM_MEMBERSHIP] = {{"team-membership", 15},
                                   BIT(DIRECTORY_TEAM_ID) | BIT(DIRECTORY_USER_ID),
                                   BIT(DIRECTORY_ROLE)},
};

static const struct slice field_names[] = {
    [DIRECTORY_ID] = {"id", 2},          [DIRECTORY_ORG_ID] = {"orgId", 5}, [DIRECTORY_TEAM_ID] = {"teamId", 6},
    [DIRECTORY_USER_ID] = {"userId", 6}, [DIRECTORY_NAME] = {"name", 4},    [DIRECTORY_TIME_ZONE] = {"timeZone", 8},
    [DIRECTORY_ROLE] = {"role", 4},
};

enum directory_type directory_type_parse(struct slice name)
{
    for (enum directory_type type = DIRECTORY_ORGANIZATION; type <= DIRECTORY_TEAM_MEMBERSHIP; type++) {
        if (slice_equal(name, types[type].name)) return type;
    }
    return DIRECTORY_NONE;
}

struct slice directory_type_name(enum directory_type type)
{
    return types[type].name;
}

struct slice directory_field_name(enum directory_field field)
{
    return field_names[field];
}

bool directory_has(enum directory_type type, bool is_removal, enum directory_field field)
{
    unsigned fields = types[type].identity | (is_removal ? 0 : types[type].content);
    return (fields & BIT(field)) != 0;
}

/* ---- the key ---- */

struct slice directory_key_format(const struct directory_entry *entry, struct arena *arena)
{
    struct slice key = types[entry->type].name;
    for (int i = 0; i < DIRECTORY_IDS && key.data != NULL; i++) {
        if (!(types[entry->type].identity & BIT(i))) continue;
        key = arena_printf(arena, "%.*s/%" PRId64, (int)key.len, key.data, entry->ids[i]);
    }
    return key;
}

/* Cuts "/<digits>" off the front: a number above zero as it is written without leading zeros. */
static bool take_id(struct slice *key, int64_t *ret_id)
{
    enum { DIGITS_MAX = 18 };
    size_t at = 1;
    int64_t id = 0;
    if (key->len < 2 || key->data[0] != '/' || key->data[1] == '0') return false;
    for (; at < key->len && key->data[at] >= '0' && key->data[at] <= '9'; at++) {
        if (at > DIGITS_MAX) return false;
        id = id * 10 + (key->data[at] - '0');
    }
    *key = (struct slice){key->data + at, key->len - at};
    *ret_id = id;
    return at > 1;
}

bool directory_key_parse(struct slice key, struct directory_input *ret_input)
{
    const char *slash = key.len == 0 ? NULL : memchr(key.data, '/', key.len);
    struct slice name = {key.data, slash == NULL ? key.len : (size_t)(slash - key.data)};
    enum directory_type type = directory_type_parse(name);
    struct slice rest = {key.data + name.len, key.len - name.len};
    *ret_input = (struct directory_input){.type = {INPUT_GIVEN, name}, .remove = {INPUT_GIVEN, true}};
    if (type == DIRECTORY_NONE) return false;
    for (int i = 0; i < DIRECTORY_IDS; i++) {
        if (!(types[type].identity & BIT(i))) continue;
        if (!take_id(&rest, &ret_input->ids[i].value)) return false;
        ret_input->ids[i].is_usable = true;
    }
    return rest.len == 0;
}

/* ---- the rules ---- */

struct check {
    const struct time_zones *zones;
    struct arena *arena;
    struct violations *violations;
};

static void violate(struct check *check, struct slice field, struct slice constraint, const char *rest)
{
    violations_add(check->violations, check->arena, field, constraint,
                   arena_printf(check->arena, "%.*s %s", (int)field.len, field.data, rest));
}

static enum directory_type check_type(struct check *check, const struct input_text *text)
{
    enum directory_type type = text->kind == INPUT_GIVEN ? directory_type_parse(text->text) : DIRECTORY_NONE;
    if (type == DIRECTORY_NONE) {
        violate(check, SLICE("type"), SLICE("isIn"),
                "must be one of the following values: organization, user, membership, team, team-membership");
    }
    return type;
}

static void check_ids(struct check *check, const struct directory_input *input, struct directory_entry *entry)
{
    for (enum directory_field field = 0; field < DIRECTORY_IDS; field++) {
        if (!directory_has(entry->type, entry->is_removal, field)) continue;
        entry->ids[field] = input->ids[field].value;
        if (!input->ids[field].is_usable || entry->ids[field] < 1 || entry->ids[field] > DIRECTORY_ID_MAX) {
            violate(check, field_names[field], SLICE("isPositive"), "must be a positive integer of at most 18 digits");
        }
    }
}

static struct slice check_role(struct check *check, const struct input_text *role)
{
    static const struct slice roles[] = {{"OWNER", 5}, {"ADMIN", 5}, {"MEMBER", 6}};
    for (int i = 0; i < 3; i++) {
        if (role->kind == INPUT_GIVEN && slice_equal(role->text, roles[i])) return roles[i];
    }
    violate(check, SLICE("role"), SLICE("isIn"), "must be one of the following values: OWNER, ADMIN, MEMBER");
    return role->text;
}

static void check_content(struct check *check, const struct directory_input *input, struct directory_entry *entry)
{
    if (directory_has(entry->type, entry->is_removal, DIRECTORY_NAME)) {
        entry->name = name_check(&input->name, check->arena, check->violations);
    }
    if (directory_has(entry->type, entry->is_removal, DIRECTORY_TIME_ZONE) && input->time_zone.kind != INPUT_ABSENT) {
        entry->time_zone = time_zone_check(&input->time_zone, check->zones, check->arena, check->violations);
    }
    if (directory_has(entry->type, entry->is_removal, DIRECTORY_ROLE)) entry->role = check_role(check, &input->role);
}

/* Records of one entry must have one key: the log is compacted by it, and in order only within it. */
static void check_key(struct check *check, const struct input_text *key, const struct directory_entry *entry)
{
    struct slice want = directory_key_format(entry, check->arena);
    if (want.data == NULL) {
        check->violations->out_of_memory = true;
        return;
    }
    if (key->kind == INPUT_ABSENT || slice_equal(key->text, want)) return;
    violations_add(check->violations, check->arena, SLICE("key"), SLICE("equals"),
                   arena_printf(check->arena, "key must be %.*s", (int)want.len, want.data));
}

enum status directory_check(const struct directory_input *input, const struct time_zones *zones, struct arena *arena,
                            struct directory_entry *ret_entry, struct violations *violations)
{
    struct check check = {zones, arena, violations};
    struct directory_entry entry = {.is_removal = input->remove.value};
    if (input->remove.kind == INPUT_OTHER) {
        violate(&check, SLICE("remove"), SLICE("isBoolean"), "must be a boolean value");
    }
    entry.type = check_type(&check, &input->type);
    if (entry.type != DIRECTORY_NONE) {
        check_ids(&check, input, &entry);
        check_content(&check, input, &entry);
        if (violations->len == 0) check_key(&check, &input->key, &entry);
    }
    if (violations->out_of_memory) return arena_failure(arena);
    if (violations->len > 0) return STATUS_INVALID;
    *ret_entry = entry;
    return STATUS_OK;
}
