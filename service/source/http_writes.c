/* The handlers that change schedules. Caller, organization and user have passed the guards. */
#include <inttypes.h>
#include <strings.h>
#include <openssl/rand.h>

#include "driver/clock.h"
#include "source/http_exchange.h"
#include "source/http_header.h"

enum { WRITE_DEADLINE_US = 5000000 };

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
