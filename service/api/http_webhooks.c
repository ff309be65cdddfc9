/* The handlers of webhooks: create, list, get, update and delete. The reference's fields and answers; what differs is in
 * docs/differences.md. */
#include <inttypes.h>
#include <stdio.h>
#include <openssl/rand.h>

#include "api/http_query.h"
#include "api/http_webhook.h"

/* ---- answers ---- */

/* The revision, which every change raises, a sender's that disables it too. */
static void write_etag(struct exchange *exchange, int64_t revision)
{
    char etag[24];
    snprintf(etag, sizeof(etag), "\"%" PRId64 "\"", revision);
    http_reply_header(exchange->request, "ETag", etag);
    http_reply_header(exchange->request, "Access-Control-Expose-Headers", "ETag");
}

static void reply_webhook(struct exchange *exchange, int status_code, const struct webhook_row *row, bool has_etag)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":");
    enum status status = webhook_write_json(exchange, row, &body);
    buf_append_char(&body, '}');
    if (status == STATUS_OK && has_etag) write_etag(exchange, row->revision);
    if (status == STATUS_OK) reply_json(exchange, status_code, &body);
    else reply_failure(exchange, status);
    buf_done(&body);
}

static void refuse_duplicate(struct exchange *exchange)
{
    if (exchange->webhook->owner.client_id.data != NULL) {
        reply_error(exchange, 409, SLICE("Webhook with this subscriber url already exists for this oAuth client"));
    } else {
        reply_error(exchange, 409, SLICE("Webhook with this subscriber url already exists for this user"));
    }
}

/* Went since the guards looked. */
static void refuse_without_owner(struct exchange *exchange)
{
    const struct webhook_owner *owner = &exchange->webhook->owner;
    if (owner->client_id.data != NULL) {
        reply_error(exchange, 404, SLICE("OAuthClientGuard - OAuth client not found."));
    } else if (owner->org_id != 0) {
        reply_errorf(exchange, 403,
                     "IsOrgGuard - provided organization id=%" PRId64 " does not represent any existing organization.",
                     owner->org_id);
    } else {
        reply_error(exchange, 401, SLICE("ApiAuthStrategy - bearer token - No user associated with the provided token"));
    }
}

static void reply_verdict(struct exchange *exchange, const char *verdict)
{
    if (strcmp(verdict, "url") == 0) refuse_duplicate(exchange);
    else if (strcmp(verdict, "limit") == 0) reply_errorf(exchange, 409, "An owner has at most %d webhooks.", WEBHOOKS_MAX);
    else if (strcmp(verdict, "owner") == 0) refuse_without_owner(exchange);
    else if (strcmp(verdict, "revision") == 0)
        reply_error(exchange, 412, SLICE("The webhook has another ETag than If-Match asks for."));
    else refuse_webhook_as_missing(exchange);
}

/* Of a change. */
static void on_changed(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    enum http_method method = exchange->route->method;
    if (!webhook_is_done(exchange, status)) return;
    if (strcmp(webhook_verdict(result), "stored") != 0) {
        reply_verdict(exchange, webhook_verdict(result));
        return;
    }
    struct webhook_row row = webhook_row_read(result, 0);
    exchange->stored_code = method == HTTP_METHOD_POST ? 201 : 200;
    exchange->stored_webhook_id = exchange->webhook->id_text;
    reply_webhook(exchange, exchange->stored_code, &row, method != HTTP_METHOD_DELETE);
}

/* ---- what was sent ---- */

/* The parsed body takes many times its text: it goes before the database is waited for. */
static enum status drop_body(struct exchange *exchange)
{
    struct webhook_input *input = &exchange->webhook->input;
    if (input->url.data != NULL) input->url = arena_copy(exchange->arena, input->url);
    if (input->secret.data != NULL) input->secret = arena_copy(exchange->arena, input->secret);
    json_decref(exchange->body);
    exchange->body = NULL;
    return arena_failure(exchange->arena);
}

/* Reads the body, and keeps what is wrong with it for behind the guards. False when it was answered. */
static bool read_input(struct exchange *exchange, bool is_change)
{
    if (webhook_call_of(exchange) == NULL || !exchange_read_body(exchange)) return false;
    struct webhook_call *call = exchange->webhook;
    call->input_status = webhook_input_read(exchange->body, is_change, exchange->arena, &call->input, &call->violations);
    if (call->input_status == STATUS_OK) call->input_status = drop_body(exchange);
    return true;
}

/* False when it was answered. */
static bool check_input(struct exchange *exchange)
{
    struct webhook_call *call = exchange->webhook;
    const struct webhook_input *input = &call->input;
    struct webhook_url url;
    const char *refusal = NULL;
    if (call->input_status == STATUS_OK && input->url.data != NULL) {
        refusal = address_rule_url_refusal(exchange->api->config.webhook_rule, input->url, &url);
    }
    if (call->input_status == STATUS_INVALID) {
        reply_violations(exchange, &call->violations);
    } else if (call->input_status != STATUS_OK) {
        reply_failure(exchange, call->input_status);
    } else if (input->has_delegation_trigger && exchange->route->access == ACCESS_OWN_WEBHOOK) {
        reply_error(exchange, 400, SLICE("DELEGATION_CREDENTIAL_ERROR trigger is only available for organization webhooks"));
    } else if (refusal != NULL) {
        reply_errorf(exchange, 400, "Webhook URL is not allowed: %s", refusal);
    } else {
        return true;
    }
    return false;
}

/* Null where there is no secret. False when it was answered. */
static bool seal_secret(struct exchange *exchange, struct pg_param *ret_param)
{
    const struct webhook_call *call = exchange->webhook;
    *ret_param = (struct pg_param){NULL, 0, true};
    if (!call->input.has_secret || call->input.secret.len == 0) return true;
    uint8_t *sealed = arena_alloc(exchange->arena, WEBHOOK_SEALED_BYTES_MAX);
    if (exchange->api->config.webhook_keys->len == 0) {
        reply_error(exchange, 501, SLICE("Secrets of webhooks need WEBHOOK_SECRET_KEY, which is not set."));
        return false;
    }
    size_t len =
        sealed == NULL ? 0 : webhook_secret_seal(exchange->api->config.webhook_keys, &call->id, call->input.secret, sealed);
    if (len == 0) {
        reply_failure(exchange, STATUS_FAILED);
        return false;
    }
    *ret_param = (struct pg_param){(const char *)sealed, (int)len, true};
    return true;
}

static struct pg_param bool_param(bool value)
{
    return webhook_text_param(value ? SLICE("true") : SLICE("false"));
}

static struct pg_param null_param(void)
{
    return (struct pg_param){NULL, 0, false};
}

/* ---- create ---- */

/* Version 4, as the reference's. */
static bool make_id(struct webhook_call *call)
{
    if (RAND_bytes(call->id.bytes, sizeof(call->id.bytes)) != 1) return false;
    call->id.bytes[6] = (uint8_t)((call->id.bytes[6] & 0x0f) | 0x40);
    call->id.bytes[8] = (uint8_t)((call->id.bytes[8] & 0x3f) | 0x80);
    uuid_format(&call->id, call->id_text);
    return true;
}

static void create(struct exchange *exchange, const struct webhook_row *none)
{
    struct webhook_call *call = exchange->webhook;
    const struct webhook_input *input = &call->input;
    struct pg_param secret;
    (void)none;
    if (!check_input(exchange)) return;
    if (!make_id(call)) {
        reply_failure(exchange, STATUS_FAILED);
        return;
    }
    if (!seal_secret(exchange, &secret)) return;
    const struct pg_param params[] = {
        webhook_text_param(slice_of(call->id_text)),
        webhook_id_param(exchange, call->owner.user_id),
        webhook_id_param(exchange, call->owner.org_id),
        webhook_text_param(call->owner.client_id),
        webhook_text_param(input->url),
        webhook_text_param(input->triggers),
        bool_param(input->is_active),
        secret,
        webhook_text_param(input->format.data == NULL ? SLICE("cal") : input->format),
        webhook_id_param(exchange, WEBHOOKS_MAX),
    };
    webhook_ask(exchange, WEBHOOK_CREATE, params, on_changed);
}

void handle_create_webhook(struct exchange *exchange)
{
    if (read_input(exchange, false)) webhook_guard(exchange, create);
}

/* ---- read ---- */

static void on_list(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    struct buf body;
    if (!webhook_is_done(exchange, status)) return;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"success\",\"data\":[");
    for (int i = 0; i < PQntuples(result) && status == STATUS_OK; i++) {
        struct webhook_row row = webhook_row_read(result, i);
        if (i > 0) buf_append_char(&body, ',');
        status = webhook_write_json(exchange, &row, &body);
    }
    buf_printf(&body, "]}");
    if (status == STATUS_OK) reply_json(exchange, 200, &body);
    else reply_failure(exchange, status);
    buf_done(&body);
}

static void list(struct exchange *exchange, const struct webhook_row *none)
{
    const struct webhook_owner *owner = &exchange->webhook->owner;
    struct violations violations = {0};
    struct page page;
    (void)none;
    enum status status = query_page(exchange->target, exchange->arena, &page, &exchange->body, &violations);
    if (status == STATUS_INVALID) {
        reply_violations(exchange, &violations);
        return;
    }
    if (status != STATUS_OK) {
        reply_failure(exchange, status);
        return;
    }
    struct slice skip = arena_printf(exchange->arena, "%" PRId64, page.skip);
    const struct pg_param params[] = {
        webhook_id_param(exchange, owner->user_id),
        webhook_id_param(exchange, owner->org_id),
        webhook_text_param(owner->client_id),
        webhook_id_param(exchange, page.take),
        webhook_text_param(skip),
    };
    webhook_ask(exchange, WEBHOOK_LIST, params, on_list);
}

void handle_list_webhooks(struct exchange *exchange)
{
    webhook_guard(exchange, list);
}

static void get(struct exchange *exchange, const struct webhook_row *row)
{
    reply_webhook(exchange, 200, row, true);
}

void handle_get_webhook(struct exchange *exchange)
{
    webhook_guard(exchange, get);
}

/* ---- update ---- */

/* The revision that If-Match asks for. False when it was answered. */
static bool read_precondition(struct exchange *exchange, struct pg_param *ret_param)
{
    int64_t revision = 0;
    if (!if_match_version(http_request_header(exchange->request, "If-Match"), &revision)) {
        reply_error(exchange, 400, SLICE("If-Match must be * or one entity tag"));
        return false;
    }
    *ret_param = webhook_id_param(exchange, revision);
    return true;
}

/* False when it was answered. */
static bool read_start(struct exchange *exchange)
{
    struct slice from;
    if (!query_value(exchange->target, SLICE("from"), exchange->arena, &from)) {
        reply_failure(exchange, arena_failure(exchange->arena));
        return false;
    }
    exchange->webhook->restarts = slice_equal(from, SLICE("now"));
    if (from.len == 0 || (exchange->webhook->restarts && exchange->webhook->input.is_active)) return true;
    reply_error(exchange, 400, SLICE("from must be now, and goes with active true"));
    return false;
}

/* A client may send back all that it has read: the secret that is there already is none to rotate to. False when it was answered. */
static bool drop_same_secret(struct exchange *exchange, const struct webhook_row *row)
{
    struct webhook_input *input = &exchange->webhook->input;
    char secret[WEBHOOK_SECRET_BYTES_MAX];
    size_t len = 0;
    if (!input->has_secret) return true;
    enum status status = webhook_open_secret(exchange, row, secret, &len);
    if (status == STATUS_OK && slice_equal(input->secret, (struct slice){secret, len})) input->has_secret = false;
    if (status != STATUS_NO_MEMORY) return true; /* one that does not open may be replaced */
    reply_failure(exchange, status);
    return false;
}

static void update(struct exchange *exchange, const struct webhook_row *row)
{
    struct webhook_call *call = exchange->webhook;
    const struct webhook_input *input = &call->input;
    struct pg_param secret;
    struct pg_param revision;
    if (!check_input(exchange) || !read_start(exchange) || !read_precondition(exchange, &revision) ||
        !drop_same_secret(exchange, row) || !seal_secret(exchange, &secret)) {
        return;
    }
    const struct pg_param params[] = {
        webhook_text_param(slice_of(call->id_text)),
        revision,
        webhook_text_param(input->url),
        webhook_text_param(input->triggers),
        input->has_active ? bool_param(input->is_active) : null_param(),
        bool_param(input->has_secret),
        secret,
        webhook_text_param(input->format),
        bool_param(call->restarts),
    };
    webhook_ask(exchange, WEBHOOK_UPDATE, params, on_changed);
}

void handle_update_webhook(struct exchange *exchange)
{
    if (read_input(exchange, true)) webhook_guard(exchange, update);
}

/* ---- delete ---- */

static void delete_one(struct exchange *exchange, const struct webhook_row *row)
{
    struct pg_param revision;
    (void)row;
    if (!read_precondition(exchange, &revision)) return;
    const struct pg_param params[] = {webhook_text_param(slice_of(exchange->webhook->id_text)), revision};
    webhook_ask(exchange, WEBHOOK_DELETE, params, on_changed);
}

void handle_delete_webhook(struct exchange *exchange)
{
    webhook_guard(exchange, delete_one);
}

static void on_all_deleted(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    char body[96];
    if (!webhook_is_done(exchange, status)) return;
    int64_t deleted = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    if (status == STATUS_DUPLICATE && deleted == 0) deleted = exchange->webhook->webhooks; /* by the first time */
    snprintf(body, sizeof(body), "{\"status\":\"success\",\"data\":\"%" PRId64 " webhooks deleted\"}", deleted);
    reply_bytes(exchange, 200, JSON_TYPE, slice_of(body));
}

static void delete_all(struct exchange *exchange, const struct webhook_row *none)
{
    const struct pg_param params[] = {webhook_text_param(exchange->webhook->owner.client_id)};
    (void)none;
    webhook_ask(exchange, WEBHOOK_DELETE_ALL, params, on_all_deleted);
}

void handle_delete_webhooks(struct exchange *exchange)
{
    webhook_guard(exchange, delete_all);
}
