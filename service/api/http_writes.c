/* The handlers that change something: create, update and delete. Caller, organization, user and path have passed the guards.
 *
 * Happy path: the body becomes a checked schedule, goes to the writer as a command, and is answered when that is durable. */
#include <inttypes.h>
#include <stdio.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "api/http_exchange.h"
#include "api/http_header.h"
#include "codec/schedule_state.h"
#include "core/traceparent.h"
#include "driver/clock.h"
#include "driver/zone_files.h"

enum { WRITE_DEADLINE_US = 4900000 }; /* from the request's end; the writer looks every 50 ms: it is answered within 5 s */

/* ---- answers ---- */

static void reply_stored(struct exchange *exchange, const struct stored_schedule *stored)
{
    struct buf availability;
    struct buf overrides;
    buf_init(&availability, REPLY_BYTES_MAX);
    buf_init(&overrides, REPLY_BYTES_MAX);
    const struct schedule_row row = schedule_row_of(stored, &availability, &overrides);
    if (availability.failed || overrides.failed) reply_failure(exchange, STATUS_NO_MEMORY);
    else reply_schedule(exchange, exchange->stored_code, &row);
    buf_done(&availability);
    buf_done(&overrides);
}

/* The schedule as the database returns it. False when it returns nothing, or more than can be read here. */
static bool reply_state(struct exchange *exchange)
{
    struct schedule_event event;
    if (exchange->pending_write.state.len == 0) return false;
    if (schedule_state_read(exchange->pending_write.state, exchange->arena, &event) != STATUS_OK) return false;
    reply_stored(exchange, &event.stored);
    return true;
}

/* A repeated key gets its first answer. What the database does not return comes from the request, as it was stored. */
static void reply_created(struct exchange *exchange)
{
    const struct command *command = &exchange->pending_write.command;
    const struct stored_schedule stored = {
        .id = exchange->pending_write.schedule_id,
        .owner_id = command->user_id,
        .org_id = command->org_id,
        .version = 1,
        .schedule = command->schedule,
    };
    if (!reply_state(exchange)) reply_stored(exchange, &stored);
}

/* It is stored: what the database did not return is read. An update whose answer was lost on the way may find its schedule deleted since. */
static void reply_updated(struct exchange *exchange)
{
    if (!reply_state(exchange)) handle_get_schedule(exchange);
}

static void reply_done(struct exchange *exchange)
{
    enum command_kind kind = exchange->pending_write.command.kind;
    exchange->stored_code = kind == COMMAND_CREATE ? 201 : 200;
    switch (kind) {
    case COMMAND_CREATE: reply_created(exchange); break;
    case COMMAND_UPDATE: reply_updated(exchange); break;
    case COMMAND_DELETE: reply_bytes(exchange, exchange->stored_code, JSON_TYPE, SLICE("{\"status\":\"success\"}")); break;
    }
}

/* Left the organization, or is gone, after the guard had looked. */
static void reply_not_a_member(struct exchange *exchange)
{
    if (exchange->org_id == 0) {
        reply_error(exchange, 401, SLICE("ApiAuthStrategy - bearer token - No user associated with the provided token"));
        return;
    }
    reply_errorf(exchange, 403,
                 "IsUserInOrg - user with id=%" PRId64 " is not part of the organization with id=%" PRId64 ".",
                 exchange->user_id, exchange->org_id);
}

static struct exchange *exchange_of(struct pending_write *pending_write)
{
    return (struct exchange *)((char *)pending_write - offsetof(struct exchange, pending_write));
}

static void on_done(struct pending_write *pending_write, enum status status)
{
    struct exchange *exchange = exchange_of(pending_write);
    switch (status) {
    case STATUS_OK:
    case STATUS_DUPLICATE: reply_done(exchange); break;
    case STATUS_NOT_A_MEMBER: reply_not_a_member(exchange); break;
    case STATUS_NOT_FOUND: refuse_schedule(exchange, SCHEDULE_NONE); break;
    case STATUS_NOT_THE_OWNER: refuse_schedule(exchange, SCHEDULE_OTHERS); break;
    case STATUS_OTHER_VERSION:
        reply_error(exchange, 412, SLICE("The schedule has another ETag than If-Match asks for."));
        break;
    case STATUS_CONFLICT: reply_error(exchange, 422, SLICE("The Idempotency-Key was used before with another body.")); break;
    case STATUS_UNDER_WAY: reply_error(exchange, 409, SLICE("A request with the same Idempotency-Key is under way.")); break;
    case STATUS_AT_LIMIT:
        reply_errorf(exchange, 409, "A user has at most %" PRId64 " schedules.", pending_write->schedules_max);
        break;
    case STATUS_UNKNOWN_OUTCOME:
        reply_error(
            exchange, 503,
            SLICE("It is not known whether this was done, please look before you try again, or repeat a request with an "
                  "Idempotency-Key."));
        break;
    case STATUS_UNSTORABLE: reply_error(exchange, 400, SLICE("The schedule cannot be stored.")); break;
    default: reply_failure(exchange, status);
    }
}

static bool never_replaced(struct pending_write *pending_write, enum status status)
{
    (void)pending_write;
    (void)status;
    return false;
}

/* ---- the command ---- */

static const struct write_ops write_ops = {on_done, never_replaced};

/* Keys are the user's or the client's own: those of others are never met, for the id of no client has a "/", and no user's number is
 * "client". */
static bool key_of(const struct exchange *exchange, const char *key, struct uuid *ret_id)
{
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    const struct credential *credential = &exchange->credential;
    struct slice text = credential->kind == CREDENTIAL_CLIENT
                            ? arena_printf(exchange->arena, "client/%s/%s", credential->client_id, key)
                            : arena_printf(exchange->arena, "%" PRId64 "/%s", exchange->caller_id, key);
    if (text.data == NULL) return false;
    SHA256((const unsigned char *)text.data, text.len, sha256);
    memcpy(ret_id->bytes, sha256, sizeof(ret_id->bytes));
    return true;
}

/* False when it was answered. */
static bool read_key(struct exchange *exchange)
{
    const char *key = http_request_header(exchange->request, "Idempotency-Key");
    if (key == NULL) return true;
    if (!is_idempotency_key(key)) {
        reply_error(exchange, 400, SLICE("Idempotency-Key must be 1 to 255 visible ASCII characters"));
        return false;
    }
    exchange->pending_write.has_key = true;
    if (key_of(exchange, key, &exchange->pending_write.key)) return true;
    reply_failure(exchange, STATUS_NO_MEMORY);
    return false;
}

/* False when it was answered. */
static bool read_precondition(struct exchange *exchange)
{
    const char *if_match = http_request_header(exchange->request, "If-Match");
    if (if_match_version(if_match, &exchange->pending_write.command.expected_version)) return true;
    reply_error(exchange, 400, SLICE("If-Match must be * or one entity tag"));
    return false;
}

/* The parsed body takes many times its text: it goes before the write waits. */
static enum status drop_body(struct exchange *exchange)
{
    struct slice *name = &exchange->pending_write.command.schedule.name;
    if (name->data != NULL) *name = arena_copy(exchange->arena, *name);
    json_decref(exchange->body);
    exchange->body = NULL;
    return arena_failure(exchange->arena);
}

/* False when it was answered. */
static bool read_schedule(struct exchange *exchange, enum schedule_use use)
{
    struct schedule_input input;
    struct violations violations = {0};
    enum status status = STATUS_NO_MEMORY;
    if (!exchange_read_body(exchange)) return false;
    if (schedule_input_from_json(exchange->body, exchange->arena, &input)) {
        status = schedule_check(&input, use, zone_files_names(exchange->api->config.zones), exchange->arena,
                                &exchange->pending_write.command.schedule, &violations);
    }
    if (status == STATUS_OK) status = drop_body(exchange);
    if (status == STATUS_INVALID) reply_violations(exchange, &violations);
    else if (status != STATUS_OK) reply_failure(exchange, status);
    return status == STATUS_OK;
}

static void submit(struct exchange *exchange, enum command_kind kind)
{
    struct pending_write *pending_write = &exchange->pending_write;
    const char *traceparent = http_request_header(exchange->request, "traceparent");
    uint8_t random_bytes[10];
    enum status status = RAND_bytes(random_bytes, sizeof(random_bytes)) == 1 ? STATUS_OK : STATUS_FAILED;
    pending_write->ops = &write_ops;
    pending_write->command.kind = kind;
    pending_write->command.command_id = uuid_v7((uint64_t)clock_wall_us() / 1000, random_bytes);
    /* What is made belongs to the path's organization; what is changed is looked for where it would be seen. */
    pending_write->command.org_id = kind == COMMAND_CREATE ? exchange->org_id : exchange->scope_org_id;
    pending_write->command.user_id = exchange->user_id;
    pending_write->command.schedule_id = exchange->schedule_id;
    pending_write->traceparent = arena_copy(exchange->arena, traceparent_of(slice_of(traceparent)));
    pending_write->deadline_us = exchange->started_us + WRITE_DEADLINE_US;
    if (status == STATUS_OK) status = writer_submit(exchange->api->config.writer, pending_write);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

void handle_create_schedule(struct exchange *exchange)
{
    if (read_key(exchange) && read_schedule(exchange, SCHEDULE_NEW)) submit(exchange, COMMAND_CREATE);
}

void handle_update_schedule(struct exchange *exchange)
{
    if (read_precondition(exchange) && read_schedule(exchange, SCHEDULE_CHANGE)) submit(exchange, COMMAND_UPDATE);
}

void handle_delete_schedule(struct exchange *exchange)
{
    if (read_precondition(exchange)) submit(exchange, COMMAND_DELETE);
}
