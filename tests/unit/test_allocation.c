/* Every allocation that a decoder makes fails once, for every input of the fuzzers' seeds: the answer is then that memory is out, or
 * the same as with memory, and never another one. */
#include "support.h"

#include <dirent.h>
#include <jansson.h>

#include "codec/command_codec.h"
#include "codec/command_digest.h"
#include "codec/dead_letter.h"
#include "codec/directory_codec.h"
#include "codec/error_json.h"
#include "codec/event.h"
#include "codec/json_text.h"
#include "codec/schedule_json.h"
#include "codec/schedule_state.h"
#include "failing_malloc.h"
#include "api/http_query.h"

enum { OUT_MAX = 64 << 20, ARENA_MAX = 16 << 20, ARENA_CHUNK = 2048, STEP = 64 };

static struct time_zones *zones;

/* From bytes to whatever is made of them, which is added to out. */
typedef enum status line(struct slice input, struct arena *arena, struct buf *out);

static enum status told(struct buf *out, enum status status, const char *reason)
{
    if (status == STATUS_UNDECODABLE) buf_append_slice(out, slice_of(reason));
    return status;
}

/* ---- the lines ---- */

static const struct event_context contexts[] = {{SLICE("/test"), false}, {SLICE("/test"), true}};
static const struct record_origin origin = {SLICE("commands"), 1, 2};

static enum status write_dead_letter(struct slice value, const char *reason, struct buf *out)
{
    struct record record = {.value = value};
    dead_letter_pack(out, &record, slice_of(reason), &origin, 1 << 20);
    return STATUS_UNDECODABLE;
}

static enum status write_created(const struct command *command, struct buf *out)
{
    uint8_t digest[16];
    struct buf availability;
    struct buf overrides;
    buf_init(&availability, OUT_MAX);
    buf_init(&overrides, OUT_MAX);
    availability_write_json(&availability, &command->schedule);
    overrides_write_json(&overrides, &command->schedule);
    struct command_digester *digester = command_digester_new();
    enum status status = STATUS_NO_MEMORY;
    if (digester != NULL)
        status = command_digest(digester, command, buf_slice(&availability), buf_slice(&overrides), digest);
    command_digester_free(digester);
    if (availability.failed) status = buf_status(&availability);
    if (overrides.failed) status = buf_status(&overrides);
    buf_append(out, digest, status == STATUS_OK ? sizeof(digest) : 0);
    const struct schedule_event event = {.stored = {.id = 1, .owner_id = command->user_id, .schedule = command->schedule},
                                         .command_id = SLICE("id"),
                                         .occurred_us = 1};
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++) event_schedule(out, &contexts[i], &event);
    buf_done(&availability);
    buf_done(&overrides);
    return status;
}

/* As the fuzzer has it: the first byte tells kind and form. */
static enum status read_command(struct slice input, struct arena *arena, struct buf *out)
{
    struct slice bytes = {input.data + 1, input.len - 1};
    struct command_input decoded;
    struct command command;
    struct violations violations = {0};
    const char *reason = "";
    bool is_json = (input.data[0] & 1) != 0;
    enum status status =
        command_decode(bytes, (enum command_kind)(input.data[0] / 2 % 3), is_json, arena, &decoded, &reason);
    if (status == STATUS_UNDECODABLE) return write_dead_letter(bytes, reason, out);
    if (status != STATUS_OK) return status;
    status = command_check(&decoded, zones, arena, &command, &violations);
    if (status == STATUS_OK) return write_created(&command, out);
    if (status != STATUS_INVALID) return status;
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
        event_rejected(out, &contexts[i], decoded.command_id.text, command.org_id, command.user_id, &violations, &origin, 1,
                       (struct slice){NULL, 0}, arena);
    }
    return status;
}

/* As the fuzzer has it: the first byte tells the form, the second how long the key is. */
static enum status read_entry(struct slice input, struct arena *arena, struct buf *out)
{
    if (input.len < 2) return STATUS_UNDECODABLE;
    size_t most = input.len - 2;
    size_t key_len = (unsigned char)input.data[1] < most ? (unsigned char)input.data[1] : most;
    struct slice key = {input.data + 2, key_len};
    struct slice value = {input.len == 2 + key_len ? NULL : input.data + 2 + key_len, input.len - 2 - key_len};
    struct directory_input decoded;
    struct directory_entry entry;
    struct violations violations = {0};
    const char *reason = "";
    enum status status = directory_decode(key, value, (input.data[0] & 1) != 0, arena, &decoded, &reason);
    if (status == STATUS_OK) status = directory_check(&decoded, zones, arena, &entry, &violations);
    if (status == STATUS_OK) directory_write_json(out, &entry);
    if (status == STATUS_INVALID) render_violations(out, &violations);
    return told(out, status, reason);
}

static enum status read_body(struct slice input, struct arena *arena, struct buf *out)
{
    json_t *body = NULL;
    struct json_fault fault;
    struct schedule_input decoded;
    struct schedule schedule;
    struct violations violations = {0};
    enum status status = json_text_parse(input, &body, &fault);
    if (status != STATUS_OK) return told(out, status, fault.what);
    status = STATUS_NO_MEMORY;
    if (schedule_input_from_json(body, arena, &decoded)) {
        status = schedule_check(&decoded, SCHEDULE_NEW, zones, arena, &schedule, &violations);
    }
    if (status == STATUS_OK) {
        availability_write_json(out, &schedule);
        overrides_write_json(out, &schedule);
    } else if (status == STATUS_INVALID) {
        validation_error_write_json(out, body, &violations, SLICE("/v2/schedules"), 1);
    }
    json_decref(body);
    return status;
}

static enum status read_page(struct slice input, struct arena *arena, struct buf *out)
{
    struct page page = {0};
    struct violations violations = {0};
    json_t *values = NULL;
    enum status status = query_page(input, arena, &page, &values, &violations);
    if (status == STATUS_OK) buf_printf(out, "%lld %lld", (long long)page.take, (long long)page.skip);
    if (status == STATUS_INVALID) validation_error_write_json(out, values, &violations, SLICE("/v2/schedules"), 1);
    json_decref(values);
    return status;
}

static enum status read_state(struct slice input, struct arena *arena, struct buf *out)
{
    struct schedule_event event = {0};
    enum status status = schedule_state_read(input, arena, &event);
    for (size_t i = 0; status == STATUS_OK && i < ARRAY_LEN(contexts); i++) event_schedule(out, &contexts[i], &event);
    return status;
}

/* Values of which jansson can do without each of its allocations: no objects. */
static enum status read_value(struct slice input, struct arena *arena, struct buf *out)
{
    struct json_fault fault;
    json_t *value = NULL;
    enum status status = json_text_parse(input, &value, &fault);
    (void)arena;
    if (status == STATUS_OK) buf_printf(out, "%zu %s", json_array_size(value), json_string_value(json_array_get(value, 0)));
    json_decref(value);
    return told(out, status, fault.what);
}

/* Tables that name no zone, and no memory, are one answer. */
static enum status read_zones(struct slice input, struct arena *arena, struct buf *out)
{
    (void)arena;
    struct time_zones *table = time_zones_new(input);
    if (table == NULL) return STATUS_NO_MEMORY;
    buf_printf(out, "%zu", time_zones_count(table));
    time_zones_free(table);
    return STATUS_OK;
}

/* ---- every allocation ---- */

/* So much of the arena's first piece is taken already: its next allocation comes at another place each time. */
static enum status run(line *decode, struct slice input, size_t taken, struct buf *out)
{
    struct arena *arena = arena_new(ARENA_MAX);
    buf_init(out, OUT_MAX);
    bool ready = arena != NULL && arena_alloc(arena, taken) != NULL;
    enum status status = ready ? decode(input, arena, out) : STATUS_NO_MEMORY;
    arena_free(arena);
    return out->failed ? buf_status(out) : status;
}

/* How many allocations there were, each of which has failed once. */
static size_t fail_each_with(line *decode, struct slice input, size_t taken, const char *name)
{
    struct buf want;
    struct buf got;
    enum status status = run(decode, input, taken, &want);
    size_t nth = 0;
    for (bool failed = true; failed;) {
        failing_malloc_arm(++nth);
        enum status answer = run(decode, input, taken, &got);
        failed = failing_malloc_disarm();
        bool same = answer == status && slice_equal(buf_slice(&got), buf_slice(&want));
        if (!same && (!failed || answer != STATUS_NO_MEMORY)) {
            fail_msg("%s: without allocation %zu \"%s\" and not \"%s\"", name, nth, status_text(answer),
                     status_text(status));
        }
        buf_done(&got);
    }
    buf_done(&want);
    return nth - 1;
}

static size_t fail_each(line *decode, struct slice input, const char *name)
{
    size_t allocations = 0;
    for (size_t taken = STEP; taken < ARENA_CHUNK; taken += STEP) allocations += fail_each_with(decode, input, taken, name);
    return allocations;
}

/* The only test with jansson's own allocations: version 2.14 reads and writes through NULL where others of them fail. */
static void json_is_not_called_malformed_for_want_of_memory(void **state)
{
    (void)state;
    assert_true(fail_each(read_value, SLICE("[\"a text\",\"another\",1.5,99999999999999999999,[[]]]"), "a list") > 5);
    assert_true(fail_each(read_value, SLICE("[\"a text\",}"), "no list") > 3);
    json_set_alloc_funcs(failing_malloc_never, free);
}

static void fail_each_of_seeds(line *decode, const char *target)
{
    char path[512];
    snprintf(path, sizeof(path), "tests/fuzz/corpus/%s", target);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    size_t allocations = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "tests/fuzz/corpus/%s/%s", target, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        char bytes[1 << 13];
        size_t len = fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        if (len > 0) allocations += fail_each(decode, (struct slice){bytes, len}, path);
    }
    closedir(directory);
    assert_true(allocations > 0);
}

static void commands_are_checked_the_same_or_not_at_all(void **state)
{
    (void)state;
    fail_each_of_seeds(read_command, "command");
}

static void entries_are_checked_the_same_or_not_at_all(void **state)
{
    (void)state;
    fail_each_of_seeds(read_entry, "directory");
}

static void bodies_are_answered_the_same_or_not_at_all(void **state)
{
    (void)state;
    fail_each_of_seeds(read_body, "http_body");
}

static void pages_are_read_the_same_or_not_at_all(void **state)
{
    (void)state;
    fail_each_of_seeds(read_page, "http_target");
}

static void states_become_the_same_events_or_none(void **state)
{
    (void)state;
    fail_each_of_seeds(read_state, "schedule_state");
}

static void time_zones_are_read_the_same_or_not_at_all(void **state)
{
    (void)state;
    fail_each_of_seeds(read_zones, "time_zone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_not_called_malformed_for_want_of_memory), /* first */
        cmocka_unit_test(commands_are_checked_the_same_or_not_at_all),
        cmocka_unit_test(entries_are_checked_the_same_or_not_at_all),
        cmocka_unit_test(bodies_are_answered_the_same_or_not_at_all),
        cmocka_unit_test(pages_are_read_the_same_or_not_at_all),
        cmocka_unit_test(states_become_the_same_events_or_none),
        cmocka_unit_test(time_zones_are_read_the_same_or_not_at_all),
    };
    zones = system_time_zones();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    time_zones_free(zones);
    return failed;
}
