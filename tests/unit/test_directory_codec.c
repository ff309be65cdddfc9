/* Directory entries as bytes: records and lines, good, bad and hostile, and the JSON that the database takes. */
#include "zones.h"

#include "codec/directory_codec.h"
#include "schedules/v1/directory_entry.pb-c.h"

#define USER_JSON "{\"type\":\"user\",\"id\":5,\"name\":\"Ada\",\"timeZone\":\"Europe/Rome\"}"

/* What becomes of a record, all the way to the database's JSON; the reason or the first violation where it is refused. The bytes
 * are in memory of exactly their size. */
static void expect_at(const char *key, struct slice value, bool is_json, const char *want, int line)
{
    struct slice key_copy = exact_copy(slice_of(key));
    struct slice value_copy = value.data == NULL ? value : exact_copy(value);
    struct arena *arena = make_arena();
    struct directory_input input;
    struct directory_entry entry;
    struct violations violations = {0};
    const char *reason = NULL;
    struct buf out;
    buf_init(&out, 1 << 20);
    enum status status = directory_decode(key_copy, value_copy, is_json, arena, &input, &reason);
    assert_int_equal(status == STATUS_OK, reason == NULL);
    if (status == STATUS_OK) status = directory_check(&input, zones, arena, &entry, &violations);
    if (status == STATUS_OK) directory_write_json(&out, &entry);
    else if (status == STATUS_INVALID) buf_append_slice(&out, violations.items[0].message);
    else buf_printf(&out, "%s", reason);
    expect_bytes_at(buf_slice(&out), slice_of(want), __FILE__, line);
    buf_done(&out);
    arena_free(arena);
    free_copy(key_copy);
    if (value_copy.data != NULL) free_copy(value_copy);
}

#define EXPECT_JSON(key_, value_, want_) expect_at((key_), SLICE(value_), true, (want_), __LINE__)
#define EXPECT_BYTES(key_, value_, want_) expect_at((key_), (value_), false, (want_), __LINE__)

static const struct slice tombstone = {NULL, 0};

static void reads_json_and_writes_it_the_same(void **state)
{
    (void)state;
    EXPECT_JSON("organization/1", "{\"type\":\"organization\",\"id\":1,\"name\":\"A \\\"B\\\"\"}",
                "{\"type\":\"organization\",\"id\":1,\"name\":\"A \\\"B\\\"\"}");
    EXPECT_JSON("user/5", USER_JSON, USER_JSON);
    EXPECT_JSON("membership/1/5", "{\"role\":\"ADMIN\",\"userId\":5,\"orgId\":1,\"type\":\"membership\",\"more\":[1]}",
                "{\"type\":\"membership\",\"orgId\":1,\"userId\":5,\"role\":\"ADMIN\"}");
    EXPECT_JSON("team/3", "{\"type\":\"team\",\"id\":3,\"orgId\":1,\"name\":\"\"}",
                "{\"type\":\"team\",\"id\":3,\"orgId\":1,\"name\":\"\"}");
    EXPECT_JSON("team-membership/3/5", "{\"type\":\"team-membership\",\"teamId\":3,\"userId\":5,\"role\":\"MEMBER\"}",
                "{\"type\":\"team-membership\",\"teamId\":3,\"userId\":5,\"role\":\"MEMBER\"}");
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":5,\"remove\":true}", "{\"type\":\"user\",\"id\":5,\"remove\":true}");
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":5,\"name\":\"x\",\"timeZone\":null,\"remove\":false}",
                "{\"type\":\"user\",\"id\":5,\"name\":\"x\"}");
}

static void names_the_field_of_bad_json(void **state)
{
    (void)state;
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":\"5\",\"name\":\"x\"}",
                "id must be a positive integer of at most 18 digits");
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":99999999999999999999,\"name\":\"x\"}",
                "id must be a positive integer of at most 18 digits");
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":5,\"name\":7}", "name must be a string");
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":5,\"name\":\"a\\u0000b\"}", "name must not contain the character NUL");
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":5,\"remove\":\"true\",\"name\":\"x\"}",
                "remove must be a boolean value");
    EXPECT_JSON("user/5", "{\"type\":\"user\",\"id\":5,\"name\":\"x\",\"timeZone\":\"\"}",
                "timeZone must be a valid IANA time-zone");
    EXPECT_JSON("user/6", USER_JSON, "key must be user/5");
    EXPECT_JSON("", USER_JSON, "key must be user/5");
}

static void refuses_what_is_no_entry(void **state)
{
    (void)state;
    EXPECT_JSON("user/5", "", "the value is empty");
    EXPECT_JSON("user/5", "{", "the value is not JSON");
    EXPECT_JSON("user/5", USER_JSON "x", "the value is not JSON");
    EXPECT_JSON("user/5", "[]", "the value is not a JSON object");
    EXPECT_BYTES("user/5", SLICE(""), "the value is empty");
    EXPECT_BYTES("user/5", SLICE("\xff"), "the value is not a schedules.v1.DirectoryEntry");
    EXPECT_BYTES("user/5", SLICE("\0\0\0"), "the value begins as Confluent's wire format and is none");
    EXPECT_BYTES("user/5", SLICE("\x12\x05\x08\x05\x12\x01\xff"), "a text is not valid UTF-8");
    EXPECT_BYTES("user/5", SLICE("\x7a\x00"),
                 "type must be one of the following values: organization, user, membership, team, team-membership");
    struct slice longest = {calloc(1, DIRECTORY_ENTRY_BYTES_MAX + 1), DIRECTORY_ENTRY_BYTES_MAX + 1};
    EXPECT_BYTES("user/5", longest, "the value is longer than 64 KiB");
    free_copy(longest);
}

static void a_tombstone_removes_what_its_key_names(void **state)
{
    (void)state;
    EXPECT_BYTES("membership/1/5", tombstone, "{\"type\":\"membership\",\"orgId\":1,\"userId\":5,\"remove\":true}");
    EXPECT_BYTES("team/3", tombstone, "{\"type\":\"team\",\"id\":3,\"remove\":true}");
    EXPECT_BYTES("user/x", tombstone,
                 "the key names no entry: organization/<id>, user/<id>, membership/<orgId>/<userId>, team/<id> or "
                 "team-membership/<teamId>/<userId>");
}

/* Packs the entry, plain and framed, and expects the same of both. */
static void expect_packed_at(const char *key, const Schedules__V1__DirectoryEntry *entry, const char *want, int line)
{
    uint8_t bytes[256] = {0, 0, 0, 0, 7, 0};
    size_t len = schedules__v1__directory_entry__pack(entry, bytes + 6);
    expect_at(key, (struct slice){(const char *)bytes + 6, len}, false, want, line);
    expect_at(key, (struct slice){(const char *)bytes, len + 6}, false, want, line);
}

#define EXPECT_PACKED(key_, entry_, want_) expect_packed_at((key_), (entry_), (want_), __LINE__)

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void reads_users_teams_and_organizations_in_protobuf(void **state)
{
    (void)state;
    Schedules__V1__DirectoryEntry entry = SCHEDULES__V1__DIRECTORY_ENTRY__INIT;
    Schedules__V1__User user = SCHEDULES__V1__USER__INIT;
    Schedules__V1__Team team = SCHEDULES__V1__TEAM__INIT;
    Schedules__V1__Organization organization = SCHEDULES__V1__ORGANIZATION__INIT;
    user.id = 5;
    user.name = bytes_of("Ada");
    entry.entry_case = SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_USER;
    entry.user = &user;
    EXPECT_PACKED("user/5", &entry, "{\"type\":\"user\",\"id\":5,\"name\":\"Ada\"}");
    user.time_zone = bytes_of("EUROPE/rome");
    EXPECT_PACKED("user/5", &entry, USER_JSON);
    team.id = 3;
    team.org_id = 1;
    entry.entry_case = SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_TEAM;
    entry.team = &team;
    EXPECT_PACKED("team/3", &entry, "{\"type\":\"team\",\"id\":3,\"orgId\":1,\"name\":\"\"}");
    organization.id = 1;
    entry.entry_case = SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_ORGANIZATION;
    entry.organization = &organization;
    EXPECT_PACKED("organization/1", &entry, "{\"type\":\"organization\",\"id\":1,\"name\":\"\"}");
}

static void reads_memberships_in_protobuf(void **state)
{
    (void)state;
    static const char *const roles[] = {"MEMBER", "ADMIN", "OWNER"};
    Schedules__V1__DirectoryEntry entry = SCHEDULES__V1__DIRECTORY_ENTRY__INIT;
    Schedules__V1__Membership membership = SCHEDULES__V1__MEMBERSHIP__INIT;
    Schedules__V1__TeamMembership team_membership = SCHEDULES__V1__TEAM_MEMBERSHIP__INIT;
    membership.org_id = 1;
    membership.user_id = 5;
    entry.entry_case = SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_MEMBERSHIP;
    entry.membership = &membership;
    for (int i = 0; i < 3; i++) {
        char want[128];
        snprintf(want, sizeof(want), "{\"type\":\"membership\",\"orgId\":1,\"userId\":5,\"role\":\"%s\"}", roles[i]);
        membership.role = (Schedules__V1__Role)(i + 1);
        EXPECT_PACKED("membership/1/5", &entry, want);
    }
    membership.role = (Schedules__V1__Role)4;
    EXPECT_PACKED("membership/1/5", &entry, "role must be one of the following values: OWNER, ADMIN, MEMBER");
    team_membership.team_id = 3;
    team_membership.user_id = 5;
    team_membership.role = SCHEDULES__V1__ROLE__ROLE_ADMIN;
    entry.entry_case = SCHEDULES__V1__DIRECTORY_ENTRY__ENTRY_TEAM_MEMBERSHIP;
    entry.team_membership = &team_membership;
    EXPECT_PACKED("team-membership/3/5", &entry,
                  "{\"type\":\"team-membership\",\"teamId\":3,\"userId\":5,\"role\":\"ADMIN\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_json_and_writes_it_the_same),
        cmocka_unit_test(names_the_field_of_bad_json),
        cmocka_unit_test(refuses_what_is_no_entry),
        cmocka_unit_test(a_tombstone_removes_what_its_key_names),
        cmocka_unit_test(reads_users_teams_and_organizations_in_protobuf),
        cmocka_unit_test(reads_memberships_in_protobuf),
    };
    return cmocka_run_group_tests(tests, zones_set_up, zones_tear_down);
}
