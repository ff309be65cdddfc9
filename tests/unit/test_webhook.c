/* What a webhook request is made of: its signatures, its body, and when it is tried again. */
#include "support.h"

#include <jansson.h>

#include "webhook/retry_schedule.h"
#include "webhook/webhook_event.h"
#include "webhook/webhook_signature.h"

#define STANDARD_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define BODY "{\"triggerEvent\":\"OOO_CREATED\",\"createdAt\":\"2024-01-01T00:00:00.000Z\",\"payload\":{\"a\":1}}"

static void assert_standard(const char *id, int64_t timestamp_s, const char *body, const char *want)
{
    char got[WEBHOOK_STANDARD_SIGNATURE_LEN];
    assert_true(webhook_sign_standard(slice_of(STANDARD_SECRET), slice_of(id), timestamp_s, slice_of(body), got));
    assert_text(((struct slice){got, sizeof(got)}), want);
}

static void standard_signatures_are_those_of_the_vectors(void **state)
{
    (void)state;
    assert_standard("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}",
                    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_standard("msg_1", 1704067200, BODY, "v1,282wAvYMn0eVQYDrRfUIwJg1VXsQx1ixhFnOzbJt6dw=");
}

static void the_cal_signature_is_that_of_the_vector(void **state)
{
    char got[WEBHOOK_CAL_SIGNATURE_LEN];
    (void)state;
    assert_true(webhook_sign_cal(SLICE("topsecret"), SLICE(BODY), got));
    assert_text(((struct slice){got, sizeof(got)}), "a4336d037a8371814f375a4e256a4935a27157adf59be3d48476bb8d36cbba34");
}

static void secrets_that_cannot_sign_are_not_usable(void **state)
{
    static const char *const unusable[] = {"",           "whsec_",     "whsec_a",    "whsec_ab==cd==", "whsec_ab d",
                                           "whsec_abc-", "whsec_a===", "whsec_ab=c", "whsec_====",     "whsec_abcd\n"};
    char large[WEBHOOK_SECRET_BYTES_MAX + 1];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unusable); i++) {
        if (webhook_secret_is_usable(slice_of(unusable[i]))) fail_msg("\"%s\" is usable", unusable[i]);
    }
    assert_true(webhook_secret_is_usable(SLICE(STANDARD_SECRET)));
    assert_true(webhook_secret_is_usable(SLICE("whsec_YQ==")));
    assert_true(webhook_secret_is_usable(SLICE("x")));
    memset(large, 'a', sizeof(large));
    assert_true(webhook_secret_is_usable((struct slice){large, WEBHOOK_SECRET_BYTES_MAX}));
    assert_false(webhook_secret_is_usable((struct slice){large, sizeof(large)}));
}

/* ---- bodies ---- */

static const uint8_t days[] = {MONDAY, FRIDAY};
static const struct availability_window windows[] = {{days, 2, 540, 1020}};
static const struct date_override overrides[] = {{{2024, 5, 20}, 1080, 1260}};

static struct webhook_event *make_event(bool json, enum schedule_event_type type, int64_t org_id, int64_t version)
{
    const struct event_context context = {SLICE("/here"), json};
    const struct schedule_event event = {
        .type = type,
        .stored = {.id = 77,
                   .owner_id = 478,
                   .org_id = org_id,
                   .version = version,
                   .schedule = {.name = SLICE("Caf\xc3\xa9"),
                                .time_zone = SLICE("Europe/Rome"),
                                .is_default = true,
                                .windows = windows,
                                .windows_len = 1,
                                .overrides = overrides,
                                .overrides_len = 1}},
        .command_id = SLICE("01890a5d-ac96-774b-bcce-b302099a8057"),
        .occurred_us = 1795325544653999,
        .traceparent = SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    };
    struct buf packed;
    struct record record;
    struct webhook_event *made = NULL;
    buf_init(&packed, 1 << 20);
    event_schedule(&packed, &context, &event);
    struct slice bytes = buf_slice(&packed);
    assert_true(record_take(&bytes, &record));
    record_add_header(&record, SLICE("commit-position"), SLICE("1:16/B374D848"));
    assert_true(webhook_event_is_wanted(&record));
    assert_int_equal(webhook_event_new(&record, &made), STATUS_OK);
    buf_done(&packed);
    return made;
}

#define SCHEDULE                                                                                             \
    "{\"id\":77,\"ownerId\":478,\"name\":\"Caf\xc3\xa9\",\"timeZone\":\"Europe/Rome\",\"availability\":"     \
    "[{\"days\":[\"Monday\",\"Friday\"],\"startTime\":\"09:00\",\"endTime\":\"17:00\"}],\"isDefault\":true," \
    "\"overrides\":[{\"date\":\"2024-05-20\",\"startTime\":\"18:00\",\"endTime\":\"21:00\"}]"

static void bodies_hold_the_schedule_as_the_api_answers_it(void **state)
{
    (void)state;
    for (int json = 0; json < 2; json++) {
        struct webhook_event *event = make_event(json, SCHEDULE_UPDATED, 7, 3);
        assert_text(webhook_event_body(event, WEBHOOK_FORMAT_CAL),
                    "{\"triggerEvent\":\"SCHEDULE_UPDATED\",\"createdAt\":\"2026-11-22T05:32:24.653Z\",\"payload\":" SCHEDULE
                    ",\"orgId\":7,\"version\":3,\"previousVersion\":2}}");
        assert_text(webhook_event_body(event, WEBHOOK_FORMAT_STANDARD),
                    "{\"type\":\"schedule.updated\",\"timestamp\":\"2026-11-22T05:32:24.653Z\",\"data\":" SCHEDULE
                    ",\"orgId\":7,\"version\":3,\"previousVersion\":2}}");
        webhook_event_release(event);
    }
}

static void a_create_has_no_previous_version_and_a_personal_schedule_no_organization(void **state)
{
    (void)state;
    struct webhook_event *event = make_event(false, SCHEDULE_CREATED, 0, 1);
    assert_text(webhook_event_body(event, WEBHOOK_FORMAT_CAL),
                "{\"triggerEvent\":\"SCHEDULE_CREATED\",\"createdAt\":\"2026-11-22T05:32:24.653Z\",\"payload\":" SCHEDULE
                ",\"orgId\":null,\"version\":1}}");
    webhook_event_release(event);
}

static void an_event_tells_whose_it_is_and_where_it_was_committed(void **state)
{
    (void)state;
    struct webhook_event *event = make_event(false, SCHEDULE_DELETED, 7, 4);
    assert_text(event->id, "77.4");
    assert_int_equal(event->schedule_id, 77);
    assert_int_equal(event->owner_id, 478);
    assert_int_equal(event->org_id, 7);
    assert_int_equal(event->position.timeline, 1);
    assert_int_equal(event->position.lsn, 0x16B374D848);
    assert_text(event->traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_text(webhook_trigger_name(event->type), "SCHEDULE_DELETED");
    webhook_event_release(event);
}

static void other_records_are_not_wanted(void **state)
{
    struct record record;
    struct webhook_event *event;
    (void)state;
    record_start(&record, RECORD_EVENT, SLICE("1"), SLICE("no value of an event"));
    record_add_header(&record, SLICE("ce_type"), SLICE("schedules.v1.ScheduleCommandRejected"));
    assert_false(webhook_event_is_wanted(&record));
    record_start(&record, RECORD_EVENT, SLICE("1"), SLICE("no value of an event"));
    record_add_header(&record, SLICE("ce_type"), SLICE("schedules.v1.ScheduleCreated"));
    assert_int_equal(webhook_event_new(&record, &event), STATUS_UNDECODABLE);
}

/* ---- retries ---- */

static void attempts_follow_the_schedule_with_a_jitter_of_a_fifth(void **state)
{
    static const int64_t delays_s[] = {0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};
    int64_t total_s = 0;
    (void)state;
    for (int i = 0; i < RETRY_ATTEMPTS_MAX; i++) {
        assert_int_equal(retry_delay_us(i, 0, 0), delays_s[i] * 800000);
        assert_int_equal(retry_delay_us(i, 0, 1000), delays_s[i] * 1200000);
        assert_int_equal(retry_delay_us(i, 0, 1501), delays_s[i] * 1000000);
        total_s += delays_s[i];
    }
    assert_int_equal(total_s, 272105); /* 75.6 hours */
    assert_int_equal(retry_delay_us(RETRY_ATTEMPTS_MAX, 0, 0), -1);
}

static void what_a_receiver_asks_for_is_followed_within_bounds(void **state)
{
    const int64_t second_us = 1000000;
    (void)state;
    assert_int_equal(retry_delay_us(1, 30, 0), 30 * second_us);
    assert_int_equal(retry_delay_us(1, 86400, 0), 60 * second_us);
    assert_int_equal(retry_delay_us(2, 86400, 0), 600 * second_us);
    assert_int_equal(retry_delay_us(2, 1, 500), 300 * second_us);
    assert_int_equal(retry_delay_us(RETRY_ATTEMPTS_MAX, 10, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_signatures_are_those_of_the_vectors),
        cmocka_unit_test(the_cal_signature_is_that_of_the_vector),
        cmocka_unit_test(secrets_that_cannot_sign_are_not_usable),
        cmocka_unit_test(bodies_hold_the_schedule_as_the_api_answers_it),
        cmocka_unit_test(a_create_has_no_previous_version_and_a_personal_schedule_no_organization),
        cmocka_unit_test(an_event_tells_whose_it_is_and_where_it_was_committed),
        cmocka_unit_test(other_records_are_not_wanted),
        cmocka_unit_test(attempts_follow_the_schedule_with_a_jitter_of_a_fifth),
        cmocka_unit_test(what_a_receiver_asks_for_is_followed_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
