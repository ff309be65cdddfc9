/* A request's body from bytes to the stored columns or the envelope of its violations. */
#include "codec/error_json.h"
#include "codec/json_text.h"
#include "codec/schedule_json.h"
#include "fuzz.h"

static void must_be_json(struct buf *text)
{
    struct json_fault fault;
    MUST(!text->failed);
    json_t *value = NULL;
    MUST(json_text_parse(buf_slice(text), &value, &fault) == STATUS_OK);
    json_decref(value);
    buf_done(text);
}

static void answer(const struct schedule *schedule)
{
    struct buf availability;
    struct buf overrides;
    struct buf whole;
    buf_init(&availability, 32 << 20);
    buf_init(&overrides, 32 << 20);
    buf_init(&whole, 64 << 20);
    availability_write_json(&availability, schedule);
    overrides_write_json(&overrides, schedule);
    const struct schedule_row row = {.id = 1,
                                     .owner_id = 2,
                                     .name = schedule->name,
                                     .time_zone = schedule->time_zone,
                                     .availability_json = buf_slice(&availability),
                                     .overrides_json = buf_slice(&overrides),
                                     .is_default = schedule->is_default,
                                     .version = 1};
    schedule_write_json(&whole, &row);
    must_be_json(&whole);
    must_be_json(&availability);
    must_be_json(&overrides);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct time_zones *zones;
    if (zones == NULL) zones = time_zones_new(SLICE(FUZZ_ZONES));
    struct json_fault fault;
    json_t *body = NULL;
    enum status status = json_text_parse(slice_of_input(data, size), &body, &fault);
    MUST(status == STATUS_OK || (status == STATUS_UNDECODABLE && fault.detail[0] != '\0'));
    if (status != STATUS_OK) return 0;
    struct arena *arena = arena_new(16 << 20);
    struct schedule_input input;
    struct schedule schedule;
    struct violations violations = {0};
    MUST(schedule_input_from_json(body, arena, &input));
    status = schedule_check(&input, SCHEDULE_NEW, zones, arena, &schedule, &violations);
    MUST(status == STATUS_OK ? violations.len == 0 : status == STATUS_INVALID && violations.len > 0);
    if (status == STATUS_OK) {
        answer(&schedule);
    } else {
        struct buf envelope;
        buf_init(&envelope, 256 << 20);
        validation_error_write_json(&envelope, body, &violations, SLICE("/v2/schedules?a=1"), 1700000000000000);
        must_be_json(&envelope);
    }
    arena_free(arena);
    json_decref(body);
    return 0;
}
