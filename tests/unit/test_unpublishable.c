/* What takes the place of a record that Kafka refuses for good. */
#include "support.h"

#include <jansson.h>

#include "codec/event.h"
#include "codec/unpublishable.h"
#include "schedules/v1/event_unpublishable.pb-c.h"
#include "schedules/v1/schedule_command_rejected.pb-c.h"

static const struct record_origin origin = {SLICE("commands"), 3, 17};
static const struct event_context as_protobuf = {SLICE("/here"), false};
static const struct event_context as_json = {SLICE("/here"), true};

enum { LIMIT = 20000 };

/* Data NULL when there is none of that name. */
static struct slice header(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->headers_len; i++) {
        if (slice_equal(record->headers[i].name, slice_of(name))) return record->headers[i].value;
    }
    return (struct slice){NULL, 0};
}

static struct slice filled(char c, size_t len)
{
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memset(bytes, c, len);
    return (struct slice){bytes, len};
}

static enum status reduce(struct unpublishable *unpublishable, struct record *record)
{
    return unpublishable_reduce(unpublishable, record, LIMIT, SLICE("too large"));
}

/* ---- dead letters ---- */

static void make_letter(struct record *record, struct slice key, struct slice value)
{
    record_start(record, RECORD_DEAD_LETTER, key, value);
    record_add_header(record, SLICE("dead-letter-topic"), SLICE("commands"));
    record_add_header(record, SLICE("dead-letter-partition"), SLICE("3"));
    record_add_header(record, SLICE("dead-letter-offset"), SLICE("17"));
}

static void a_dead_letter_is_cut_to_what_the_topic_takes_and_further_while_it_is_refused(void **state)
{
    (void)state;
    struct unpublishable unpublishable;
    struct record record;
    struct slice value = filled('v', 100000);
    make_letter(&record, SLICE("key"), value);
    unpublishable_init(&unpublishable, &record);
    assert_int_equal(unpublishable.kind, UNPUBLISHABLE_DEAD_LETTER);
    size_t before = LIMIT + 1;
    int times = 0;
    while (reduce(&unpublishable, &record) == STATUS_OK) {
        size_t bytes = record_wire_bytes(&record);
        assert_true(bytes < before);
        assert_text(header(&record, "dead-letter-value-bytes"), "100000");
        assert_text(header(&record, "dead-letter-offset"), "17");
        assert_text(record.key, "key");
        before = bytes;
        times++;
    }
    assert_true(before <= DEAD_LETTER_BYTES_LEAST && times >= 3);
    unpublishable_done(&unpublishable);
    free_copy(value);
}

static void a_dead_letter_without_a_key_gets_its_place_as_one_before_it_is_cut(void **state)
{
    (void)state;
    struct unpublishable unpublishable;
    struct record record;
    struct slice value = filled('v', 10000);
    make_letter(&record, (struct slice){NULL, 0}, value);
    unpublishable_init(&unpublishable, &record);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
    assert_text(record.key, "commands/3/17");
    assert_int_equal(record.value.len, 10000);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
    assert_true(record.value.len < 10000);
    unpublishable_done(&unpublishable);
    free_copy(value);
}

/* ---- rejections ---- */

static void make_rejection(struct buf *out, const struct event_context *context, struct slice command_id, size_t len,
                           size_t message_len)
{
    struct arena *arena = make_arena();
    struct violations violations = {0};
    struct slice message = filled('m', message_len);
    for (size_t i = 0; i < len; i++) {
        violations_add(&violations, arena, arena_printf(arena, "overrides.%zu", i), SLICE("isDate"), message);
    }
    buf_init(out, 32 << 20);
    event_rejected(out, context, command_id, 7, 478, &violations, &origin, 1795325544653999, SLICE(""), arena);
    assert_false(out->failed);
    arena_free(arena);
    free_copy(message);
}

static void start(struct unpublishable *unpublishable, const struct buf *packed, struct record *record)
{
    struct slice bytes = buf_slice(packed);
    assert_true(record_take(&bytes, record));
    unpublishable_init(unpublishable, record);
}

static void a_rejection_keeps_its_first_violations_and_tells_how_many_are_left_out(void **state)
{
    (void)state;
    struct unpublishable unpublishable;
    struct buf packed;
    struct record record;
    make_rejection(&packed, &as_protobuf, SLICE("id"), 100, 40);
    start(&unpublishable, &packed, &record);
    assert_int_equal(unpublishable.kind, UNPUBLISHABLE_REJECTION);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
    assert_text(header(&record, "ce_type"), "schedules.v1.ScheduleCommandRejected");
    assert_text(header(&record, "ce_id"), "commands/3/17");
    assert_text(record.key, "478");
    Schedules__V1__ScheduleCommandRejected *event =
        schedules__v1__schedule_command_rejected__unpack(NULL, record.value.len, (const uint8_t *)record.value.data);
    assert_non_null(event);
    assert_int_equal(event->n_violations, 17);
    const Schedules__V1__Violation *note = event->violations[16];
    assert_memory_equal(event->violations[15]->property.data, "overrides.15", 12);
    assert_memory_equal(note->constraint.data, "violationsLeftOut", note->constraint.len);
    assert_memory_equal(note->message.data, "84 more violations", 18);
    assert_int_equal(event->org_id, 7);
    assert_int_equal(event->user_id, 478);
    assert_int_equal(event->occurred_at->seconds, 1795325544);
    schedules__v1__schedule_command_rejected__free_unpacked(event, NULL);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_TOO_LARGE);
    unpublishable_done(&unpublishable);
    buf_done(&packed);
}

static void a_rejection_may_be_json(void **state)
{
    (void)state;
    struct unpublishable unpublishable;
    struct buf packed;
    struct record record;
    make_rejection(&packed, &as_json, SLICE("id"), 100, 40);
    start(&unpublishable, &packed, &record);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
    json_t *event = json_loadb(record.value.data, record.value.len, 0, NULL);
    assert_non_null(event);
    const json_t *violations = json_object_get(event, "violations");
    assert_int_equal(json_array_size(violations), 17);
    assert_string_equal(json_string_value(json_object_get(json_array_get(violations, 16), "constraint")),
                        "violationsLeftOut");
    assert_string_equal(json_string_value(json_object_get(event, "commandId")), "id");
    assert_int_equal(json_integer_value(json_object_get(event, "userId")), 478);
    json_decref(event);
    unpublishable_done(&unpublishable);
    buf_done(&packed);
}

/* Neither a long id nor long violations keep it from becoming small. */
static void a_rejection_becomes_small_whatever_is_large_in_it(void **state)
{
    (void)state;
    const struct event_context *const contexts[] = {&as_protobuf, &as_json};
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
        struct unpublishable unpublishable;
        struct buf packed;
        struct record record;
        char id[3001] = "x";
        for (size_t at = 1; at < sizeof(id); at += 3) memcpy(id + at, "\xe2\x82\xac", 3);
        make_rejection(&packed, contexts[i], (struct slice){id, sizeof(id)}, 3, 1000000);
        start(&unpublishable, &packed, &record);
        assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
        assert_true(record_wire_bytes(&record) < 2000);
        unpublishable_done(&unpublishable);
        buf_done(&packed);
    }
}

static void a_rejection_that_cannot_be_read_is_told_like_an_event(void **state)
{
    (void)state;
    const char *const types[] = {"application/json", "application/protobuf"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct unpublishable unpublishable;
        struct record record;
        record_start(&record, RECORD_EVENT, SLICE("478"), SLICE("\xff nonsense"));
        record_add_header(&record, SLICE("content-type"), slice_of(types[i]));
        record_add_header(&record, SLICE("ce_type"), SLICE("schedules.v1.ScheduleCommandRejected"));
        unpublishable_init(&unpublishable, &record);
        assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
        assert_text(header(&record, "ce_type"), "schedules.v1.EventUnpublishable");
        unpublishable_done(&unpublishable);
    }
}

/* ---- events ---- */

static void make_event(struct record *record, const char *content_type, struct slice value)
{
    record_start(record, RECORD_EVENT, SLICE("478"), value);
    record_add_header(record, SLICE("content-type"), slice_of(content_type));
    record_add_header(record, SLICE("ce_id"), SLICE("254.3"));
    record_add_header(record, SLICE("ce_type"), SLICE("schedules.v1.ScheduleUpdated"));
    record_add_header(record, SLICE("ce_subject"), SLICE("254"));
}

static void an_event_is_told_by_its_key_and_headers(void **state)
{
    (void)state;
    struct unpublishable unpublishable;
    struct record record;
    struct slice value = filled('v', 100000);
    make_event(&record, "application/protobuf", value);
    unpublishable_init(&unpublishable, &record);
    assert_int_equal(unpublishable.kind, UNPUBLISHABLE_EVENT);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
    assert_text(record.key, "478");
    assert_int_equal(record.headers_len, 4);
    assert_text(header(&record, "ce_id"), "254.3");
    assert_text(header(&record, "ce_subject"), "254");
    assert_text(header(&record, "ce_type"), "schedules.v1.EventUnpublishable");
    Schedules__V1__EventUnpublishable *event =
        schedules__v1__event_unpublishable__unpack(NULL, record.value.len, (const uint8_t *)record.value.data);
    assert_non_null(event);
    assert_bytes(((struct slice){(char *)event->type.data, event->type.len}), SLICE("schedules.v1.ScheduleUpdated"));
    assert_int_equal(event->value_bytes, 100000);
    assert_bytes(((struct slice){(char *)event->reason.data, event->reason.len}), SLICE("too large"));
    schedules__v1__event_unpublishable__free_unpacked(event, NULL);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_TOO_LARGE);
    unpublishable_done(&unpublishable);
    free_copy(value);
}

static void an_event_may_be_json(void **state)
{
    (void)state;
    struct unpublishable unpublishable;
    struct record record;
    make_event(&record, "application/json", SLICE("{}"));
    unpublishable_init(&unpublishable, &record);
    assert_int_equal(reduce(&unpublishable, &record), STATUS_OK);
    assert_text(record.value, "{\"type\":\"schedules.v1.ScheduleUpdated\",\"valueBytes\":2,\"reason\":\"too large\"}");
    unpublishable_done(&unpublishable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_letter_is_cut_to_what_the_topic_takes_and_further_while_it_is_refused),
        cmocka_unit_test(a_dead_letter_without_a_key_gets_its_place_as_one_before_it_is_cut),
        cmocka_unit_test(a_rejection_keeps_its_first_violations_and_tells_how_many_are_left_out),
        cmocka_unit_test(a_rejection_may_be_json),
        cmocka_unit_test(a_rejection_becomes_small_whatever_is_large_in_it),
        cmocka_unit_test(a_rejection_that_cannot_be_read_is_told_like_an_event),
        cmocka_unit_test(an_event_is_told_by_its_key_and_headers),
        cmocka_unit_test(an_event_may_be_json),
    };
    return cmocka_run_group_tests_name("unpublishable", tests, NULL, NULL);
}
