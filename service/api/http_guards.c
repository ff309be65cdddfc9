/* May they: the guards of each kind of route in the contract's order, over facts that were fetched once. Each guard answers and
 * returns false, or lets pass.
 *
 * A path number that is none counts as absent for the guards before the one that needs it, and is a 400 there. */
#include <inttypes.h>

#include "api/http_exchange.h"

enum { GUARDS_MAX = 5, SCHEDULE_READ = 16, SCHEDULE_WRITE = 32 };

typedef bool guard(struct exchange *exchange, const struct caller_facts *facts);

static bool refuse_number(struct exchange *exchange)
{
    reply_error(exchange, 400, SLICE("Validation failed (numeric string is expected)"));
    return false;
}

/* ---- the client ---- */

static void refuse_permission(struct exchange *exchange, const char *permissions)
{
    reply_errorf(exchange, 403,
                 "PermissionsGuard - oAuth client with id=%s does not have the required permissions=%s. Go to platform "
                 "dashboard settings and add the required permissions to the oAuth client.",
                 exchange->credential.client_id, permissions);
}

/* Only clients have permissions: a key may do what its user may. */
static bool guard_permission(struct exchange *exchange, const struct caller_facts *facts)
{
    bool is_read = exchange->route->method == HTTP_METHOD_GET || exchange->route->access == ACCESS_ORG_OR_TEAM;
    int permission = is_read ? SCHEDULE_READ : SCHEDULE_WRITE;
    if (exchange->credential.kind != CREDENTIAL_CLIENT || (facts->client_permissions & permission) != 0) return true;
    refuse_permission(exchange, is_read ? "SCHEDULE_READ" : "SCHEDULE_WRITE");
    return false;
}

/* A webhook is sent schedules: to change one takes both. */
static bool guard_webhook_permission(struct exchange *exchange, const struct caller_facts *facts)
{
    bool is_read = exchange->route->method == HTTP_METHOD_GET;
    int needed = is_read ? SCHEDULE_READ : SCHEDULE_READ | SCHEDULE_WRITE;
    if (exchange->credential.kind != CREDENTIAL_CLIENT || (facts->client_permissions & needed) == needed) return true;
    refuse_permission(exchange, is_read ? "SCHEDULE_READ" : "SCHEDULE_READ, SCHEDULE_WRITE");
    return false;
}

/* It would be sent schedules of its user that are none of its organization's business. */
static bool guard_no_client(struct exchange *exchange, const struct caller_facts *facts)
{
    (void)facts;
    if (exchange->credential.kind != CREDENTIAL_CLIENT) return true;
    reply_error(exchange, 403, SLICE("An OAuth client has webhooks of its own, at /v2/oauth-clients/{clientId}/webhooks"));
    return false;
}

/* ---- the organization ---- */

static bool guard_org(struct exchange *exchange, const struct caller_facts *facts)
{
    if (!path_int(path_param(&exchange->params, "orgId"), &exchange->org_id)) return refuse_number(exchange);
    exchange->scope_org_id = exchange->org_id;
    if (facts->org_exists) return true;
    reply_errorf(exchange, 403,
                 "IsOrgGuard - provided organization id=%" PRId64 " does not represent any existing organization.",
                 exchange->org_id);
    return false;
}

static bool is_org_admin(const struct caller_facts *facts)
{
    return facts->is_system_admin || facts->org_role >= ROLE_ADMIN;
}

static bool guard_org_member(struct exchange *exchange, const struct caller_facts *facts)
{
    exchange->is_org_admin = is_org_admin(facts);
    if (exchange->is_org_admin || facts->org_role != ROLE_NONE) return true;
    reply_errorf(exchange, 403, "RolesGuard - User is not a member of the organization with id=%" PRId64 ".",
                 exchange->org_id);
    return false;
}

bool guards_pass_org_admin(struct exchange *exchange)
{
    if (exchange->is_org_admin) return true;
    reply_errorf(exchange, 403,
                 "RolesGuard - user with id=%" PRId64 " does not have the minimum required role=ORG_ADMIN within "
                 "organization with id=%" PRId64 ".",
                 exchange->caller_id, exchange->org_id);
    return false;
}

static bool guard_org_role(struct exchange *exchange, const struct caller_facts *facts)
{
    return guard_org_member(exchange, facts) && guards_pass_org_admin(exchange);
}

static bool guard_user_in_org(struct exchange *exchange, const struct caller_facts *facts)
{
    if (!path_int(path_param(&exchange->params, "userId"), &exchange->user_id)) return refuse_number(exchange);
    if (facts->user_in_org) return true;
    reply_errorf(exchange, 403,
                 "IsUserInOrg - user with id=%" PRId64 " is not part of the organization with id=%" PRId64 ".",
                 exchange->user_id, exchange->org_id);
    return false;
}

/* ---- the team ---- */

/* A body may have named it before. */
static bool read_team(struct exchange *exchange)
{
    return exchange->team_id != 0 || path_int(path_param(&exchange->params, "teamId"), &exchange->team_id) ||
           refuse_number(exchange);
}

/* A team of another organization is not there. */
static bool guard_team(struct exchange *exchange, const struct caller_facts *facts)
{
    if (!read_team(exchange)) return false;
    if (facts->team_in_org) return true;
    reply_errorf(exchange, 404, "IsTeamInOrg - Team (%" PRId64 ") not found.", exchange->team_id);
    return false;
}

static bool guard_team_role(struct exchange *exchange, const struct caller_facts *facts)
{
    if (is_org_admin(facts) || (facts->org_role != ROLE_NONE && facts->team_role >= ROLE_ADMIN)) return true;
    if (facts->org_role == ROLE_NONE) {
        reply_errorf(exchange, 403, "RolesGuard - User is not part of the organization with id=%" PRId64 ".",
                     exchange->org_id);
    } else if (facts->team_role == ROLE_NONE) {
        reply_errorf(exchange, 403,
                     "RolesGuard - User is not part of the team with id=%" PRId64 " and/or, is not an admin nor an owner of "
                     "the organization with id=%" PRId64 ".",
                     exchange->team_id, exchange->org_id);
    } else {
        reply_errorf(exchange, 403,
                     "RolesGuard - user with id=%" PRId64 " does not have the minimum required role=TEAM_ADMIN within "
                     "organization with id=%" PRId64 " team with id=%" PRId64 ".",
                     exchange->caller_id, exchange->org_id, exchange->team_id);
    }
    return false;
}

/* The path names no organization, and it is told of none: who is not in the team's own is told that there is no such team. */
static bool guard_any_team(struct exchange *exchange, const struct caller_facts *facts)
{
    bool is_in_org = facts->is_system_admin || facts->org_role != ROLE_NONE;
    if (!read_team(exchange)) return false;
    exchange->org_id = exchange->scope_org_id = facts->org_id;
    if (facts->team_in_org && facts->org_exists && is_in_org) return true;
    reply_errorf(exchange, 404, "IsTeamInOrg - Team (%" PRId64 ") not found.", exchange->team_id);
    return false;
}

static bool guard_any_team_role(struct exchange *exchange, const struct caller_facts *facts)
{
    if (is_org_admin(facts) || facts->team_role >= ROLE_ADMIN) return true;
    if (facts->team_role == ROLE_NONE) {
        reply_errorf(exchange, 403, "RolesGuard - User is not a member of the team with id=%" PRId64 ".", exchange->team_id);
    } else {
        reply_errorf(exchange, 403,
                     "RolesGuard - user with id=%" PRId64
                     " does not have the minimum required role=TEAM_ADMIN within team with "
                     "id=%" PRId64 ".",
                     exchange->caller_id, exchange->team_id);
    }
    return false;
}

static bool guard_user_in_team(struct exchange *exchange, const struct caller_facts *facts)
{
    if (!path_int(path_param(&exchange->params, "userId"), &exchange->user_id)) return refuse_number(exchange);
    if (facts->user_in_org && facts->user_in_team) return true;
    reply_errorf(exchange, 403,
                 "IsUserInOrgTeam - user with id=(%" PRId64 ") is not part of the team with id=(%" PRId64 ") in the "
                 "organization with id=(%" PRId64 ")",
                 exchange->user_id, exchange->team_id, exchange->org_id);
    return false;
}

/* ---- oneself ---- */

/* A client acts for a user, and sees no more of them than its organization may. */
static bool guard_own(struct exchange *exchange, const struct caller_facts *facts)
{
    exchange->user_id = exchange->caller_id;
    exchange->scope_org_id = facts->client_org_id;
    return true;
}

/* ---- all ---- */

static guard *const guards[][GUARDS_MAX] = {
    [ACCESS_OPEN] = {NULL},
    [ACCESS_ORG] = {guard_permission, guard_org, guard_org_role},
    [ACCESS_ORG_USER] = {guard_permission, guard_org, guard_org_role, guard_user_in_org},
    [ACCESS_ORG_OR_TEAM] = {guard_permission, guard_org, guard_org_member},
    [ACCESS_TEAM] = {guard_permission, guard_org, guard_team, guard_team_role},
    [ACCESS_TEAM_USER] = {guard_permission, guard_org, guard_team, guard_team_role, guard_user_in_team},
    [ACCESS_ANY_TEAM] = {guard_permission, guard_any_team, guard_any_team_role},
    [ACCESS_OWN] = {guard_permission, guard_own},
    [ACCESS_OWN_WEBHOOK] = {guard_webhook_permission, guard_own, guard_no_client},
    [ACCESS_ORG_WEBHOOK] = {guard_webhook_permission, guard_org, guard_org_role},
    [ACCESS_CLIENT_WEBHOOK] = {guard_webhook_permission, guard_own},
};

/* Not a guard: the pipe of the path's last number, behind all guards. */
static bool read_schedule_id(struct exchange *exchange)
{
    struct slice raw = path_param(&exchange->params, "scheduleId");
    return raw.data == NULL || path_int(raw, &exchange->schedule_id) || refuse_number(exchange);
}

static bool pass(struct exchange *exchange, enum http_access access, const struct caller_facts *facts)
{
    guard *const *own = guards[access];
    for (size_t i = 0; i < GUARDS_MAX && own[i] != NULL; i++) {
        if (!own[i](exchange, facts)) return false;
    }
    return true;
}

bool guards_pass(struct exchange *exchange, const struct caller_facts *facts)
{
    exchange->is_system_admin = facts->is_system_admin;
    return pass(exchange, exchange->route->access, facts) && read_schedule_id(exchange);
}

bool guards_pass_team(struct exchange *exchange, const struct caller_facts *facts)
{
    return pass(exchange, ACCESS_TEAM, facts);
}
