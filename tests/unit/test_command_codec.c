/* Commands as bytes: protobuf, Confluent's frame around it, and JSON; good, bad and hostile. */
#include "support.h"

#include "codec/command_codec.h"
#include "schedules/v1/create_schedule.pb-c.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

struct decoded {
    enum status status;
    struct arena *arena;
    struct command_input input;
    const char *reason;
};

/* From memory of exactly that size, which is gone before the input is looked at where the codec must have copied. */
static void decode(struct decoded *decoded, struct slice bytes, bool is_json)
{
    struct slice copy = exact_copy(bytes);
    *decoded = (struct decoded){.arena = make_arena()};
    decoded->status = command_decode(copy, COMMAND_CREATE, is_json, decoded->arena, &decoded->input, &decoded->reason);
    free_copy(copy);
    assert_int_equal(decoded->status == STATUS_OK, decoded->reason == NULL);
}

static void decoded_done(struct decoded *decoded)
{
    arena_free(decoded->arena);
}

static void expect_undecodable(struct slice bytes, bool is_json, const char *reason)
{
    struct decoded decoded;
    decode(&decoded, bytes, is_json);
    assert_int_equal(decoded.status, STATUS_UNDECODABLE);
    assert_string_equal(decoded.reason, reason);
    decoded_done(&decoded);
}

static const char not_a_message[] = "the value is not a schedules.v1.CreateSchedule";
static const char not_utf8[] = "a text is not valid UTF-8";
static const char not_a_frame[] = "the value begins as Confluent's wire format and is none";
static const char not_json[] = "the value is not JSON";

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

/* The message of the contract's example; parts are static so that it can be changed and packed. */
static struct {
    Schedules__V1__CreateSchedule message;
    Schedules__V1__Availability availability;
    Schedules__V1__AvailabilityWindow window;
    Schedules__V1__AvailabilityWindow *windows[1];
    Schedules__V1__Weekday days[2];
    Schedules__V1__DateOverride override;
    Schedules__V1__DateOverride *overrides[1];
} example;

static void make_example(void)
{
    schedules__v1__create_schedule__init(&example.message);
    schedules__v1__availability__init(&example.availability);
    schedules__v1__availability_window__init(&example.window);
    schedules__v1__date_override__init(&example.override);
    example.days[0] = SCHEDULES__V1__WEEKDAY__WEEKDAY_MONDAY;
    example.days[1] = SCHEDULES__V1__WEEKDAY__WEEKDAY_SUNDAY;
    example.window.n_days = 2;
    example.window.days = example.days;
    example.window.start_time = bytes_of("17:00");
    example.window.end_time = bytes_of("19:00");
    example.windows[0] = &example.window;
    example.availability.n_windows = 1;
    example.availability.windows = example.windows;
    example.override.date = bytes_of("2024-05-20");
    example.override.start_time = bytes_of("18:00");
    example.override.end_time = bytes_of("21:00");
    example.overrides[0] = &example.override;
    example.message.command_id = bytes_of(ID);
    example.message.org_id = 7;
    example.message.user_id = 478;
    example.message.name = bytes_of("Catch up hours");
    example.message.time_zone = bytes_of("Europe/Rome");
    example.message.is_default = 1;
    example.message.availability = &example.availability;
    example.message.n_overrides = 1;
    example.message.overrides = example.overrides;
}

/* Packs it behind what out holds. */
static void pack_example(struct buf *out)
{
    size_t len = schedules__v1__create_schedule__get_packed_size(&example.message);
    char *to = buf_extend(out, len);
    assert_non_null(to);
    schedules__v1__create_schedule__pack(&example.message, (uint8_t *)to);
}

static void make_bytes(struct buf *out)
{
    buf_init(out, 2 << 20);
    make_example();
    pack_example(out);
}

static void expect_example(const struct command_input *input)
{
    assert_text(input->command_id.text, ID);
    assert_int_equal(input->org_id.value, 7);
    assert_int_equal(input->user_id.value, 478);
    assert_true(input->org_id.is_usable && input->user_id.is_usable);
    assert_text(input->schedule.name.text, "Catch up hours");
    assert_text(input->schedule.time_zone.text, "Europe/Rome");
    assert_int_equal(input->schedule.is_default.kind, INPUT_GIVEN);
    assert_true(input->schedule.is_default.value);
    const struct input_list *windows = &input->schedule.availability;
    assert_int_equal(windows->kind, INPUT_GIVEN);
    assert_int_equal(windows->len, 1);
    assert_true(windows->items[0].is_object);
    assert_int_equal(windows->items[0].days.kind, INPUT_GIVEN);
    assert_true(windows->items[0].days.all_valid);
    assert_int_equal(windows->items[0].days.len, 2);
    assert_int_equal(windows->items[0].days.items[0], MONDAY);
    assert_int_equal(windows->items[0].days.items[1], SUNDAY);
    assert_text(windows->items[0].start_time.text, "17:00");
    assert_text(windows->items[0].end_time.text, "19:00");
    const struct input_list *overrides = &input->schedule.overrides;
    assert_int_equal(overrides->kind, INPUT_GIVEN);
    assert_int_equal(overrides->len, 1);
    assert_text(overrides->items[0].date.text, "2024-05-20");
    assert_text(overrides->items[0].start_time.text, "18:00");
    assert_text(overrides->items[0].end_time.text, "21:00");
}

static void expect_decodes_as_example(struct slice bytes, bool is_json)
{
    struct decoded decoded;
    decode(&decoded, bytes, is_json);
    assert_int_equal(decoded.status, STATUS_OK);
    expect_example(&decoded.input);
    decoded_done(&decoded);
}

/* ---- protobuf ---- */

static void reads_a_protobuf_command(void **state)
{
    (void)state;
    struct buf bytes;
    make_bytes(&bytes);
    expect_decodes_as_example(buf_slice(&bytes), false);
    buf_done(&bytes);
}

static void absent_protobuf_fields_have_protos_defaults(void **state)
{
    (void)state;
    struct decoded decoded;
    decode(&decoded, SLICE("\x18\x05"), false); /* user_id = 5 */
    const struct command_input *input = &decoded.input;
    assert_int_equal(decoded.status, STATUS_OK);
    assert_int_equal(input->user_id.value, 5);
    assert_int_equal(input->org_id.value, 0);
    assert_true(input->org_id.is_usable);
    assert_int_equal(input->command_id.kind, INPUT_GIVEN);
    assert_text(input->command_id.text, "");
    assert_text(input->schedule.name.text, "");
    assert_text(input->schedule.time_zone.text, "");
    assert_int_equal(input->schedule.is_default.kind, INPUT_GIVEN);
    assert_false(input->schedule.is_default.value);
    assert_int_equal(input->schedule.availability.kind, INPUT_ABSENT);
    assert_int_equal(input->schedule.overrides.len, 0);
    decoded_done(&decoded);
}

static void absent_and_empty_availability_differ(void **state)
{
    (void)state;
    struct decoded decoded;
    decode(&decoded, SLICE("\x18\x05"), false);
    assert_int_equal(decoded.input.schedule.availability.kind, INPUT_ABSENT);
    decoded_done(&decoded);
    decode(&decoded, SLICE("\x3a\x00"), false); /* availability = {} */
    assert_int_equal(decoded.status, STATUS_OK);
    assert_int_equal(decoded.input.schedule.availability.kind, INPUT_GIVEN);
    assert_int_equal(decoded.input.schedule.availability.len, 0);
    decoded_done(&decoded);
}

static void unknown_weekday_numbers_are_no_days(void **state)
{
    static const struct {
        struct slice days; /* one window's field 1 */
        size_t len;
        bool all_valid;
    } cases[] = {
        {SLICE("\x0a\x01\x01"), 1, true},
        {SLICE("\x0a\x01\x07"), 1, true},
        {SLICE("\x0a\x01\x00"), 1, false},
        {SLICE("\x0a\x01\x08"), 1, false},
        {SLICE("\x0a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1, false},
        {SLICE("\x0a\x05\xff\xff\xff\xff\x07"), 1, false},
        {SLICE("\x0a\x02\x01\x63"), 2, false},
        {SLICE("\x08\x01\x08\x02"), 2, true},
        {SLICE("\x08\x01\x0a\x02\x02\x03\x08\x09"), 4, false},
        {SLICE("\x0a\x02\x81\x02"), 1, false} /* 257 is not Monday */,
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct decoded decoded;
        struct buf bytes;
        buf_init(&bytes, 100);
        buf_append_char(&bytes, '\x3a');
        buf_append_char(&bytes, (char)(cases[i].days.len + 2));
        buf_append_char(&bytes, '\x0a');
        buf_append_char(&bytes, (char)cases[i].days.len);
        buf_append_slice(&bytes, cases[i].days);
        decode(&decoded, buf_slice(&bytes), false);
        if (decoded.status != STATUS_OK) fail_msg("case %zu is undecodable", i);
        const struct input_days *days = &decoded.input.schedule.availability.items[0].days;
        assert_int_equal(days->len, cases[i].len);
        if (days->all_valid != cases[i].all_valid) fail_msg("case %zu", i);
        decoded_done(&decoded);
        buf_done(&bytes);
    }
}

static void a_nul_inside_a_protobuf_text_is_kept(void **state)
{
    (void)state;
    struct decoded decoded;
    decode(&decoded,
           SLICE("\x22\x03"
                 "a\0b"),
           false);
    assert_int_equal(decoded.status, STATUS_OK);
    assert_bytes(decoded.input.schedule.name.text, SLICE("a\0b"));
    decoded_done(&decoded);
}

static void text_that_is_not_utf8_is_undecodable_in_every_field(void **state)
{
    ProtobufCBinaryData *const fields[] = {
        &example.message.command_id, &example.message.name,  &example.message.time_zone,   &example.window.start_time,
        &example.window.end_time,    &example.override.date, &example.override.start_time, &example.override.end_time,
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct buf bytes;
        buf_init(&bytes, 4096);
        make_example();
        *fields[i] = bytes_of("ab\xff");
        pack_example(&bytes);
        expect_undecodable(buf_slice(&bytes), false, not_utf8);
        buf_done(&bytes);
    }
}

static void passes_over_unknown_protobuf_fields(void **state)
{
    static const struct slice unknown[] = {
        SLICE("\x78\x01"),
        SLICE("\x79"
              "12345678"),
        SLICE("\x7d"
              "1234"),
        SLICE("\x7a\x03"
              "abc"),
        SLICE("\x7a\x00"),
        SLICE("\xa2\x06\x02\xff\xff"),
        SLICE("\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        struct buf bytes;
        buf_init(&bytes, 4096);
        make_example();
        buf_append_slice(&bytes, unknown[i]);
        pack_example(&bytes);
        buf_append_slice(&bytes, unknown[i]);
        expect_decodes_as_example(buf_slice(&bytes), false);
        buf_done(&bytes);
    }
}

static void the_last_of_repeated_single_fields_wins(void **state)
{
    (void)state;
    struct decoded decoded;
    decode(&decoded,
           SLICE("\x18\x05\x22\x01"
                 "a\x18\x06\x22\x02"
                 "bc"),
           false);
    assert_int_equal(decoded.status, STATUS_OK);
    assert_int_equal(decoded.input.user_id.value, 6);
    assert_text(decoded.input.schedule.name.text, "bc");
    decoded_done(&decoded);
}

static void numbers_reach_both_ends_of_their_range(void **state)
{
    static const int64_t numbers[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct decoded decoded;
        struct buf bytes;
        buf_init(&bytes, 4096);
        make_example();
        example.message.org_id = example.message.user_id = numbers[i];
        pack_example(&bytes);
        decode(&decoded, buf_slice(&bytes), false);
        assert_int_equal(decoded.status, STATUS_OK);
        assert_true(decoded.input.org_id.value == numbers[i] && decoded.input.user_id.value == numbers[i]);
        decoded_done(&decoded);
        buf_done(&bytes);
    }
}

static void refuses_bytes_that_are_no_protobuf_message(void **state)
{
    static const struct slice texts[] = {
        SLICE("{\"name\":\"x\"}"),
        SLICE("\x22\x05"
              "abc"),
        SLICE("\x22\xff\xff\xff\xff\x0f"),
        SLICE("\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        SLICE("\x18"),
        SLICE("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        SLICE("\x0b\x0c"),
        SLICE("\x3a\x02\x0a\x05"),
        SLICE("\x3a\x03\x0a\x01\x0a"),
        SLICE("\x42\x01\x0a"),
        SLICE("\x07"),
        SLICE("\x3d"
              "123"),
        SLICE("\x39"
              "1234567"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) expect_undecodable(texts[i], false, not_a_message);
}

static void a_command_cut_at_any_length_never_crashes(void **state)
{
    (void)state;
    struct buf bytes;
    size_t undecodable = 0;
    make_bytes(&bytes);
    for (size_t len = 1; len < bytes.len; len++) {
        struct decoded decoded;
        decode(&decoded, (struct slice){bytes.data, len}, false);
        assert_true(decoded.status == STATUS_OK || decoded.status == STATUS_UNDECODABLE);
        undecodable += decoded.status == STATUS_UNDECODABLE;
        decoded_done(&decoded);
    }
    assert_true(undecodable > bytes.len / 2);
    buf_done(&bytes);
}

static void a_command_with_any_byte_changed_never_crashes(void **state)
{
    (void)state;
    struct buf bytes;
    make_bytes(&bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        static const char changes[] = {'\x00', '\x01', '\x7f', '\x80', '\xff'};
        for (size_t j = 0; j < sizeof(changes); j++) {
            struct decoded decoded;
            char original = bytes.data[i];
            bytes.data[i] = changes[j];
            decode(&decoded, buf_slice(&bytes), false);
            assert_true(decoded.status == STATUS_OK || decoded.status == STATUS_UNDECODABLE);
            decoded_done(&decoded);
            bytes.data[i] = original;
        }
    }
    buf_done(&bytes);
}

static void empty_and_oversized_values_are_undecodable(void **state)
{
    (void)state;
    struct decoded decoded;
    expect_undecodable(SLICE(""), false, "the value is empty");
    expect_undecodable(SLICE(""), true, "the value is empty");
    char *big = calloc(1, COMMAND_BYTES_MAX + 1);
    memset(big, ' ', COMMAND_BYTES_MAX + 1);
    expect_undecodable((struct slice){big, COMMAND_BYTES_MAX + 1}, true, "the value is longer than 1 MiB");
    expect_undecodable((struct slice){big, COMMAND_BYTES_MAX + 1}, false, "the value is longer than 1 MiB");
    memcpy(big + COMMAND_BYTES_MAX - 2, "{}", 2);
    decode(&decoded, (struct slice){big, COMMAND_BYTES_MAX}, true);
    assert_int_equal(decoded.status, STATUS_OK);
    decoded_done(&decoded);
    free(big);
}

static void a_message_that_needs_more_than_the_arena_is_not_ok(void **state)
{
    (void)state;
    enum { WINDOWS = 200000 };
    char *bytes = malloc(4 + 2 * WINDOWS + 1);
    memcpy(bytes, "\x3a\x80\xb5\x18", 4); /* availability, 400,000 bytes of empty windows */
    for (size_t i = 0; i < WINDOWS; i++) memcpy(bytes + 4 + 2 * i, "\x0a\x00", 2);
    struct arena *arena = arena_new(1 << 20);
    struct command_input input;
    const char *reason = NULL;
    enum status status =
        command_decode((struct slice){bytes, 4 + 2 * WINDOWS}, COMMAND_CREATE, false, arena, &input, &reason);
    assert_int_equal(status, STATUS_TOO_LARGE);
    arena_free(arena);
    arena = arena_new((size_t)256 << 20);
    assert_int_equal(command_decode((struct slice){bytes, 4 + 2 * WINDOWS}, COMMAND_CREATE, false, arena, &input, &reason),
                     STATUS_OK);
    assert_int_equal(input.schedule.availability.len, WINDOWS);
    arena_free(arena);
    free(bytes);
}

/* ---- Confluent ---- */

static void reads_confluents_frame_with_both_spellings_of_the_first_message(void **state)
{
    static const struct slice frames[] = {SLICE("\0\0\0\0\x07\0"), SLICE("\0\xff\xff\xff\xff\x02\0")};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        struct buf bytes;
        buf_init(&bytes, 4096);
        buf_append_slice(&bytes, frames[i]);
        make_example();
        pack_example(&bytes);
        expect_decodes_as_example(buf_slice(&bytes), false);
        buf_done(&bytes);
    }
}

static void a_frame_around_nothing_is_the_empty_message(void **state)
{
    (void)state;
    struct decoded decoded;
    decode(&decoded, SLICE("\0\0\0\0\x07\0"), false);
    assert_int_equal(decoded.status, STATUS_OK);
    assert_int_equal(decoded.input.user_id.value, 0);
    decoded_done(&decoded);
}

static void refuses_frames_that_are_none(void **state)
{
    static const struct slice frames[] = {
        SLICE("\0"),
        SLICE("\0\0"),
        SLICE("\0\0\0\0\x07"),
        SLICE("\0\0\0\0\x07\x02"),
        SLICE("\0\0\0\0\x07\x02\x02"),
        SLICE("\0\0\0\0\x07\x04\0\0"),
        SLICE("\0\0\0\0\x07\x01"),
        SLICE("\0\0\0\0\x07\xff\xff\xff\xff\x0f"),
        SLICE("\0{\"name\":1}"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) expect_undecodable(frames[i], false, not_a_frame);
    expect_undecodable(SLICE("\0\0\0\0\x07\0\x22\x05"
                             "abc"),
                       false, not_a_message);
}

/* ---- JSON ---- */

static void reads_a_json_command(void **state)
{
    (void)state;
    expect_decodes_as_example(
        SLICE("{\"commandId\":\"" ID
              "\",\"orgId\":7,\"userId\":478,\"name\":\"Catch up hours\",\"timeZone\":\"Europe/Rome\","
              "\"isDefault\":true,\"availability\":[{\"days\":[\"Monday\",\"Sunday\"],\"startTime\":\"17:00\",\"endTime\":"
              "\"19:00\"}],"
              "\"overrides\":[{\"date\":\"2024-05-20\",\"startTime\":\"18:00\",\"endTime\":\"21:00\"}]}"),
        true);
}

static void json_ids_are_whole_numbers_of_64_bits(void **state)
{
    static const struct {
        const char *org_id;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"-0", true, 0},
        {"null", true, 0},
        {"1.0", true, 1},
        {"-1e3", true, -1000},
        {"9007199254740991.0", true, 9007199254740991},
        {"9007199254740992.0", false, 0},
        {"1.5", false, 0},
        {"\"5\"", false, 0},
        {"true", false, 0},
        {"[5]", false, 0},
        {"{}", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[128];
        struct decoded decoded;
        snprintf(text, sizeof(text), "{\"orgId\":%s,\"userId\":%s}", cases[i].org_id, cases[i].org_id);
        decode(&decoded, slice_of(text), true);
        assert_int_equal(decoded.status, STATUS_OK);
        if (decoded.input.org_id.is_usable != cases[i].ok) fail_msg("orgId %s", cases[i].org_id);
        assert_int_equal(decoded.input.user_id.is_usable, cases[i].ok);
        if (cases[i].ok) assert_true(decoded.input.org_id.value == cases[i].value);
        decoded_done(&decoded);
    }
}

static void json_ids_beyond_64_bits_are_no_ids(void **state)
{
    (void)state;
    static const char *const texts[] = {"9223372036854775808", "-9223372036854775809", "1e999", "-1e999"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char text[128];
        struct decoded decoded;
        snprintf(text, sizeof(text), "{\"orgId\":9223372036854775807,\"userId\":%s,\"ignored\":1e400}", texts[i]);
        decode(&decoded, slice_of(text), true);
        assert_int_equal(decoded.status, STATUS_OK);
        assert_false(decoded.input.user_id.is_usable);
        assert_true(decoded.input.org_id.is_usable);
        assert_int_equal(decoded.input.org_id.value, INT64_MAX);
        decoded_done(&decoded);
    }
}

static void missing_json_ids_are_0(void **state)
{
    (void)state;
    struct decoded decoded;
    decode(&decoded, SLICE("{}"), true);
    assert_int_equal(decoded.status, STATUS_OK);
    assert_true(decoded.input.org_id.is_usable && decoded.input.user_id.is_usable);
    assert_int_equal(decoded.input.org_id.value, 0);
    assert_int_equal(decoded.input.user_id.value, 0);
    assert_int_equal(decoded.input.command_id.kind, INPUT_ABSENT);
    assert_int_equal(decoded.input.schedule.name.kind, INPUT_ABSENT);
    decoded_done(&decoded);
    decode(&decoded, SLICE("{\"commandId\":5,\"name\":[]}"), true);
    assert_int_equal(decoded.input.command_id.kind, INPUT_OTHER);
    assert_int_equal(decoded.input.schedule.name.kind, INPUT_OTHER);
    decoded_done(&decoded);
}

static void json_that_is_no_object_is_undecodable(void **state)
{
    static const char *const texts[] = {"[]", "5", "\"x\"", "null", "true", "[{}]"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        expect_undecodable(slice_of(texts[i]), true, "the value is not a JSON object");
    }
    expect_undecodable(SLICE("{"), true, not_json);
    expect_undecodable(SLICE("{}x"), true, not_json);
    expect_undecodable(SLICE("\0\0\0\0\x01\0"), true, not_json);
    expect_undecodable(SLICE("{\"name\":\"\xff\"}"), true, not_json);
}

static void json_texts_outlive_the_document(void **state)
{
    (void)state;
    struct decoded decoded;
    decode(&decoded,
           SLICE("{\"name\":\"a\\u0000b\",\"availability\":{\"startTime\":\"x\"},\"overrides\":[{\"date\":\"d\"},5]}"),
           true);
    assert_int_equal(decoded.status, STATUS_OK);
    assert_bytes(decoded.input.schedule.name.text, SLICE("a\0b"));
    assert_true(decoded.input.schedule.availability.is_object);
    assert_text(decoded.input.schedule.availability.items[0].start_time.text, "x");
    assert_text(decoded.input.schedule.overrides.items[0].date.text, "d");
    assert_false(decoded.input.schedule.overrides.items[1].is_object);
    decoded_done(&decoded);
}

static void json_lists_longer_than_their_maximum_keep_their_length(void **state)
{
    (void)state;
    struct decoded decoded;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "{\"availability\":[{\"startTime\":\"a\"}");
    for (int i = 1; i < 150; i++) buf_printf(&text, ",{\"startTime\":\"a\"}");
    buf_printf(&text, "],\"overrides\":[{\"date\":\"d\"}");
    for (int i = 1; i < 1500; i++) buf_printf(&text, ",{\"date\":\"d\"}");
    buf_printf(&text, "]}");
    decode(&decoded, buf_slice(&text), true);
    assert_int_equal(decoded.status, STATUS_OK);
    assert_int_equal(decoded.input.schedule.availability.len, 150);
    assert_text(decoded.input.schedule.availability.items[99].start_time.text, "a");
    assert_int_equal(decoded.input.schedule.overrides.len, 1500);
    assert_text(decoded.input.schedule.overrides.items[999].date.text, "d");
    decoded_done(&decoded);
    buf_done(&text);
}

static void says_too_large_at_every_arena_that_is_too_small_for_json(void **state)
{
    static const char text[] = "{\"commandId\":\"c\",\"name\":\"n\",\"availability\":[{\"days\":[\"Monday\"],\"startTime\":"
                               "\"s\"}],\"overrides\":[{}]}";
    (void)state;
    size_t too_large = 0;
    size_t ok = 0;
    for (size_t size = 0; size < 4096; size += 16) {
        struct arena *arena = arena_new(size);
        struct command_input input;
        const char *reason = NULL;
        enum status status = command_decode(slice_of(text), COMMAND_CREATE, true, arena, &input, &reason);
        assert_true(status == STATUS_OK || status == STATUS_TOO_LARGE);
        if (status == STATUS_OK) ok++;
        else too_large++;
        arena_free(arena);
    }
    assert_true(ok > 0 && too_large > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_protobuf_command),
        cmocka_unit_test(absent_protobuf_fields_have_protos_defaults),
        cmocka_unit_test(absent_and_empty_availability_differ),
        cmocka_unit_test(unknown_weekday_numbers_are_no_days),
        cmocka_unit_test(a_nul_inside_a_protobuf_text_is_kept),
        cmocka_unit_test(text_that_is_not_utf8_is_undecodable_in_every_field),
        cmocka_unit_test(passes_over_unknown_protobuf_fields),
        cmocka_unit_test(the_last_of_repeated_single_fields_wins),
        cmocka_unit_test(numbers_reach_both_ends_of_their_range),
        cmocka_unit_test(refuses_bytes_that_are_no_protobuf_message),
        cmocka_unit_test(a_command_cut_at_any_length_never_crashes),
        cmocka_unit_test(a_command_with_any_byte_changed_never_crashes),
        cmocka_unit_test(empty_and_oversized_values_are_undecodable),
        cmocka_unit_test(a_message_that_needs_more_than_the_arena_is_not_ok),
        cmocka_unit_test(reads_confluents_frame_with_both_spellings_of_the_first_message),
        cmocka_unit_test(a_frame_around_nothing_is_the_empty_message),
        cmocka_unit_test(refuses_frames_that_are_none),
        cmocka_unit_test(reads_a_json_command),
        cmocka_unit_test(json_ids_are_whole_numbers_of_64_bits),
        cmocka_unit_test(json_ids_beyond_64_bits_are_no_ids),
        cmocka_unit_test(missing_json_ids_are_0),
        cmocka_unit_test(json_that_is_no_object_is_undecodable),
        cmocka_unit_test(json_texts_outlive_the_document),
        cmocka_unit_test(json_lists_longer_than_their_maximum_keep_their_length),
        cmocka_unit_test(says_too_large_at_every_arena_that_is_too_small_for_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
