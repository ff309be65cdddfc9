/* Who asks, how often, and may they. The database is asked once for all of it, and again about a team that only the body names; what can be
 * refused without it is refused first. */
#include "api/http_exchange.h"

static void on_facts(void *ctx, enum status status, const struct caller_facts *facts)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) {
        reply_failure(exchange, status);
        return;
    }
    bool may_ask = credential_is_known(exchange, facts) ? throttle_caller(exchange, facts) : throttle_address(exchange);
    if (may_ask && credential_check(exchange, facts) && guards_pass(exchange, facts)) turn_take(exchange);
}

/* 0, which no row has, where the path holds no number. */
static int64_t number_or_none(const struct exchange *exchange, const char *name)
{
    int64_t value = 0;
    path_int(path_param(&exchange->params, name), &value);
    return value;
}

static void look_up(struct exchange *exchange, int64_t team_id, caller_done *done)
{
    bool is_key = exchange->credential.kind == CREDENTIAL_API_KEY;
    const struct caller_query query = {
        .key_hash = is_key ? exchange->secret_hash : NULL,
        .client_id = is_key ? NULL : exchange->credential.client_id,
        .is_of_team = exchange->route->access == ACCESS_ANY_TEAM,
        .org_id = number_or_none(exchange, "orgId"),
        .team_id = team_id,
        .user_id = number_or_none(exchange, "userId"),
    };
    enum status status = reader_access(exchange->api->config.reader, &query, done, exchange);
    if (status != STATUS_OK) reply_failure(exchange, status);
}

static void on_team_facts(void *ctx, enum status status, const struct caller_facts *facts)
{
    struct exchange *exchange = ctx;
    if (status != STATUS_OK) reply_failure(exchange, status);
    else if (credential_check(exchange, facts) && guards_pass_team(exchange, facts)) exchange->go_on(exchange);
}

void auth_team(struct exchange *exchange, int64_t team_id, void (*go_on)(struct exchange *exchange))
{
    exchange->team_id = team_id;
    exchange->go_on = go_on;
    look_up(exchange, team_id, on_team_facts);
}

void auth_start(struct exchange *exchange)
{
    throttle_identify(exchange);
    if (!credential_read(exchange)) {
        reply_failure(exchange, STATUS_NO_MEMORY);
    } else if (credential_is_complete(&exchange->credential)) {
        if (throttle_peek(exchange)) look_up(exchange, number_or_none(exchange, "teamId"), on_facts);
    } else if (throttle_address(exchange)) {
        credential_refuse(exchange);
    }
}
