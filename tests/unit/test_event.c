/* What the service emits: packed records, events in protobuf and JSON decoded back, rejections, dead letters, and the digest
 * that tells one command's content from another's. */
#include "support.h"

#include <jansson.h>

#include "codec/command_digest.h"
#include "codec/dead_letter.h"
#include "codec/event.h"
#include "codec/schedule_json.h"
#include "codec/schedule_protobuf.h"
#include "schedules/v1/schedule_command_rejected.pb-c.h"
#include "schedules/v1/schedule_created.pb-c.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

static const int64_t at_us = 1795325544653999; /* 2026-11-22T05:32:24.653999Z */
static const struct event_context as_protobuf = {SLICE("/here"), false};
static const struct event_context as_json = {SLICE("/here"), true};
static const struct record_origin origin = {SLICE("commands"), 3, 12345678901};

static const uint8_t days_of_first[] = {MONDAY, SUNDAY, MONDAY};
static const uint8_t days_of_second[] = {FRIDAY};
static const struct availability_window windows[] = {{days_of_first, 3, 0, 1439}, {days_of_second, 1, 540, 1020}};
static const struct date_override overrides[] = {{{2024, 5, 20}, 1080, 1260}, {{1, 1, 1}, 0, 0}};

static struct command make_command(void)
{
    struct command command = {.org_id = 7,
                              .user_id = 478,
                              .schedule = {.name = SLICE("Caf\xc3\xa9 \"x\"\n"),
                                           .time_zone = SLICE("Europe/Rome"),
                                           .is_default = true,
                                           .windows = windows,
                                           .windows_len = 2,
                                           .overrides = overrides,
                                           .overrides_len = 2}};
    assert_true(uuid_parse(SLICE(ID), &command.command_id));
    return command;
}

static struct schedule_event make_event(const struct command *command, struct slice traceparent)
{
    return (struct schedule_event){.type = SCHEDULE_CREATED,
                                   .stored = {.id = 254,
                                              .owner_id = command->user_id,
                                              .org_id = command->org_id,
                                              .version = 1,
                                              .schedule = command->schedule},
                                   .command_id = SLICE(ID),
                                   .occurred_us = at_us,
                                   .traceparent = traceparent};
}

/* ---- packed records ---- */

static bool unpack(struct slice bytes, struct record *record)
{
    return record_take(&bytes, record) && bytes.len == 0;
}

static bool unpack_exact(struct slice bytes, struct record *record)
{
    struct slice copy = exact_copy(bytes);
    bool ok = unpack(copy, record);
    free_copy(copy);
    return ok;
}

static void make_record(struct record *record)
{
    *record = (struct record){.topic = RECORD_DEAD_LETTER, .key = SLICE("k\0y"), .value = SLICE("v")};
    record_add_header(record, SLICE("one"), SLICE("1"));
    record_add_header(record, SLICE(""), SLICE(""));
    record_add_header(record, SLICE("none"), (struct slice){NULL, 0});
}

static void record_is_unpacked_as_it_was_packed(void **state)
{
    (void)state;
    struct record record;
    struct record back;
    struct buf bytes;
    make_record(&record);
    buf_init(&bytes, 4096);
    record_pack(&bytes, &record);
    assert_true(unpack(buf_slice(&bytes), &back));
    assert_int_equal(back.topic, RECORD_DEAD_LETTER);
    assert_bytes(back.key, SLICE("k\0y"));
    assert_bytes(back.value, SLICE("v"));
    assert_int_equal(back.headers_len, 3);
    assert_text(back.headers[0].name, "one");
    assert_text(back.headers[0].value, "1");
    assert_text(back.headers[1].name, "");
    assert_non_null(back.headers[1].value.data);
    assert_int_equal(back.headers[1].value.len, 0);
    assert_text(back.headers[2].name, "none");
    assert_null(back.headers[2].value.data);
    buf_done(&bytes);
}

static void records_are_taken_one_after_the_other(void **state)
{
    (void)state;
    struct record record;
    struct record back;
    struct buf bytes;
    make_record(&record);
    buf_init(&bytes, 4096);
    record_pack(&bytes, &record);
    record.value = SLICE("second");
    record_pack(&bytes, &record);
    buf_append(&bytes, "rest", 4);
    struct slice rest = buf_slice(&bytes);
    assert_true(record_take(&rest, &back));
    assert_bytes(back.value, SLICE("v"));
    assert_true(record_take(&rest, &back));
    assert_bytes(back.value, SLICE("second"));
    assert_false(record_take(&rest, &back));
    assert_text(rest, "rest");
    buf_done(&bytes);
}

static void record_keeps_null_and_empty_apart(void **state)
{
    static const struct slice none = {NULL, 0};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct record record = {.topic = RECORD_EVENT, .key = i & 1 ? none : SLICE(""), .value = i & 2 ? none : SLICE("")};
        struct record back;
        struct buf bytes;
        buf_init(&bytes, 4096);
        record_pack(&bytes, &record);
        assert_true(unpack(buf_slice(&bytes), &back));
        assert_int_equal(back.key.data == NULL, (i & 1) != 0);
        assert_int_equal(back.value.data == NULL, (i & 2) != 0);
        buf_done(&bytes);
    }
}

static void record_has_the_documented_bytes(void **state)
{
    (void)state;
    struct record record = {.topic = RECORD_EVENT, .key = {NULL, 0}, .value = SLICE("ab")};
    struct buf bytes;
    record_add_header(&record, SLICE("h"), SLICE(""));
    buf_init(&bytes, 4096);
    record_pack(&bytes, &record);
    assert_bytes(buf_slice(&bytes), SLICE("\x01\x01\x01\xff\xff\xff\xff\x02\0\0\0ab\x01\0\0\0h\0\0\0\0"));
    buf_done(&bytes);
}

static void record_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    struct record record;
    struct record back;
    struct buf bytes;
    make_record(&record);
    buf_init(&bytes, 4096);
    record_pack(&bytes, &record);
    for (size_t len = 0; len < bytes.len; len++) assert_false(unpack_exact((struct slice){bytes.data, len}, &back));
    assert_true(unpack_exact(buf_slice(&bytes), &back));
    buf_append_char(&bytes, 'x');
    assert_false(unpack_exact(buf_slice(&bytes), &back)); /* and so is one with something behind it */
    buf_done(&bytes);
}

static void record_of_other_making_is_refused(void **state)
{
    static const struct slice texts[] = {
        SLICE(""),
        SLICE("\x02\x01\x00\0\0\0\0\0\0\0\0"),
        SLICE("\x00\x01\x00\0\0\0\0\0\0\0\0"),
        SLICE("\x01\x00\x00\0\0\0\0\0\0\0\0"),
        SLICE("\x01\x03\x00\0\0\0\0\0\0\0\0"),
        SLICE("\x01\xff\x00\0\0\0\0\0\0\0\0"),
        SLICE("\x01\x01\x81\0\0\0\0\0\0\0\0"),
        SLICE("\x01\x01\x00\xfe\xff\xff\xff\0\0\0\0"),
        SLICE("\x01\x01\x00\0\0\0\x80\0\0\0\0"),
        SLICE("\x01\x01\xff\0\0\0\0\0\0\0\0"),
        SLICE("\x01\x01\x01\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0") /* a header has a name */,
    };
    (void)state;
    struct record back;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (unpack_exact(texts[i], &back)) fail_msg("text %zu passed", i);
    }
    assert_true(unpack_exact(SLICE("\x01\x01\x00\0\0\0\0\0\0\0\0"), &back));
}

static void record_holds_128_headers_and_leaves_out_more(void **state)
{
    (void)state;
    struct record record = {.topic = RECORD_EVENT, .key = SLICE("k"), .value = SLICE("v")};
    struct record back;
    struct buf bytes;
    for (int i = 0; i < 200; i++) record_add_header(&record, SLICE("h"), SLICE("v"));
    assert_int_equal(record.headers_len, RECORD_HEADERS_MAX);
    assert_int_equal(record.headers_left_out, 72);
    buf_init(&bytes, 1 << 16);
    record_pack(&bytes, &record);
    assert_true(unpack(buf_slice(&bytes), &back));
    assert_int_equal(back.headers_len, 128);
    buf_done(&bytes);
}

/* ---- events ---- */

/* What was emitted, unpacked; record and text borrow from bytes. */
struct emitted {
    struct arena *arena;
    struct buf bytes;
    struct record record;
    struct buf headers; /* "name=value\n" for each */
};

static void emitted_start(struct emitted *emitted)
{
    emitted->arena = make_arena();
    buf_init(&emitted->bytes, 4 << 20);
    buf_init(&emitted->headers, 1 << 20);
}

static void emitted_read(struct emitted *emitted)
{
    assert_false(emitted->bytes.failed);
    assert_true(unpack(buf_slice(&emitted->bytes), &emitted->record));
    for (size_t i = 0; i < emitted->record.headers_len; i++) {
        buf_append_slice(&emitted->headers, emitted->record.headers[i].name);
        buf_append_char(&emitted->headers, '=');
        buf_append_slice(&emitted->headers, emitted->record.headers[i].value);
        buf_append_char(&emitted->headers, '\n');
    }
}

static void emitted_done(struct emitted *emitted)
{
    buf_done(&emitted->bytes);
    buf_done(&emitted->headers);
    arena_free(emitted->arena);
}

static void make_created(struct emitted *emitted, const struct event_context *context, const struct command *command,
                         struct slice traceparent)
{
    emitted_start(emitted);
    struct schedule_event event = make_event(command, traceparent);
    event_schedule(&emitted->bytes, context, &event);
    emitted_read(emitted);
}

#define CE(type_, id_, format_)                                                                                             \
    "content-type=application/" format_ "\nce_specversion=1.0\nce_id=" id_ "\nce_source=/here\nce_type=schedules.v1." type_ \
    "\nce_time=2026-11-22T05:32:24.653Z\n"

static struct slice text_of(ProtobufCBinaryData bytes)
{
    return (struct slice){(const char *)bytes.data, bytes.len};
}

static void created_is_a_cloud_event_in_binary_mode(void **state)
{
    (void)state;
    struct emitted emitted;
    struct command command = make_command();
    make_created(&emitted, &as_protobuf, &command, SLICE(""));
    assert_int_equal(emitted.record.topic, RECORD_EVENT);
    assert_text(emitted.record.key, "478");
    assert_buf(&emitted.headers, CE("ScheduleCreated", "254.1", "protobuf") "ce_subject=254\n");
    emitted_done(&emitted);
    make_created(&emitted, &as_json, &command, SLICE("00-abc-def-01"));
    assert_text(emitted.record.key, "478");
    assert_buf(&emitted.headers, CE("ScheduleCreated", "254.1", "json") "ce_subject=254\ntraceparent=00-abc-def-01\n");
    emitted_done(&emitted);
}

static void changes_have_their_own_types_and_the_same_content(void **state)
{
    static const char *const headers[] = {
        [SCHEDULE_UPDATED] = CE("ScheduleUpdated", "254.3", "protobuf") "ce_subject=254\n",
        [SCHEDULE_DELETED] = CE("ScheduleDeleted", "254.3", "protobuf") "ce_subject=254\n",
    };
    (void)state;
    struct command command = make_command();
    struct schedule_event event = make_event(&command, SLICE(""));
    struct emitted created;
    event.stored.version = 3;
    emitted_start(&created);
    event_schedule(&created.bytes, &as_protobuf, &event);
    emitted_read(&created);
    for (int type = SCHEDULE_UPDATED; type <= SCHEDULE_DELETED; type++) {
        struct emitted changed;
        event.type = (enum schedule_event_type)type;
        emitted_start(&changed);
        event_schedule(&changed.bytes, &as_protobuf, &event);
        emitted_read(&changed);
        assert_buf(&changed.headers, headers[type]);
        assert_bytes(changed.record.value, created.record.value);
        emitted_done(&changed);
    }
    emitted_done(&created);
}

static void events_tell_which_version_of_which_schedule_they_are(void **state)
{
    (void)state;
    struct emitted emitted;
    struct command command = make_command();
    struct record rejected;
    make_created(&emitted, &as_json, &command, SLICE(""));
    assert_int_equal(event_schedule_id(&emitted.record), 254);
    assert_int_equal(event_schedule_version(&emitted.record), 1);
    emitted_done(&emitted);
    record_start(&rejected, RECORD_EVENT, SLICE("478"), SLICE(""));
    record_add_header(&rejected, SLICE("ce_id"), SLICE("commands/3/12"));
    assert_int_equal(event_schedule_id(&rejected), 0);
    assert_int_equal(event_schedule_version(&rejected), 0);
}

static void created_in_protobuf_holds_the_whole_schedule(void **state)
{
    (void)state;
    struct emitted emitted;
    struct command command = make_command();
    make_created(&emitted, &as_protobuf, &command, SLICE(""));
    Schedules__V1__ScheduleCreated *event =
        schedules__v1__schedule_created__unpack(NULL, emitted.record.value.len, (const uint8_t *)emitted.record.value.data);
    assert_non_null(event);
    assert_text(text_of(event->command_id), ID);
    assert_int_equal(event->occurred_at->seconds, at_us / 1000000);
    assert_int_equal(event->occurred_at->nanos, 653999000);
    const Schedules__V1__Schedule *schedule = event->schedule;
    assert_int_equal(schedule->id, 254);
    assert_int_equal(schedule->owner_id, 478);
    assert_int_equal(schedule->org_id, 7);
    assert_text(text_of(schedule->name), "Caf\xc3\xa9 \"x\"\n");
    assert_text(text_of(schedule->time_zone), "Europe/Rome");
    assert_true(schedule->is_default);
    assert_int_equal(schedule->version, 1);
    assert_int_equal(schedule->n_availability, 2);
    assert_int_equal(schedule->availability[0]->n_days, 3);
    assert_int_equal(schedule->availability[0]->days[0], SCHEDULES__V1__WEEKDAY__WEEKDAY_MONDAY);
    assert_int_equal(schedule->availability[0]->days[1], SCHEDULES__V1__WEEKDAY__WEEKDAY_SUNDAY);
    assert_int_equal(schedule->availability[0]->days[2], SCHEDULES__V1__WEEKDAY__WEEKDAY_MONDAY);
    assert_text(text_of(schedule->availability[0]->start_time), "00:00");
    assert_text(text_of(schedule->availability[0]->end_time), "23:59");
    assert_int_equal(schedule->availability[1]->n_days, 1);
    assert_int_equal(schedule->availability[1]->days[0], SCHEDULES__V1__WEEKDAY__WEEKDAY_FRIDAY);
    assert_text(text_of(schedule->availability[1]->start_time), "09:00");
    assert_text(text_of(schedule->availability[1]->end_time), "17:00");
    assert_int_equal(schedule->n_overrides, 2);
    assert_text(text_of(schedule->overrides[0]->date), "2024-05-20");
    assert_text(text_of(schedule->overrides[0]->start_time), "18:00");
    assert_text(text_of(schedule->overrides[0]->end_time), "21:00");
    assert_text(text_of(schedule->overrides[1]->date), "0001-01-01");
    assert_text(text_of(schedule->overrides[1]->end_time), "00:00");
    schedules__v1__schedule_created__free_unpacked(event, NULL);
    emitted_done(&emitted);
}

static void created_in_json_holds_the_whole_schedule(void **state)
{
    (void)state;
    struct emitted emitted;
    struct command command = make_command();
    make_created(&emitted, &as_json, &command, SLICE(""));
    assert_text(
        emitted.record.value,
        "{\"schedule\":{\"id\":254,\"ownerId\":478,\"orgId\":7,\"name\":\"Caf\xc3\xa9 "
        "\\\"x\\\"\\n\",\"timeZone\":\"Europe/Rome\","
        "\"availability\":[{\"days\":[\"Monday\",\"Sunday\",\"Monday\"],\"startTime\":\"00:00\",\"endTime\":\"23:59\"},"
        "{\"days\":[\"Friday\"],\"startTime\":\"09:00\",\"endTime\":\"17:00\"}],\"isDefault\":true,\"overrides\":["
        "{\"date\":\"2024-05-20\",\"startTime\":\"18:00\",\"endTime\":\"21:00\"},"
        "{\"date\":\"0001-01-01\",\"startTime\":\"00:00\",\"endTime\":\"00:00\"}],\"version\":1},"
        "\"commandId\":\"" ID "\",\"occurredAt\":\"2026-11-22T05:32:24.653Z\"}");
    emitted_done(&emitted);
}

static void created_of_an_own_empty_schedule_has_empty_lists(void **state)
{
    (void)state;
    struct emitted emitted;
    struct command command = make_command();
    command.org_id = 0;
    command.schedule = (struct schedule){.name = SLICE(""), .time_zone = SLICE("UTC")};
    make_created(&emitted, &as_protobuf, &command, SLICE(""));
    Schedules__V1__ScheduleCreated *event =
        schedules__v1__schedule_created__unpack(NULL, emitted.record.value.len, (const uint8_t *)emitted.record.value.data);
    assert_non_null(event);
    assert_int_equal(event->schedule->org_id, 0);
    assert_int_equal(event->schedule->name.len, 0);
    assert_int_equal(event->schedule->n_availability, 0);
    assert_int_equal(event->schedule->n_overrides, 0);
    assert_false(event->schedule->is_default);
    schedules__v1__schedule_created__free_unpacked(event, NULL);
    emitted_done(&emitted);
    make_created(&emitted, &as_json, &command, SLICE(""));
    assert_text(
        emitted.record.value,
        "{\"schedule\":{\"id\":254,\"ownerId\":478,\"orgId\":0,\"name\":\"\",\"timeZone\":\"UTC\",\"availability\":[],"
        "\"isDefault\":false,\"overrides\":[],\"version\":1},\"commandId\":\"" ID
        "\",\"occurredAt\":\"2026-11-22T05:32:24.653Z\"}");
    emitted_done(&emitted);
}

static void the_same_change_gives_the_same_bytes(void **state)
{
    (void)state;
    struct emitted first;
    struct emitted second;
    struct command command = make_command();
    make_created(&first, &as_protobuf, &command, SLICE("t"));
    make_created(&second, &as_protobuf, &command, SLICE("t"));
    assert_bytes(buf_slice(&first.bytes), buf_slice(&second.bytes));
    emitted_done(&first);
    emitted_done(&second);
}

static struct violation violation_items[] = {
    {SLICE("name"), SLICE("isString"), SLICE("name must be a string")},
    {SLICE("availability.0.days"), SLICE("isIn"), SLICE("a \"b\"")},
};
static const struct violations two_violations = {.items = violation_items, .len = 2, .capacity = 2};

static void make_rejected(struct emitted *emitted, const struct event_context *context, struct slice traceparent)
{
    emitted_start(emitted);
    event_rejected(&emitted->bytes, context, SLICE("not a uuid \"\0"), 7, 478, &two_violations, &origin, at_us, traceparent,
                   emitted->arena);
    emitted_read(emitted);
}

static void rejected_tells_the_violations_in_protobuf(void **state)
{
    (void)state;
    struct emitted emitted;
    make_rejected(&emitted, &as_protobuf, SLICE("tp"));
    assert_int_equal(emitted.record.topic, RECORD_EVENT);
    assert_text(emitted.record.key, "478");
    assert_buf(&emitted.headers, CE("ScheduleCommandRejected", "commands/3/12345678901", "protobuf") "traceparent=tp\n");
    Schedules__V1__ScheduleCommandRejected *event =
        schedules__v1__schedule_command_rejected__unpack(NULL, emitted.record.value.len,
                                                         (const uint8_t *)emitted.record.value.data);
    assert_non_null(event);
    assert_bytes(text_of(event->command_id), SLICE("not a uuid \"\0"));
    assert_int_equal(event->org_id, 7);
    assert_int_equal(event->user_id, 478);
    assert_int_equal(event->occurred_at->seconds, at_us / 1000000);
    assert_int_equal(event->n_violations, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_bytes(text_of(event->violations[i]->property), violation_items[i].property);
        assert_bytes(text_of(event->violations[i]->constraint), violation_items[i].constraint);
        assert_bytes(text_of(event->violations[i]->message), violation_items[i].message);
    }
    schedules__v1__schedule_command_rejected__free_unpacked(event, NULL);
    emitted_done(&emitted);
}

static void rejected_tells_the_violations_in_json(void **state)
{
    (void)state;
    struct emitted emitted;
    make_rejected(&emitted, &as_json, SLICE(""));
    assert_buf(&emitted.headers, CE("ScheduleCommandRejected", "commands/3/12345678901", "json"));
    assert_text(emitted.record.value,
                "{\"commandId\":\"not a uuid \\\"\\u0000\",\"orgId\":7,\"userId\":478,\"violations\":["
                "{\"property\":\"name\",\"constraint\":\"isString\",\"message\":\"name must be a string\"},"
                "{\"property\":\"availability.0.days\",\"constraint\":\"isIn\",\"message\":\"a \\\"b\\\"\"}],"
                "\"occurredAt\":\"2026-11-22T05:32:24.653Z\"}");
    emitted_done(&emitted);
}

static void dead_letter_keeps_the_message_and_adds_where_it_was(void **state)
{
    (void)state;
    struct emitted emitted;
    struct record original;
    make_record(&original);
    emitted_start(&emitted);
    dead_letter_pack(&emitted.bytes, &original, SLICE("because"), &origin, 1 << 20);
    emitted_read(&emitted);
    assert_int_equal(emitted.record.topic, RECORD_DEAD_LETTER);
    assert_bytes(emitted.record.key, SLICE("k\0y"));
    assert_bytes(emitted.record.value, SLICE("v"));
    assert_buf(&emitted.headers, "one=1\n=\nnone=\ndead-letter-reason=because\ndead-letter-topic=commands\n"
                                 "dead-letter-partition=3\ndead-letter-offset=12345678901\n");
    assert_null(emitted.record.headers[2].value.data);
    emitted_done(&emitted);
}

static void dead_letter_of_a_null_message_is_null(void **state)
{
    (void)state;
    struct emitted emitted;
    struct record original = {.key = {NULL, 0}, .value = {NULL, 0}};
    emitted_start(&emitted);
    dead_letter_pack(&emitted.bytes, &original, SLICE("r"), &origin, 1 << 20);
    emitted_read(&emitted);
    assert_null(emitted.record.key.data);
    assert_null(emitted.record.value.data);
    assert_int_equal(emitted.record.headers_len, 4);
    emitted_done(&emitted);
}

static void events_say_when_there_is_no_room(void **state)
{
    (void)state;
    struct command command = make_command();
    struct schedule_event event = make_event(&command, SLICE(""));
    const struct event_context *const contexts[] = {&as_protobuf, &as_json};
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
        struct buf tiny;
        buf_init(&tiny, 100);
        event_schedule(&tiny, contexts[i], &event);
        assert_int_equal(buf_status(&tiny), STATUS_TOO_LARGE);
        buf_done(&tiny);
    }
}

/* What protobuf-c reads of it, it packs to the same bytes: nothing is left out, out of order or of a wrong length. */
static void must_be_canonical(const struct schedule_event *event)
{
    struct buf value;
    buf_init(&value, 1 << 20);
    schedule_protobuf_write(&value, event);
    Schedules__V1__ScheduleCreated *read =
        schedules__v1__schedule_created__unpack(NULL, value.len, (const uint8_t *)value.data);
    assert_non_null(read);
    assert_int_equal(read->base.n_unknown_fields, 0);
    assert_int_equal(read->schedule->base.n_unknown_fields, 0);
    assert_int_equal(read->schedule->id, event->stored.id);
    assert_int_equal(read->schedule->owner_id, event->stored.owner_id);
    assert_int_equal(read->schedule->org_id, event->stored.org_id);
    assert_int_equal(read->schedule->version, event->stored.version);
    assert_int_equal(read->schedule->is_default, event->stored.schedule.is_default);
    assert_bytes(text_of(read->schedule->name), event->stored.schedule.name);
    assert_int_equal(read->schedule->n_availability, event->stored.schedule.windows_len);
    assert_int_equal(read->schedule->n_overrides, event->stored.schedule.overrides_len);
    assert_int_equal(read->occurred_at->seconds, event->occurred_us / 1000000);
    assert_int_equal(read->occurred_at->nanos, event->occurred_us % 1000000 * 1000);
    struct buf packed;
    buf_init(&packed, 1 << 20);
    char *to = buf_extend(&packed, schedules__v1__schedule_created__get_packed_size(read));
    assert_non_null(to);
    schedules__v1__schedule_created__pack(read, (uint8_t *)to);
    assert_bytes(buf_slice(&value), buf_slice(&packed));
    schedules__v1__schedule_created__free_unpacked(read, NULL);
    buf_done(&packed);
    buf_done(&value);
}

static void values_are_the_bytes_that_protobuf_c_packs(void **state)
{
    static const int64_t numbers[] = {1, 127, 128, 16383, 16384, INT64_C(1) << 53, INT64_MAX};
    static struct availability_window many[SCHEDULE_WINDOWS_MAX];
    static char long_name[1020];
    (void)state;
    struct command command = make_command();
    struct schedule_event event = make_event(&command, SLICE(""));
    must_be_canonical(&event);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        event.stored.id = event.stored.version = numbers[i];
        must_be_canonical(&event);
    }
    memset(long_name, 'n', sizeof(long_name));
    for (size_t len = 0; len <= sizeof(long_name); len += 60) {
        event.stored.schedule.name = (struct slice){long_name, len};
        must_be_canonical(&event);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++) many[i] = windows[i % 2];
    event.stored.schedule.windows = many;
    for (size_t len = 0; len <= ARRAY_LEN(many); len += 10) {
        event.stored.schedule.windows_len = len;
        must_be_canonical(&event);
    }
    event.stored.org_id = 0;
    event.stored.schedule.is_default = false;
    event.stored.schedule.overrides_len = 0;
    event.occurred_us = 1795325544000000;
    must_be_canonical(&event);
}

/* ---- the digest ---- */

static void digest_of(const struct command *command, uint8_t digest[16])
{
    struct buf availability;
    struct buf overridden;
    buf_init(&availability, 1 << 20);
    buf_init(&overridden, 1 << 20);
    availability_write_json(&availability, &command->schedule);
    overrides_write_json(&overridden, &command->schedule);
    struct command_digester *digester = command_digester_new();
    assert_non_null(digester);
    assert_int_equal(command_digest(digester, command, buf_slice(&availability), buf_slice(&overridden), digest), STATUS_OK);
    command_digester_free(digester);
    buf_done(&availability);
    buf_done(&overridden);
}

static void digest_differs_for_every_single_change(void **state)
{
    static const uint8_t other_days[] = {MONDAY, SUNDAY};
    static const struct availability_window more_days[] = {{other_days, 2, 0, 1439}, {days_of_second, 1, 540, 1020}};
    static const struct availability_window other_start[] = {{days_of_first, 3, 1, 1439}, {days_of_second, 1, 540, 1020}};
    static const struct availability_window other_end[] = {{days_of_first, 3, 0, 1438}, {days_of_second, 1, 540, 1020}};
    static const struct availability_window swapped[] = {{days_of_second, 1, 540, 1020}, {days_of_first, 3, 0, 1439}};
    static const struct date_override other_date[] = {{{2024, 5, 21}, 1080, 1260}, {{1, 1, 1}, 0, 0}};
    static const struct date_override other_times[] = {{{2024, 5, 20}, 1080, 1261}, {{1, 1, 1}, 0, 0}};
    enum { CASES = 16 };
    struct command commands[CASES];
    uint8_t digests[CASES][16];
    (void)state;
    for (size_t i = 0; i < CASES; i++) commands[i] = make_command();
    commands[1].org_id = 8;
    commands[2].user_id = 479;
    commands[3].schedule.name = SLICE("Caf\xc3\xa9 \"x\"");
    commands[4].schedule.time_zone = SLICE("Europe/Paris");
    commands[5].schedule.is_default = false;
    commands[6].schedule.windows = more_days;
    commands[7].schedule.windows = other_start;
    commands[8].schedule.windows = other_end;
    commands[9].schedule.windows = swapped;
    commands[10].schedule.windows_len = 1;
    commands[11].schedule.overrides = other_date;
    commands[12].schedule.overrides = other_times;
    commands[13].schedule.overrides_len = 1;
    commands[14].org_id = 478; /* the ids changed places */
    commands[14].user_id = 7;
    commands[15].schedule.name = SLICE("Caf\xc3\xa9 \"x\"\nEurope"); /* a letter moved from one text to the next */
    commands[15].schedule.time_zone = SLICE("/Rome");
    for (size_t i = 0; i < CASES; i++) digest_of(&commands[i], digests[i]);
    for (size_t i = 0; i < CASES; i++) {
        for (size_t j = 0; j < i; j++) {
            if (memcmp(digests[i], digests[j], 16) == 0) fail_msg("changes %zu and %zu", i, j);
        }
    }
}

static void digest_is_of_the_content_and_not_of_the_command_id(void **state)
{
    (void)state;
    struct command command = make_command();
    uint8_t first[16];
    uint8_t second[16];
    digest_of(&command, first);
    memset(command.command_id.bytes, 9, 16);
    digest_of(&command, second);
    assert_memory_equal(first, second, 16);
}

static void a_disabled_webhook_is_told_with_its_id_as_the_key(void **state)
{
    const struct webhook_disabled disabled = {.webhook_id = SLICE(ID),
                                              .user_id = 478,
                                              .reason = SLICE("gone"),
                                              .occurred_us = at_us};
    struct buf packed;
    struct record record;
    (void)state;
    buf_init(&packed, 1 << 16);
    event_webhook_disabled(&packed, &as_json, &disabled);
    struct slice bytes = buf_slice(&packed);
    assert_true(record_take(&bytes, &record));
    assert_text(record.key, ID);
    assert_text(record_header(&record, SLICE("ce_type")), "schedules.v1.WebhookDisabled");
    assert_text(record_header(&record, SLICE("ce_id")), ID "/1795325544653999");
    assert_int_equal(event_schedule_id(&record), 0);
    assert_text(record.value, "{\"webhookId\":\"" ID "\",\"userId\":478,\"orgId\":0,\"reason\":\"gone\","
                              "\"occurredAt\":\"2026-11-22T05:32:24.653Z\"}");
    buf_done(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disabled_webhook_is_told_with_its_id_as_the_key),
        cmocka_unit_test(record_is_unpacked_as_it_was_packed),
        cmocka_unit_test(records_are_taken_one_after_the_other),
        cmocka_unit_test(record_keeps_null_and_empty_apart),
        cmocka_unit_test(record_has_the_documented_bytes),
        cmocka_unit_test(record_cut_at_any_length_is_refused),
        cmocka_unit_test(record_of_other_making_is_refused),
        cmocka_unit_test(record_holds_128_headers_and_leaves_out_more),
        cmocka_unit_test(created_is_a_cloud_event_in_binary_mode),
        cmocka_unit_test(changes_have_their_own_types_and_the_same_content),
        cmocka_unit_test(events_tell_which_version_of_which_schedule_they_are),
        cmocka_unit_test(created_in_protobuf_holds_the_whole_schedule),
        cmocka_unit_test(created_in_json_holds_the_whole_schedule),
        cmocka_unit_test(created_of_an_own_empty_schedule_has_empty_lists),
        cmocka_unit_test(the_same_change_gives_the_same_bytes),
        cmocka_unit_test(rejected_tells_the_violations_in_protobuf),
        cmocka_unit_test(rejected_tells_the_violations_in_json),
        cmocka_unit_test(dead_letter_keeps_the_message_and_adds_where_it_was),
        cmocka_unit_test(dead_letter_of_a_null_message_is_null),
        cmocka_unit_test(events_say_when_there_is_no_room),
        cmocka_unit_test(values_are_the_bytes_that_protobuf_c_packs),
        cmocka_unit_test(digest_differs_for_every_single_change),
        cmocka_unit_test(digest_is_of_the_content_and_not_of_the_command_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
