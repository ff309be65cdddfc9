/* Who may do what with webhooks. Of one's own and of an organization's the guards of http_guards.c have checked the caller; of a client's
 * the client is looked up here. Then the path's webhook is, and checked by whose it is.
 *
 * A webhook of somebody else is refused as the reference does: one's own scope and a client's tell that it is there, an organization's does
 * not. */
#include "api/http_webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/schedule_json.h"
#include "core/utf8.h"
#include "driver/log.h"

struct webhook_call *webhook_call_of(struct exchange *exchange)
{
    if (exchange->webhook == NULL) exchange->webhook = arena_calloc(exchange->arena, 1, sizeof(*exchange->webhook));
    if (exchange->webhook == NULL) reply_failure(exchange, STATUS_NO_MEMORY);
    return exchange->webhook;
}

/* ---- asking the database ---- */

void webhook_ask(struct exchange *exchange, enum webhook_query query, const struct pg_param *params, webhook_done *done)
{
    enum status status =
        webhook_store_ask(exchange->api->config.webhooks, exchange_share(exchange), query, params, done, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

bool webhook_is_done(struct exchange *exchange, enum status status)
{
    if (status == STATUS_OK || status == STATUS_DUPLICATE) return true;
    if (status == STATUS_UNKNOWN_OUTCOME) {
        reply_error(exchange, 503, SLICE("It is not known whether this was done, please look before you try again."));
    } else if (status == STATUS_UNSTORABLE) {
        reply_error(exchange, 400, SLICE("The webhook cannot be stored."));
    } else {
        reply_failure(exchange, status);
    }
    return false;
}

struct pg_param webhook_text_param(struct slice text)
{
    return (struct pg_param){text.data, (int)text.len, false};
}

struct pg_param webhook_id_param(const struct exchange *exchange, int64_t id)
{
    if (id == 0) return (struct pg_param){NULL, 0, false};
    struct slice text = arena_printf(exchange->arena, "%" PRId64, id);
    return webhook_text_param(text.data == NULL ? SLICE("0") : text);
}

/* ---- answers ---- */

enum status webhook_open_secret(const struct exchange *exchange, const struct webhook_row *row,
                                char ret_secret[WEBHOOK_SECRET_BYTES_MAX], size_t *ret_len)
{
    struct uuid id;
    size_t sealed_len = 0;
    *ret_len = 0;
    if (row->secret_hex.data == NULL) return STATUS_OK;
    unsigned char *sealed = PQunescapeBytea((const unsigned char *)row->secret_hex.data, &sealed_len);
    if (sealed == NULL) return STATUS_NO_MEMORY;
    enum status status = STATUS_UNDECODABLE;
    if (uuid_parse(row->id, &id)) {
        status = webhook_secret_open(exchange->api->config.webhook_keys, &id,
                                     (struct slice){(const char *)sealed, sealed_len}, ret_secret, ret_len);
    }
    PQfreemem(sealed);
    if (status == STATUS_OK || status == STATUS_NO_MEMORY) return status;
    LOG_ERROR("the secret of a webhook does not open", LOG_STR("webhook_id", row->id.data),
              LOG_STR("reason", status == STATUS_NOT_FOUND ? "none of the keys sealed it" : "it was changed"));
    return STATUS_FAILED;
}

static void write_text(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, ",\"%s\":", name);
    if (text.data == NULL) buf_printf(out, "null");
    else json_write_string(out, text);
}

static void write_owner(struct buf *out, const struct webhook_row *row)
{
    if (row->client_id.data != NULL) write_text(out, "oAuthClientId", row->client_id);
    else if (row->user_id != 0) buf_printf(out, ",\"userId\":%" PRId64, row->user_id);
    else buf_printf(out, ",\"teamId\":%" PRId64, row->org_id);
}

enum status webhook_write_json(const struct exchange *exchange, const struct webhook_row *row, struct buf *out)
{
    char secret[WEBHOOK_SECRET_BYTES_MAX];
    size_t secret_len = 0;
    enum status status = STATUS_OK;
    if (exchange->webhook->may_write) status = webhook_open_secret(exchange, row, secret, &secret_len);
    if (status != STATUS_OK) return status;
    buf_printf(out, "{\"id\":\"%s\",\"payloadTemplate\":null,\"triggers\":", row->id.data);
    buf_append_slice(out, row->triggers_json);
    write_text(out, "subscriberUrl", row->url);
    buf_printf(out, ",\"active\":%s", row->is_active ? "true" : "false");
    write_text(out, "secret", (struct slice){secret_len == 0 ? NULL : secret, secret_len});
    write_owner(out, row);
    buf_append_char(out, ',');
    buf_append_slice(out, row->rest_json);
    buf_append_char(out, '}');
    return STATUS_OK;
}

void refuse_webhook_as_missing(struct exchange *exchange)
{
    const char *id = exchange->webhook->id_text;
    switch (exchange->route->access) {
    case ACCESS_ORG_WEBHOOK: reply_error(exchange, 403, SLICE("Forbidden resource")); break;
    case ACCESS_CLIENT_WEBHOOK: reply_errorf(exchange, 404, "IsOAuthClientWebhookGuard - Webhook (%s) not found", id); break;
    default: reply_errorf(exchange, 404, "Webhook (%s) not found", id);
    }
}

/* ---- the webhook ---- */

static bool is_owners(const struct exchange *exchange, const struct webhook_row *row)
{
    const struct webhook_owner *owner = &exchange->webhook->owner;
    if (owner->client_id.data != NULL) return slice_equal(owner->client_id, row->client_id);
    return row->client_id.data == NULL && owner->user_id == row->user_id && owner->org_id == row->org_id;
}

static void refuse_as_others(struct exchange *exchange)
{
    if (exchange->route->access == ACCESS_CLIENT_WEBHOOK) {
        reply_error(exchange, 403, SLICE("IsOAuthClientWebhookGuard - Webhook does not belong to this oAuthClient"));
    } else {
        reply_error(exchange, 403, SLICE("Forbidden resource"));
    }
}

static void on_webhook(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    if (!webhook_is_done(exchange, status)) return;
    if (PQntuples(result) == 0) {
        refuse_webhook_as_missing(exchange);
        return;
    }
    struct webhook_row row = webhook_row_read(result, 0);
    bool passes = exchange->route->access == ACCESS_OWN_WEBHOOK && exchange->is_system_admin;
    if (passes || is_owners(exchange, &row)) exchange->webhook->go_on(exchange, &row);
    else refuse_as_others(exchange);
}

static void go_on_with_webhook(struct exchange *exchange)
{
    struct webhook_call *call = exchange->webhook;
    struct slice raw = path_param(&exchange->params, "webhookId");
    if (raw.data == NULL) {
        call->go_on(exchange, NULL);
        return;
    }
    snprintf(call->id_text, sizeof(call->id_text), "%.*s", (int)raw.len, raw.data);
    if (!uuid_parse(raw, &call->id)) {
        refuse_webhook_as_missing(exchange);
        return;
    }
    const struct pg_param params[] = {webhook_text_param(slice_of(call->id_text))};
    webhook_ask(exchange, WEBHOOK_GET, params, on_webhook);
}

/* ---- the client ---- */

/* Percent-decoded, with a NUL behind; data NULL: it cannot be a client's. */
static struct slice read_client_id(const struct exchange *exchange)
{
    const struct slice none = {NULL, 0};
    struct slice raw = path_param(&exchange->params, "clientId");
    char *text = arena_alloc(exchange->arena, raw.len + 1);
    size_t len = 0;
    if (text == NULL) return none;
    for (size_t i = 0; i < raw.len; i++) {
        int byte = percent_byte(raw, i);
        text[len] = byte < 0 ? raw.data[i] : (char)byte;
        if (text[len++] == '\0') return none;
        if (byte >= 0) i += 2;
    }
    text[len] = '\0';
    return utf8_is_valid((struct slice){text, len}) ? (struct slice){text, len} : none;
}

static bool refuse(struct exchange *exchange, int status_code, struct slice message)
{
    reply_error(exchange, status_code, message);
    return false;
}

/* What the caller is to the client's organization. False when it was answered. */
static bool guard_client(struct exchange *exchange, int64_t client_org, const char *role, int64_t first_org)
{
    struct webhook_call *call = exchange->webhook;
    bool is_read = exchange->route->method == HTTP_METHOD_GET;
    int64_t own_client_org = exchange->scope_org_id;
    int64_t org_id = own_client_org != 0 ? own_client_org : first_org;
    bool is_own = own_client_org != 0 ? own_client_org == client_org : role[0] != '\0';
    bool is_admin = own_client_org != 0 || (role[0] != '\0' && strcmp(role, "MEMBER") != 0);
    call->may_write = exchange->is_system_admin || is_admin;
    if (org_id == 0 && !exchange->is_system_admin) {
        return refuse(exchange, 403, SLICE("OAuthClientGuard - No organization associated with the user."));
    }
    if (client_org == 0) return refuse(exchange, 404, SLICE("OAuthClientGuard - OAuth client not found."));
    call->owner.org_id = client_org;
    if (exchange->is_system_admin) return true;
    if (!is_own) {
        reply_errorf(exchange, 403,
                     "OAuthClientGuard - forbidden. oAuth client with id=%s does not belong to the organization with "
                     "id=%" PRId64 ".",
                     call->owner.client_id.data, org_id);
        return false;
    }
    if (is_read || is_admin) return true;
    return refuse(exchange, 403, SLICE("OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER."));
}

static void on_client(void *ctx, enum status status, const PGresult *result)
{
    struct exchange *exchange = ctx;
    if (!webhook_is_done(exchange, status)) return;
    int64_t client_org = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    int64_t first_org = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
    exchange->webhook->webhooks = strtoll(PQgetvalue(result, 0, 3), NULL, 10);
    if (guard_client(exchange, client_org, PQgetvalue(result, 0, 1), first_org)) go_on_with_webhook(exchange);
}

void webhook_guard(struct exchange *exchange, void (*go_on)(struct exchange *exchange, const struct webhook_row *row))
{
    struct webhook_call *call = webhook_call_of(exchange);
    if (call == NULL) return;
    call->go_on = go_on;
    call->may_write = true;
    if (exchange->route->access != ACCESS_CLIENT_WEBHOOK) {
        if (exchange->route->access == ACCESS_ORG_WEBHOOK) call->owner.org_id = exchange->org_id;
        else call->owner.user_id = exchange->user_id;
        go_on_with_webhook(exchange);
        return;
    }
    call->owner.client_id = read_client_id(exchange);
    if (call->owner.client_id.data == NULL) call->owner.client_id = SLICE("");
    const struct pg_param params[] = {webhook_text_param(call->owner.client_id),
                                      webhook_id_param(exchange, exchange->user_id)};
    webhook_ask(exchange, WEBHOOK_CLIENT, params, on_client);
}
