/* Who asks: the credential headers, and what the database knows of them. */
#include <openssl/crypto.h>

#include "api/http_exchange.h"

#define AUTH "ApiAuthStrategy - "
#define CLIENT_AUTH AUTH "oAuth client - "

_Static_assert((int)SECRET_HASH_LEN == (int)CALLER_HASH_LEN && (int)SECRET_HASH_LEN == (int)RATE_TRACKER_ID_LEN,
               "all are SHA-256");

/* Nobody who does not know the secret can use up the client's limit: another secret is another tracker. */
static void client_tracker(const struct exchange *exchange, uint8_t ret_id[RATE_TRACKER_ID_LEN])
{
    uint8_t hashes[2 * SECRET_HASH_LEN];
    secret_hash(slice_of(exchange->credential.client_id), hashes);
    memcpy(hashes + SECRET_HASH_LEN, exchange->secret_hash, SECRET_HASH_LEN);
    secret_hash((struct slice){(const char *)hashes, sizeof(hashes)}, ret_id);
}

bool credential_read(struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    struct credential credential =
        credential_of(http_request_header(request, "x-cal-client-id"), http_request_header(request, "x-cal-secret-key"),
                      http_request_header(request, "Authorization"));
    if (credential.kind == CREDENTIAL_CLIENT) {
        /* Fit for the database and for messages; no id that exists is changed by it. */
        credential.client_id = printable(credential.client_id, exchange->arena).data;
        if (credential.client_id == NULL) return false;
    }
    exchange->credential = credential;
    if (!credential_is_complete(&credential)) return true;
    secret_hash(credential.secret, exchange->secret_hash);
    if (credential.kind == CREDENTIAL_CLIENT) client_tracker(exchange, exchange->caller_tracker);
    else memcpy(exchange->caller_tracker, exchange->secret_hash, RATE_TRACKER_ID_LEN);
    return true;
}

bool credential_is_complete(const struct credential *credential)
{
    return credential->kind == CREDENTIAL_API_KEY || credential->kind == CREDENTIAL_CLIENT;
}

void credential_refuse(struct exchange *exchange)
{
    switch (exchange->credential.kind) {
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
    case CREDENTIAL_CLIENT:
    default:
        reply_error(exchange, 401,
                    SLICE(AUTH "No authentication method provided. Either pass an API key as 'Bearer' header or OAuth "
                               "client credentials as 'x-cal-secret-key' and 'x-cal-client-id' headers"));
    }
}

bool credential_is_known(const struct exchange *exchange, const struct caller_facts *facts)
{
    if (!facts->is_found || exchange->credential.kind == CREDENTIAL_API_KEY) return facts->is_found;
    return CRYPTO_memcmp(exchange->secret_hash, facts->client_secret_hash, SECRET_HASH_LEN) == 0;
}

static bool check_key(struct exchange *exchange, const struct caller_facts *facts)
{
    struct slice fault = {NULL, 0};
    if (!facts->is_found) fault = SLICE("CustomThrottlerGuard - Invalid API Key");
    else if (facts->key_revoked) fault = SLICE(AUTH "api key - Your api key is not valid");
    else if (facts->key_expired) fault = SLICE(AUTH "api key - Your api key is expired");
    if (fault.data != NULL) reply_error(exchange, 401, fault);
    return fault.data == NULL;
}

static bool check_client(struct exchange *exchange, const struct caller_facts *facts)
{
    if (!facts->is_found) {
        reply_errorf(exchange, 401, CLIENT_AUTH "Client with ID %s not found", exchange->credential.client_id);
    } else if (!credential_is_known(exchange, facts)) {
        reply_error(exchange, 401, SLICE(CLIENT_AUTH "Invalid client secret"));
    } else if (facts->caller_id == 0) {
        reply_error(exchange, 401, SLICE(CLIENT_AUTH "No owner ID found for this OAuth client"));
    } else {
        return true;
    }
    return false;
}

bool credential_check(struct exchange *exchange, const struct caller_facts *facts)
{
    bool is_key = exchange->credential.kind == CREDENTIAL_API_KEY;
    if (!(is_key ? check_key(exchange, facts) : check_client(exchange, facts))) return false;
    exchange->caller_id = facts->caller_id;
    return true;
}
