/* The handlers of an organization's user's schedules. Caller, organization and user have passed the guards. */
#include <inttypes.h>
#include <strings.h>
#include <openssl/rand.h>

#include "driver/clock.h"
#include "source/http_exchange.h"
#include "source/http_header.h"

enum { WRITE_DEADLINE_US = 5000000 };

/* ---- answers ---- */

static void reply_schedule(struct exchange *exchange, int status_code, const struct schedule_row *row)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":");
    schedule_write_json(&body, row);
    buf_append_char(&body, '}');
    reply_json(exchange, status_code, &body);
    buf_done(&body);
}

static void on_list(void *ctx, enum status status, const struct schedule_row *rows, size_t len, bool is_cut)
{
    struct exchange *exchange = ctx;
    struct buf body;
    if (status != STATUS_OK || is_cut) {
        if (is_cut) reply_errorf(exchange, 400, "The schedules of this user exceed %d bytes", READER_LIST_BYTES_MAX);
        else reply_failure(exchange, status);
        return;
    }
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < len; i++) {
        if (i > 0) buf_append_char(&body, ',');
        schedule_write_json(&body, &rows[i]);
    }
    buf_printf(&body, "]}");
    reply_json(exchange, 200, &body);
    buf_done(&body);
}

static void on_one(void *ctx, enum status status, const struct schedule_row *rows, size_t len, bool is_cut)
{
    struct exchange *exchange = ctx;
    (void)is_cut;
    if (status != STATUS_OK) {
        reply_failure(exchange, status);
    } else if (len == 0) {
        reply_errorf(exchange, 404, "Schedule with ID=%" PRId64 " does not exist.", exchange->schedule_id);
    } else if (rows[0].owner_id != exchange->user_id) {
        reply_errorf(exchange, 403, "User with ID=%" PRId64 " does not own schedule with ID=%" PRId64, exchange->user_id,
                     exchange->schedule_id);
    } else {
        reply_schedule(exchange, 200, &rows[0]);
    }
}

void handle_list_schedules(struct exchange *exchange)
{
    enum status status =
        reader_list_schedules(exchange->door->config.reader, exchange->org_id, exchange->user_id, on_list, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

void handle_get_schedule(struct exchange *exchange)
{
    enum status status =
        reader_get_schedule(exchange->door->config.reader, exchange->org_id, exchange->schedule_id, on_one, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

/* ---- create ---- */

static void reply_created(struct exchange *exchange)
{
    const struct create_command *command = &exchange->write.command;
    struct buf availability;
    struct buf overrides;
    buf_init(&availability, REPLY_BYTES_MAX);
    buf_init(&overrides, REPLY_BYTES_MAX);
    availability_write_json(&availability, &command->schedule);
    overrides_write_json(&overrides, &command->schedule);
    const struct schedule_row row = {
        .id = exchange->write.schedule_id,
        .owner_id = command->user_id,
        .org_id = command->org_id,
        .name = command->schedule.name,
        .time_zone = command->schedule.time_zone,
        .availability_json = buf_slice(&availability),
        .overrides_json = buf_slice(&overrides),
        .is_default = command->schedule.is_default,
        .version = 1,
    };
    if (availability.failed || overrides.failed) reply_failure(exchange, STATUS_NO_MEMORY);
    else reply_schedule(exchange, 201, &row);
    buf_done(&availability);
    buf_done(&overrides);
}

static struct exchange *exchange_of(struct write *write)
{
    return (struct exchange *)((char *)write - offsetof(struct exchange, write));
}

static void on_written(struct write *write, enum status status)
{
    struct exchange *exchange = exchange_of(write);
    switch (status) {
    case STATUS_OK:
    case STATUS_DUPLICATE: /* stored by an earlier try whose answer was lost */ reply_created(exchange); break;
    case STATUS_NOT_A_MEMBER: /* left the organization after the guard had looked */
        reply_errorf(exchange, 403,
                     "IsUserInOrg - user with id=%" PRId64 " is not part of the organization with id=%" PRId64 ".",
                     exchange->user_id, exchange->org_id);
        break;
    case STATUS_UNSTORABLE: reply_error(exchange, 400, SLICE("The schedule cannot be stored.")); break;
    default: reply_failure(exchange, status);
    }
}

static bool never_replaced(struct write *write, enum status status)
{
    (void)write;
    (void)status;
    return false;
}

static const struct write_ops write_ops = {on_written, never_replaced};

static enum status submit(struct exchange *exchange, const struct schedule *schedule)
{
    const char *traceparent = http_request_header(exchange->request, "traceparent");
    uint8_t random[10];
    if (RAND_bytes(random, sizeof(random)) != 1) return STATUS_FAILED;
    exchange->write = (struct write){
        .ops = &write_ops,
        .command = {.command_id = uuid_v7((uint64_t)clock_wall_us() / 1000, random),
                    .org_id = exchange->org_id,
                    .user_id = exchange->user_id,
                    .schedule = *schedule},
        .deadline_us = clock_steady_us() + WRITE_DEADLINE_US,
    };
    if (is_traceparent(traceparent)) exchange->write.traceparent = arena_copy(exchange->arena, slice_of(traceparent));
    return writer_submit(exchange->door->config.writer, &exchange->write);
}

/* A body that is not JSON, an empty one and an array count as an empty object. False when it was answered. */
static bool read_body(struct exchange *exchange)
{
    const char *encoding = http_request_header(exchange->request, "Content-Encoding");
    struct slice text = http_request_body(exchange->request);
    char reason[256];
    if (text.len == 0 || !is_json_type(http_request_header(exchange->request, "Content-Type"))) {
        exchange->body = json_object();
        return true;
    }
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        reply_error(exchange, 415, SLICE("unsupported content encoding"));
        return false;
    }
    exchange->body = json_text_parse(text, reason, sizeof(reason));
    if (exchange->body == NULL) {
        reply_error(exchange, 400, printable(reason, exchange->arena));
        return false;
    }
    if (json_is_object(exchange->body)) return true;
    if (json_is_array(exchange->body)) {
        json_decref(exchange->body);
        exchange->body = json_object();
        return true;
    }
    reply_error(exchange, 400, SLICE("The body must be a JSON object"));
    return false;
}

void handle_create_schedule(struct exchange *exchange)
{
    struct schedule_input input;
    struct schedule schedule;
    struct violations violations = {0};
    enum status status = STATUS_NO_MEMORY;
    if (!read_body(exchange)) return;
    if (schedule_input_from_json(exchange->body, exchange->arena, &input)) {
        status = schedule_check(&input, exchange->door->config.zones, exchange->arena, &schedule, &violations);
    }
    if (status == STATUS_OK) status = submit(exchange, &schedule);
    if (status == STATUS_INVALID) reply_violations(exchange, &violations);
    else if (status != STATUS_OK) reply_failure(exchange, status);
}
