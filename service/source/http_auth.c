/* Who asks, and may they: the guards in the contract's order. The database is asked once for all of them; what can be
 * refused without it is refused first.
 *
 * A path number that is none counts as absent for the guards before the one that needs it, and is a 400 there. */
#include <inttypes.h>

#include "source/http_exchange.h"
#include "source/http_header.h"

#define AUTH "ApiAuthStrategy - "

static void refuse_credential(struct exchange *exchange, enum credential_kind kind)
{
    switch (kind) {
    case CREDENTIAL_CLIENT: {
        struct slice id = printable(http_request_header(exchange->request, "x-cal-client-id"), exchange->arena);
        reply_errorf(exchange, 401, AUTH "oAuth client - Client with ID %.*s not found", (int)id.len, id.data);
        return;
    }
    case CREDENTIAL_ACCESS_TOKEN: reply_error(exchange, 401, SLICE(AUTH "access token - Invalid Access Token.")); return;
    case CREDENTIAL_ID_ONLY:
        reply_error(exchange, 401,
                    SLICE(AUTH "Only 'x-cal-client-id' header provided. Please also provide "
                               "'x-cal-secret-key' header or Auth bearer token as 'Authentication' header"));
        return;
    case CREDENTIAL_SECRET_ONLY:
        reply_error(exchange, 401,
                    SLICE(AUTH "Only 'x-cal-secret-key' header provided. Please also provide "
                               "'x-cal-client-id' header or Auth bearer token as 'Authentication' header"));
        return;
    case CREDENTIAL_NONE:
    case CREDENTIAL_API_KEY:
    default:
        reply_error(exchange, 401,
                    SLICE(AUTH "No authentication method provided. Either pass an API key as 'Bearer' header or OAuth "
                               "client credentials as 'x-cal-secret-key' and 'x-cal-client-id' headers"));
    }
}

/* ---- guards: each answers and returns false, or lets pass ---- */

static bool refuse_number(struct exchange *exchange)
{
    reply_error(exchange, 400, SLICE("Validation failed (numeric string is expected)"));
    return false;
}

static bool guard_key(struct exchange *exchange, const struct access_facts *facts)
{
    if (facts->caller_id == 0 || facts->key_revoked) {
        reply_error(exchange, 401, SLICE(AUTH "api key - Your api key is not valid"));
        return false;
    }
    if (facts->key_expired) {
        reply_error(exchange, 401, SLICE(AUTH "api key - Your api key is expired"));
        return false;
    }
    exchange->caller_id = facts->caller_id;
    return true;
}

static bool guard_org(struct exchange *exchange, const struct access_facts *facts)
{
    if (!path_int(path_param(&exchange->params, "orgId"), &exchange->org_id)) return refuse_number(exchange);
    if (facts->org_exists) return true;
    reply_errorf(exchange, 403,
                 "IsOrgGuard - provided organization id=%" PRId64 " does not represent any existing organization.",
                 exchange->org_id);
    return false;
}

static bool guard_role(struct exchange *exchange, const struct access_facts *facts)
{
    if (facts->caller_role >= ORG_ROLE_ADMIN) return true;
    if (facts->caller_role == ORG_ROLE_NONE) {
        reply_errorf(exchange, 403, "RolesGuard - User is not a member of the organization with id=%" PRId64 ".",
                     exchange->org_id);
    } else {
        reply_errorf(exchange, 403,
                     "RolesGuard - user with id=%" PRId64 " does not have the minimum required role=ORG_ADMIN within "
                     "organization with id=%" PRId64 ".",
                     exchange->caller_id, exchange->org_id);
    }
    return false;
}

static bool guard_user_in_org(struct exchange *exchange, const struct access_facts *facts)
{
    if (!path_int(path_param(&exchange->params, "userId"), &exchange->user_id)) return refuse_number(exchange);
    if (facts->user_in_org) return true;
    reply_errorf(exchange, 403,
                 "IsUserInOrg - user with id=%" PRId64 " is not part of the organization with id=%" PRId64 ".",
                 exchange->user_id, exchange->org_id);
    return false;
}

/* Not a guard: the pipe of the path's last number, behind all guards. */
static bool read_schedule_id(struct exchange *exchange)
{
    struct slice raw = path_param(&exchange->params, "scheduleId");
    return raw.data == NULL || path_int(raw, &exchange->schedule_id) || refuse_number(exchange);
}

static void on_facts(void *ctx, enum status status, const struct access_facts *facts)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) {
        reply_failure(exchange, status);
        return;
    }
    if (guard_key(exchange, facts) && guard_org(exchange, facts) && guard_role(exchange, facts) &&
        guard_user_in_org(exchange, facts) && read_schedule_id(exchange)) {
        exchange->route->handle(exchange);
    }
}

/* 0, which no row has, where the path holds no number. */
static int64_t number_or_none(const struct exchange *exchange, const char *name)
{
    int64_t value = 0;
    path_int(path_param(&exchange->params, name), &value);
    return value;
}

void auth_start(struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    struct credential credential =
        credential_of(http_request_header(request, "x-cal-client-id"), http_request_header(request, "x-cal-secret-key"),
                      http_request_header(request, "Authorization"));
    if (credential.kind != CREDENTIAL_API_KEY) {
        refuse_credential(exchange, credential.kind);
        return;
    }
    struct access_query query = {
        .org_id = number_or_none(exchange, "orgId"),
        .user_id = number_or_none(exchange, "userId"),
    };
    api_key_hash(credential.key, query.key_hash);
    enum status status = reader_access(exchange->door->config.reader, &query, on_facts, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}
