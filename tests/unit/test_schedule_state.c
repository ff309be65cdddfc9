/* Schedules as the database tells them: what is read of a state, and what is no state. Texts are written with ' for ". */
#include "support.h"

#include "codec/schedule_state.h"

#define SCHEDULE                                                                                            \
    "'schedule':{'id':254,'ownerId':478,'orgId':7,'name':'Caf\xc3\xa9 \\u0001','timeZone':'Asia/Calcutta'," \
    "'availability':[{'days':['Monday','Sunday'],'startTime':'00:00','endTime':'23:59'}],'isDefault':true," \
    "'overrides':[{'date':'2024-02-29','startTime':'10:00','endTime':'10:00'}],'version':3}"
#define REST "'commandId':'01890a5d-ac96-774b-bcce-b302099a8057','occurredUs':1795325544653999,'traceparent':'00-1'"

struct reading {
    struct arena *arena;
    enum status status;
    struct schedule_event event;
};

/* From memory that is gone before the event is looked at. */
static void read_text(struct reading *reading, const char *text)
{
    struct slice json = exact_copy(slice_of(text));
    for (size_t i = 0; i < json.len; i++) {
        if (json.data[i] == '\'') ((char *)(uintptr_t)json.data)[i] = '"';
    }
    *reading = (struct reading){.arena = make_arena()};
    reading->status = schedule_state_read(json, reading->arena, &reading->event);
    free_copy(json);
}

static void reading_done(struct reading *reading)
{
    arena_free(reading->arena);
}

static void reads_all_that_a_state_tells(void **state)
{
    (void)state;
    struct reading reading;
    read_text(&reading, "{'type':'ScheduleUpdated'," SCHEDULE "," REST "}");
    const struct stored_schedule *stored = &reading.event.stored;
    assert_int_equal(reading.status, STATUS_OK);
    assert_int_equal(reading.event.type, SCHEDULE_UPDATED);
    assert_text(reading.event.command_id, "01890a5d-ac96-774b-bcce-b302099a8057");
    assert_text(reading.event.traceparent, "00-1");
    assert_int_equal(reading.event.occurred_us, 1795325544653999);
    assert_int_equal(stored->id, 254);
    assert_int_equal(stored->owner_id, 478);
    assert_int_equal(stored->org_id, 7);
    assert_int_equal(stored->version, 3);
    assert_text(stored->schedule.name, "Caf\xc3\xa9 \x01");
    assert_text(stored->schedule.time_zone, "Asia/Calcutta");
    assert_true(stored->schedule.is_default);
    assert_int_equal(stored->schedule.windows_len, 1);
    assert_int_equal(stored->schedule.windows[0].days[1], SUNDAY);
    assert_int_equal(stored->schedule.windows[0].end_minute, 1439);
    assert_int_equal(stored->schedule.overrides_len, 1);
    assert_int_equal(stored->schedule.overrides[0].date.day, 29);
    reading_done(&reading);
}

static void reads_each_type_and_no_other(void **state)
{
    static const char *const types[] = {"ScheduleCreated", "ScheduleUpdated", "ScheduleDeleted", "ScheduleGone", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct reading reading;
        char text[1024];
        snprintf(text, sizeof(text), "{'type':'%s'," SCHEDULE "," REST "}", types[i]);
        read_text(&reading, text);
        assert_int_equal(reading.status, i < 3 ? STATUS_OK : STATUS_UNDECODABLE);
        if (i < 3) assert_int_equal(reading.event.type, i);
        reading_done(&reading);
    }
}

static void no_organization_and_no_trace_are_null(void **state)
{
    (void)state;
    struct reading reading;
    read_text(&reading, "{'type':'ScheduleDeleted','schedule':{'id':1,'ownerId':2,'orgId':null,'name':'','timeZone':'UTC',"
                        "'availability':[],'isDefault':false,'overrides':[],'version':2},'commandId':'x','occurredUs':0,"
                        "'traceparent':null}");
    assert_int_equal(reading.status, STATUS_OK);
    assert_int_equal(reading.event.stored.org_id, 0);
    assert_int_equal(reading.event.traceparent.len, 0);
    assert_int_equal(reading.event.stored.schedule.windows_len, 0);
    assert_int_equal(reading.event.stored.schedule.overrides_len, 0);
    reading_done(&reading);
}

static void what_is_no_state_is_undecodable(void **state)
{
    static const char *const texts[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "5",
        "{'type':'ScheduleUpdated'," REST "}",
        "{" SCHEDULE "," REST "}",
        "{'type':'ScheduleUpdated','schedule':{'id':0}," REST "}",
        "{'type':5," SCHEDULE "," REST "}",
        "{'type':'ScheduleUpdated','schedule':{'id':1,'name':null,'timeZone':'UTC','isDefault':true}," REST "}",
        "{'type':'ScheduleUpdated'," SCHEDULE "," REST,
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct reading reading;
        read_text(&reading, texts[i]);
        assert_int_equal(reading.status, STATUS_UNDECODABLE);
        reading_done(&reading);
    }
}

/* An older build kept each day as often as it was sent. */
static void reads_a_window_of_ten_thousand_days(void **state)
{
    struct buf text;
    struct reading reading;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_printf(&text,
               "{'type':'ScheduleUpdated','schedule':{'id':1,'ownerId':1,'name':'n','timeZone':'UTC','isDefault':true,"
               "'availability':[{'startTime':'09:00','endTime':'10:00','days':['Monday'");
    for (int i = 0; i < 10000; i++) buf_printf(&text, ",'%s'", i % 2 == 0 ? "Sunday" : "Monday");
    buf_printf(&text, "]}],'overrides':[]}," REST "}");
    buf_append_char(&text, '\0');
    read_text(&reading, text.data);
    assert_int_equal(reading.status, STATUS_OK);
    assert_int_equal(reading.event.stored.schedule.windows[0].days_len, 2);
    reading_done(&reading);
    buf_done(&text);
}

static void says_too_large_when_the_arena_is_too_small(void **state)
{
    (void)state;
    struct slice text = SLICE("{\"type\":\"ScheduleUpdated\",\"schedule\":{\"id\":1,\"name\":\"n\",\"timeZone\":\"UTC\","
                              "\"isDefault\":true},\"commandId\":\"x\"}");
    struct schedule_event event;
    enum status status = STATUS_TOO_LARGE;
    for (size_t size = 8; status == STATUS_TOO_LARGE && size < 1 << 20; size *= 2) {
        struct arena *arena = arena_new(size);
        if (arena == NULL) continue;
        status = schedule_state_read(text, arena, &event);
        if (size == 8) assert_int_equal(status, STATUS_TOO_LARGE);
        arena_free(arena);
    }
    assert_int_equal(status, STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_that_a_state_tells),
        cmocka_unit_test(reads_each_type_and_no_other),
        cmocka_unit_test(no_organization_and_no_trace_are_null),
        cmocka_unit_test(what_is_no_state_is_undecodable),
        cmocka_unit_test(reads_a_window_of_ten_thousand_days),
        cmocka_unit_test(says_too_large_when_the_arena_is_too_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
