/* The handlers of what becomes of a webhook: how it fares, what failed, a test request, and events once more. Answers are the database's
 * JSON; jobs are run by the senders. */
#include <inttypes.h>
#include <stdio.h>
#include <openssl/rand.h>

#include "api/http_webhook.h"
#include "driver/clock.h"

enum { JOBS_MAX = 10 }; /* of a webhook that have not ended */

static void reply_data(struct exchange *exchange, int status_code, const PGresult *result, int column)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":%s}", PQgetvalue(result, 0, column));
    reply_json(exchange, status_code, &body);
    buf_done(&body);
}

/* ---- how it fares ---- */

static void on_data(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    if (!webhook_is_done(exchange, status)) return;
    if (PQntuples(result) == 0) refuse_webhook_as_missing(exchange);
    else reply_data(exchange, 200, result, 0);
}

static void ask_about(struct exchange *exchange, enum webhook_query query)
{
    const struct pg_param params[] = {webhook_text_param(slice_of(exchange->webhook->id_text))};
    webhook_ask(exchange, query, params, on_data);
}

static void get_status(struct exchange *exchange, const struct webhook_row *row)
{
    (void)row;
    ask_about(exchange, WEBHOOK_STATUS);
}

void handle_get_webhook_status(struct exchange *exchange)
{
    webhook_guard(exchange, get_status);
}

static void list_deliveries(struct exchange *exchange, const struct webhook_row *row)
{
    (void)row;
    ask_about(exchange, WEBHOOK_DELIVERIES);
}

void handle_list_deliveries(struct exchange *exchange)
{
    webhook_guard(exchange, list_deliveries);
}

/* ---- jobs ---- */

static void on_job(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    if (!webhook_is_done(exchange, status)) return;
    if (PQntuples(result) == 0) reply_error(exchange, 404, SLICE("Webhook job not found"));
    else reply_data(exchange, 200, result, 0);
}

static void get_job(struct exchange *exchange, const struct webhook_row *row)
{
    struct slice raw = path_param(&exchange->params, "jobId");
    struct uuid id;
    (void)row;
    if (!uuid_parse(raw, &id)) {
        reply_error(exchange, 404, SLICE("Webhook job not found"));
        return;
    }
    struct slice text = arena_copy(exchange->arena, raw);
    const struct pg_param params[] = {webhook_text_param(slice_of(exchange->webhook->id_text)), webhook_text_param(text)};
    webhook_ask(exchange, WEBHOOK_JOB, params, on_job);
}

void handle_get_webhook_job(struct exchange *exchange)
{
    webhook_guard(exchange, get_job);
}

static void on_job_stored(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    if (!webhook_is_done(exchange, status)) return;
    if (strcmp(webhook_verdict(result), "limit") == 0) {
        reply_errorf(exchange, 409, "A webhook has at most %d jobs that have not ended.", JOBS_MAX);
    } else if (strcmp(webhook_verdict(result), "stored") != 0) {
        refuse_webhook_as_missing(exchange);
    } else {
        reply_data(exchange, 202, result, 1);
    }
}

static void queue_job(struct exchange *exchange, struct slice kind, const struct replay_input *input)
{
    char id_text[UUID_TEXT_LEN + 1] = "";
    uint8_t random[10];
    if (RAND_bytes(random, sizeof(random)) != 1) {
        reply_failure(exchange, STATUS_FAILED);
        return;
    }
    struct uuid id = uuid_v7((uint64_t)clock_wall_us() / 1000, random);
    uuid_format(&id, id_text);
    const struct pg_param params[] = {
        webhook_text_param(slice_of(id_text)),
        webhook_text_param(slice_of(exchange->webhook->id_text)),
        webhook_text_param(kind),
        webhook_text_param(input->from_time),
        webhook_text_param(input->from_event),
        webhook_text_param(input->to_time),
        webhook_text_param(input->triggers),
        webhook_id_param(exchange, JOBS_MAX),
    };
    webhook_ask(exchange, WEBHOOK_JOB_CREATE, params, on_job_stored);
}

static void ping(struct exchange *exchange, const struct webhook_row *row)
{
    const struct replay_input nothing = {.from_time = {NULL, 0}};
    (void)row;
    queue_job(exchange, SLICE("ping"), &nothing);
}

void handle_ping_webhook(struct exchange *exchange)
{
    webhook_guard(exchange, ping);
}

static void replay(struct exchange *exchange, const struct webhook_row *row)
{
    struct webhook_call *call = exchange->webhook;
    struct replay_input input;
    (void)row;
    enum status status = replay_input_read(exchange->body, exchange->arena, &input, &call->violations);
    if (status == STATUS_INVALID) reply_violations(exchange, &call->violations);
    else if (status != STATUS_OK) reply_failure(exchange, status);
    else queue_job(exchange, SLICE("replay"), &input);
}

void handle_replay_webhook(struct exchange *exchange)
{
    if (exchange_read_body(exchange)) webhook_guard(exchange, replay);
}
