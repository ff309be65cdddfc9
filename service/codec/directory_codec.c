#include "codec/directory_codec.h"

#include <jansson.h>

#include "codec/protobuf.h"
#include "codec/json_text.h"
#include "codec/schedule_json.h"
#include "schedules/v1/directory_entry.pb-c.h"

/* ---- protobuf ---- */

static struct input_text type_text(enum directory_type type)
{
    return (struct input_text){INPUT_GIVEN, directory_type_name(type)};
}

static struct input_id given_id(int64_t value)
{
    return (struct input_id){value, true};
}

static struct input_text role_text(Schedules__V1__Role role)
{
    switch (role) {
    case SCHEDULES__V1__ROLE__ROLE_MEMBER: return (struct input_text){INPUT_GIVEN, SLICE("MEMBER")};
    case SCHEDULES__V1__ROLE__ROLE_ADMIN: return (struct input_text){INPUT_GIVEN, SLICE("ADMIN")};
    case SCHEDULES__V1__ROLE__ROLE_OWNER: return (struct input_text){INPUT_GIVEN, SLICE("OWNER")};
    default: return (struct input_text){INPUT_OTHER, {NULL, 0}};
    }
}

static void read_organization(const Schedules__V1__Organization *organization, struct directory_input *input, bool *utf8)
{
    input->type = type_text(DIRECTORY_ORGANIZATION);
    input->ids[DIRECTORY_ID] = given_id(organization->id);
    input->name = protobuf_text(&organization->name, utf8);
}

static void read_user(const Schedules__V1__User *user, struct directory_input *input, bool *utf8)
{
    input->type = type_text(DIRECTORY_USER);
    input->ids[DIRECTORY_ID] = given_id(user->id);
    input->name = protobuf_text(&user->name, utf8);
    if (user->time_zone.len > 0) input->time_zone = protobuf_text(&user->time_zone, utf8);
}

static void read_membership(const Schedules__V1__Membership *membership, struct directory_input *input)
{
    input->type = type_text(DIRECTORY_MEMBERSHIP);
    input->ids[DIRECTORY_ORG_ID] = given_id(membership->org_id);
    input->ids[DIRECTORY_USER_ID] = given_id(membership->user_id);
    input->role = role_text(membership->role);
}

static void read_team(const Schedules__V1__Team *team, struct directory_input *input, bool *utf8)
{
    input->type = type_text(DIRECTORY_TEAM);
    input->ids[DIRECTORY_ID] = given_id(team->id);
    input->ids[DIRECTORY_ORG_ID] = given_id(team->org_id);
    input->name = protobuf_text(&team->name, utf8);
}

static void read_team_membership(const Schedules__V1__TeamMembership *membership, struct directory_input *input)
{
    input->type = type_text(DIRECTORY_TEAM_MEMBERSHIP);
    input->ids[DIRECTORY_TEAM_ID] = given_id(membership->team_id);
    input->ids[DIRECTORY_USER_ID] = given_id(membership->user_id);
    input->role = role_text(membership->role);
}

/* False when a text is not UTF-8. A kind of entry that this build does not know leaves the type absent. */
static bool read_entry(const Schedules__V1__DirectoryEntry *entry, struct directory_input *input)
{
    bool utf8 = true;
    switch (entry->entry_case) {
    case SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_ORGANIZATION: read_organization(entry->organization, input, &utf8); break;
    case SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_USER: read_user(entry->user, input, &utf8); break;
    case SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_MEMBERSHIP: read_membership(entry->membership, input); break;
    case SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_TEAM: read_team(entry->team, input, &utf8); break;
    case SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_TEAM_MEMBERSHIP: read_team_membership(entry->team_membership, input); break;
    default: break;
    }
    return utf8;
}

static enum status decode_protobuf(struct slice bytes, struct arena *arena, struct directory_input *ret_input,
                                   const char **ret_reason)
{
    ProtobufCAllocator allocator = protobuf_allocator(arena);
    const Schedules__V1__DirectoryEntry *entry =
        schedules__v1__directory_entry__unpack(&allocator, bytes.len, (const uint8_t *)bytes.data);
    *ret_input = (struct directory_input){0};
    if (entry == NULL && arena_failure(arena) != STATUS_OK) return arena_failure(arena);
    if (entry == NULL) *ret_reason = "the value is not a schedules.v1.DirectoryEntry";
    else if (!read_entry(entry, ret_input)) *ret_reason = "a text is not valid UTF-8";
    else return STATUS_OK;
    return STATUS_UNDECODABLE;
}

/* ---- JSON ---- */

/* The parsed document goes before the input does: its text moves to the arena. */
static struct input_text read_text(const json_t *body, const char *name, struct arena *arena, bool *ok)
{
    struct input_text text = input_text_from_json(json_object_get(body, name));
    if (text.kind == INPUT_GIVEN) text.text = arena_copy(arena, text.text);
    if (text.kind == INPUT_GIVEN && text.text.data == NULL) *ok = false;
    return text;
}

static struct input_id read_id(const json_t *value)
{
    struct input_id id;
    id.is_usable = json_integer_read(value, &id.value);
    return id;
}

static struct input_bool read_bool(const json_t *value)
{
    enum input_kind kind = json_is_boolean(value) ? INPUT_GIVEN : value == NULL ? INPUT_ABSENT : INPUT_OTHER;
    return (struct input_bool){kind, json_is_true(value)};
}

static bool read_body(const json_t *body, struct arena *arena, struct directory_input *input)
{
    bool ok = true;
    input->type = read_text(body, "type", arena, &ok);
    input->remove = read_bool(json_object_get(body, "remove"));
    for (enum directory_field field = 0; field < DIRECTORY_IDS; field++) {
        input->ids[field] = read_id(json_object_get(body, directory_field_name(field).data));
    }
    input->name = read_text(body, "name", arena, &ok);
    input->time_zone = read_text(body, "timeZone", arena, &ok);
    input->role = read_text(body, "role", arena, &ok);
    return ok;
}

enum status directory_decode_json(struct slice text, struct arena *arena, struct directory_input *ret_input,
                                  const char **ret_reason)
{
    struct json_fault fault;
    json_t *body = NULL;
    *ret_input = (struct directory_input){0};
    enum status status = json_text_parse(text, &body, &fault);
    if (status == STATUS_UNDECODABLE) *ret_reason = fault.what;
    if (status != STATUS_OK) return status;
    if (!json_is_object(body)) {
        *ret_reason = "the value is not a JSON object";
        status = STATUS_UNDECODABLE;
    } else if (!read_body(body, arena, ret_input)) {
        status = arena_failure(arena);
    }
    json_decref(body);
    return status;
}

/* ---- records ---- */

static enum status decode_removal(struct slice key, struct directory_input *ret_input, const char **ret_reason)
{
    if (directory_key_parse(key, ret_input)) return STATUS_OK;
    *ret_reason = "the key names no entry: organization/<id>, user/<id>, membership/<orgId>/<userId>, team/<id> or "
                  "team-membership/<teamId>/<userId>";
    return STATUS_UNDECODABLE;
}

static enum status decode_value(struct slice value, bool is_json, struct arena *arena, struct directory_input *ret_input,
                                const char **ret_reason)
{
    if (value.len == 0) *ret_reason = "the value is empty";
    else if (value.len > DIRECTORY_ENTRY_BYTES_MAX) *ret_reason = "the value is longer than 64 KiB";
    else if (is_json) return directory_decode_json(value, arena, ret_input, ret_reason);
    else if (value.data[0] == 0 && !confluent_unframe(&value)) {
        *ret_reason = "the value begins as Confluent's wire format and is none";
    } else return decode_protobuf(value, arena, ret_input, ret_reason);
    return STATUS_UNDECODABLE;
}

enum status directory_decode(struct slice key, struct slice value, bool is_json, struct arena *arena,
                             struct directory_input *ret_input, const char **ret_reason)
{
    enum status status = value.data == NULL ? decode_removal(key, ret_input, ret_reason)
                                            : decode_value(value, is_json, arena, ret_input, ret_reason);
    ret_input->key = (struct input_text){INPUT_GIVEN, key};
    return status;
}

/* ---- to the database ---- */

static void write_member(struct buf *out, enum directory_field field)
{
    buf_append_char(out, ',');
    json_write_string(out, directory_field_name(field));
    buf_append_char(out, ':');
}

static void write_text(struct buf *out, enum directory_field field, struct slice text)
{
    if (text.data == NULL) return;
    write_member(out, field);
    json_write_string(out, text);
}

void directory_write_json(struct buf *out, const struct directory_entry *entry)
{
    buf_printf(out, "{\"type\":");
    json_write_string(out, directory_type_name(entry->type));
    for (enum directory_field field = 0; field < DIRECTORY_IDS; field++) {
        if (entry->ids[field] == 0) continue;
        write_member(out, field);
        buf_append_int(out, entry->ids[field]);
    }
    write_text(out, DIRECTORY_NAME, entry->name);
    write_text(out, DIRECTORY_TIME_ZONE, entry->time_zone);
    write_text(out, DIRECTORY_ROLE, entry->role);
    buf_printf(out, entry->is_removal ? ",\"remove\":true}" : "}");
}
