/* Updates and deletes: as protobuf and JSON, and the rules of a schedule that is given in part. JSON is written with ' for ". */
#include "zones.h"

#include "codec/command_codec.h"
#include "schedules/v1/delete_schedule.pb-c.h"
#include "schedules/v1/update_schedule.pb-c.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define IDS "'commandId':'" ID "','orgId':7,'userId':478,'scheduleId':254,'expectedVersion':3"

struct change {
    struct arena *arena;
    enum status decoded;
    enum status checked;
    struct command_input input;
    struct command command;
    struct violations violations;
    const char *reason;
};

/* The bytes are gone before the input is checked only where the codec copies; protobuf's text is borrowed. */
static void read_bytes(struct change *change, struct slice bytes, enum command_kind kind, bool is_json)
{
    *change = (struct change){.arena = make_arena()};
    change->decoded = command_decode(bytes, kind, is_json, change->arena, &change->input, &change->reason);
    if (change->decoded != STATUS_OK) return;
    change->checked = command_check(&change->input, zones, change->arena, &change->command, &change->violations);
}

static void read_json(struct change *change, const char *text, enum command_kind kind)
{
    struct slice json = exact_copy(slice_of(text));
    for (size_t i = 0; i < json.len; i++) {
        if (json.data[i] == '\'') ((char *)(uintptr_t)json.data)[i] = '"';
    }
    read_bytes(change, json, kind, true);
    free_copy(json);
}

static void change_done(struct change *change)
{
    arena_free(change->arena);
}

static void expect_ids(const struct change *change)
{
    const struct command *command = &change->command;
    struct uuid id;
    assert_true(uuid_parse(SLICE(ID), &id));
    assert_int_equal(change->decoded, STATUS_OK);
    assert_int_equal(change->checked, STATUS_OK);
    assert_memory_equal(command->command_id.bytes, id.bytes, sizeof(id.bytes));
    assert_int_equal(command->org_id, 7);
    assert_int_equal(command->user_id, 478);
    assert_int_equal(command->schedule_id, 254);
    assert_int_equal(command->expected_version, 3);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static Schedules__V1__UpdateSchedule update_of_nothing(void)
{
    Schedules__V1__UpdateSchedule message;
    schedules__v1__update_schedule__init(&message);
    message.command_id = bytes_of(ID);
    message.org_id = 7;
    message.user_id = 478;
    message.schedule_id = 254;
    message.expected_version = 3;
    return message;
}

/* *ret_packed backs the text of the change. */
static void read_message(struct change *change, const ProtobufCMessage *message, enum command_kind kind,
                         char ret_packed[1024])
{
    assert_true(protobuf_c_message_get_packed_size(message) <= 1024);
    size_t len = protobuf_c_message_pack(message, (uint8_t *)ret_packed);
    read_bytes(change, (struct slice){ret_packed, len}, kind, false);
}

/* ---- decoding ---- */

static void an_update_of_nothing_sets_no_field(void **state)
{
    (void)state;
    struct change change;
    char packed[1024];
    Schedules__V1__UpdateSchedule message = update_of_nothing();
    read_message(&change, &message.base, COMMAND_UPDATE, packed);
    expect_ids(&change);
    assert_int_equal(change.command.schedule.fields, 0);
    change_done(&change);
    read_json(&change, "{" IDS "}", COMMAND_UPDATE);
    expect_ids(&change);
    assert_int_equal(change.command.schedule.fields, 0);
    change_done(&change);
}

static void a_field_of_protobuf_may_be_there_and_empty(void **state)
{
    (void)state;
    struct change change;
    char packed[1024];
    Schedules__V1__UpdateSchedule message = update_of_nothing();
    Schedules__V1__Availability availability = SCHEDULES__V1__AVAILABILITY__INIT;
    Schedules__V1__DateOverrides overrides = SCHEDULES__V1__DATE_OVERRIDES__INIT;
    message.optional_name_case = SCHEDULES__V1__UPDATE_SCHEDULE__OPTIONAL_NAME_NAME;
    message.name = bytes_of("");
    message.optional_is_default_case = SCHEDULES__V1__UPDATE_SCHEDULE__OPTIONAL_IS_DEFAULT_IS_DEFAULT;
    message.availability = &availability;
    message.overrides = &overrides;
    read_message(&change, &message.base, COMMAND_UPDATE, packed);
    expect_ids(&change);
    assert_int_equal(change.command.schedule.fields,
                     SCHEDULE_NAME | SCHEDULE_IS_DEFAULT | SCHEDULE_AVAILABILITY | SCHEDULE_OVERRIDES);
    assert_int_equal(change.command.schedule.windows_len, 0);
    assert_int_equal(change.command.schedule.overrides_len, 0);
    assert_false(change.command.schedule.is_default);
    change_done(&change);
}

static void a_delete_has_ids_alone(void **state)
{
    (void)state;
    struct change change;
    char packed[1024];
    Schedules__V1__DeleteSchedule message = SCHEDULES__V1__DELETE_SCHEDULE__INIT;
    message.command_id = bytes_of(ID);
    message.org_id = 7;
    message.user_id = 478;
    message.schedule_id = 254;
    message.expected_version = 3;
    read_message(&change, &message.base, COMMAND_DELETE, packed);
    expect_ids(&change);
    change_done(&change);
    read_json(&change, "{" IDS ",'name':5}", COMMAND_DELETE);
    expect_ids(&change);
    assert_int_equal(change.command.schedule.fields, 0);
    change_done(&change);
}

static void what_is_no_change_is_named_by_its_type(void **state)
{
    static const char *const reasons[] = {[COMMAND_UPDATE] = "the value is not a schedules.v1.UpdateSchedule",
                                          [COMMAND_DELETE] = "the value is not a schedules.v1.DeleteSchedule"};
    (void)state;
    for (int kind = COMMAND_UPDATE; kind <= COMMAND_DELETE; kind++) {
        struct change change;
        read_bytes(&change, SLICE("\xff\xff\xff"), (enum command_kind)kind, false);
        assert_int_equal(change.decoded, STATUS_UNDECODABLE);
        assert_string_equal(change.reason, reasons[kind]);
        change_done(&change);
    }
}

static void the_header_tells_the_kind_of_a_command(void **state)
{
    enum command_kind kind;
    (void)state;
    assert_true(command_kind_of_type((struct slice){NULL, 0}, &kind) && kind == COMMAND_CREATE);
    assert_true(command_kind_of_type(SLICE("schedules.v1.CreateSchedule"), &kind) && kind == COMMAND_CREATE);
    assert_true(command_kind_of_type(SLICE("schedules.v1.UpdateSchedule"), &kind) && kind == COMMAND_UPDATE);
    assert_true(command_kind_of_type(SLICE("schedules.v1.DeleteSchedule"), &kind) && kind == COMMAND_DELETE);
    assert_false(command_kind_of_type(SLICE("schedules.v1.ScheduleUpdated"), &kind));
    assert_false(command_kind_of_type(SLICE(""), &kind));
}

/* ---- rules ---- */

static void expect_violations(const char *json, enum command_kind kind, const char *want)
{
    struct change change;
    struct buf text;
    buf_init(&text, 1 << 16);
    read_json(&change, json, kind);
    assert_int_equal(change.decoded, STATUS_OK);
    assert_int_equal(change.checked, STATUS_INVALID);
    render_violations(&text, &change.violations);
    assert_buf(&text, want);
    buf_done(&text);
    change_done(&change);
}

static void null_leaves_lists_and_default_as_they_are(void **state)
{
    (void)state;
    struct change change;
    read_json(&change, "{" IDS ",'availability':null,'overrides':null,'isDefault':null,'timeZone':'europe/rome'}",
              COMMAND_UPDATE);
    expect_ids(&change);
    assert_int_equal(change.command.schedule.fields, SCHEDULE_TIME_ZONE);
    assert_text(change.command.schedule.time_zone, "Europe/Rome");
    change_done(&change);
}

static void null_takes_no_name_and_no_time_zone_away(void **state)
{
    (void)state;
    expect_violations("{" IDS ",'name':null,'timeZone':null}", COMMAND_UPDATE,
                      "name isString: name must be a string\n"
                      "timeZone isTimeZone: timeZone must be a valid IANA time-zone\n");
}

static void what_is_there_keeps_the_rules_of_a_create(void **state)
{
    (void)state;
    expect_violations("{" IDS ",'overrides':[{'date':'2023-02-29','startTime':'10:00','endTime':'09:00'}]}", COMMAND_UPDATE,
                      "overrides.0.date isIso8601: date must be a valid ISO 8601 date string\n"
                      "overrides.0.endTime isAfter: endTime must be after startTime\n");
    expect_violations("{" IDS ",'isDefault':1}", COMMAND_UPDATE, "isDefault isBoolean: isDefault must be a boolean value\n");
}

static void a_change_names_a_schedule_and_may_name_a_version(void **state)
{
    static const char want[] = "scheduleId isPositive: scheduleId must be a positive integer\n"
                               "expectedVersion min: expectedVersion must be a positive integer, or 0 for any\n";
    (void)state;
    for (int kind = COMMAND_UPDATE; kind <= COMMAND_DELETE; kind++) {
        expect_violations("{'commandId':'" ID "','userId':1,'scheduleId':0,'expectedVersion':-1}", (enum command_kind)kind,
                          want);
        expect_violations("{'commandId':'" ID "','userId':1,'scheduleId':'5','expectedVersion':1.5}",
                          (enum command_kind)kind, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_of_nothing_sets_no_field),
        cmocka_unit_test(a_field_of_protobuf_may_be_there_and_empty),
        cmocka_unit_test(a_delete_has_ids_alone),
        cmocka_unit_test(what_is_no_change_is_named_by_its_type),
        cmocka_unit_test(the_header_tells_the_kind_of_a_command),
        cmocka_unit_test(null_leaves_lists_and_default_as_they_are),
        cmocka_unit_test(null_takes_no_name_and_no_time_zone_away),
        cmocka_unit_test(what_is_there_keeps_the_rules_of_a_create),
        cmocka_unit_test(a_change_names_a_schedule_and_may_name_a_version),
    };
    return cmocka_run_group_tests(tests, zones_set_up, zones_tear_down);
}
