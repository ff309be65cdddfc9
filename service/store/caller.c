#include "store/caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Acts for a client: the organization's owner, else an admin. */
#define CLIENT_CALLER                                                                                             \
    "(SELECT m.user_id FROM memberships m WHERE m.org_id = o.org_id AND m.role >= 'ADMIN' ORDER BY m.role DESC, " \
    "m.user_id LIMIT 1)"

/* "NAME REQUESTS WINDOW_US BLOCK_US " for each, no more of them than RATE_LIMITS_MAX. */
#define KEY_LIMITS                                                                                                    \
    "(SELECT string_agg(format('%s %s %s %s ', name, requests, window_ms * 1000, block_ms * 1000), '' ORDER BY name)" \
    " FROM (SELECT * FROM api_key_limits WHERE api_key_id = c.key_id ORDER BY name LIMIT 4) AS own)"

enum column {
    CALLER_ID,
    KEY_REVOKED,
    KEY_EXPIRED,
    SECRET_HASH,
    PERMISSIONS,
    CLIENT_ORG,
    LIMITS,
    SYSTEM_ADMIN,
    ORG_ID,
    ORG_EXISTS,
    ORG_ROLE,
    TEAM_IN_ORG,
    TEAM_ROLE,
    USER_IN_ORG,
    USER_IN_TEAM
};

const char caller_sql[] =
    "SELECT c.user_id, c.is_revoked, c.is_expired, c.secret_hash, c.permissions, c.client_org_id, " KEY_LIMITS ","
    " c.client_org_id IS NULL AND EXISTS (SELECT FROM users WHERE id = c.user_id AND is_system_admin),"
    " q.org_id, EXISTS (SELECT FROM organizations WHERE id = q.org_id),"
    " CASE WHEN c.client_org_id IS NULL"
    " THEN (SELECT role FROM memberships WHERE org_id = q.org_id AND user_id = c.user_id)"
    " WHEN c.client_org_id = q.org_id THEN 'ADMIN' END,"
    " EXISTS (SELECT FROM teams WHERE id = q.team_id AND org_id = q.org_id),"
    " (SELECT role FROM team_memberships WHERE team_id = q.team_id AND user_id = c.user_id),"
    " EXISTS (SELECT FROM memberships WHERE org_id = q.org_id AND user_id = q.user_id),"
    " EXISTS (SELECT FROM team_memberships WHERE team_id = q.team_id AND user_id = q.user_id)"
    " FROM (SELECT key_hash, client_id, coalesce(org_id, (SELECT t.org_id FROM teams t WHERE t.id = team_id)) AS org_id, "
    "team_id,"
    " user_id, ordinal FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY"
    " AS asked (key_hash, client_id, org_id, team_id, user_id, ordinal)) AS q"
    " LEFT JOIN LATERAL ("
    "SELECT k.user_id, k.id AS key_id, k.revoked_at IS NOT NULL AS is_revoked,"
    " coalesce(k.expires_at <= statement_timestamp(), false) AS is_expired, NULL::bytea AS secret_hash, 0 AS permissions,"
    " NULL::bigint AS client_org_id"
    " FROM api_keys k WHERE k.key_hash = q.key_hash"
    " UNION ALL "
    "SELECT " CLIENT_CALLER
    ", NULL, false, false, o.secret_hash, o.permissions, o.org_id FROM oauth_clients o WHERE o.id = q.client_id"
    ") AS c ON true ORDER BY q.ordinal";

static bool is_true(const PGresult *result, int row, enum column column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

/* Null reads as "", which is no role. */
static enum member_role role_at(const PGresult *result, int row, enum column column)
{
    const char *name = PQgetvalue(result, row, column);
    if (strcmp(name, "OWNER") == 0) return ROLE_OWNER;
    if (strcmp(name, "ADMIN") == 0) return ROLE_ADMIN;
    return strcmp(name, "MEMBER") == 0 ? ROLE_MEMBER : ROLE_NONE;
}

static void read_hash(const PGresult *result, int row, uint8_t ret_hash[CALLER_HASH_LEN])
{
    size_t len = 0;
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(result, row, SECRET_HASH), &len);
    if (bytes != NULL && len == CALLER_HASH_LEN) memcpy(ret_hash, bytes, len);
    PQfreemem(bytes);
}

static int64_t take_number(const char **text)
{
    char *end;
    int64_t number = strtoll(*text, &end, 10);
    *text = *end == ' ' ? end + 1 : end;
    return number;
}

static void read_limits(const char *text, struct rate_limits *ret_limits)
{
    while (*text != '\0' && ret_limits->len < RATE_LIMITS_MAX) {
        struct rate_limit *limit = &ret_limits->items[ret_limits->len++];
        size_t len = strcspn(text, " ");
        snprintf(limit->name, sizeof(limit->name), "%.*s", (int)len, text);
        text += len + 1;
        limit->requests = take_number(&text);
        limit->window_us = take_number(&text);
        limit->block_us = take_number(&text);
    }
}

void caller_facts_read(const PGresult *result, int row, struct caller_facts *ret_facts)
{
    *ret_facts = (struct caller_facts){0};
    if (PQgetisnull(result, row, KEY_REVOKED)) return;
    *ret_facts = (struct caller_facts){
        .is_found = true,
        .key_revoked = is_true(result, row, KEY_REVOKED),
        .key_expired = is_true(result, row, KEY_EXPIRED),
        .client_permissions = (int)strtol(PQgetvalue(result, row, PERMISSIONS), NULL, 10),
        .client_org_id = strtoll(PQgetvalue(result, row, CLIENT_ORG), NULL, 10),
        .caller_id = strtoll(PQgetvalue(result, row, CALLER_ID), NULL, 10),
        .is_system_admin = is_true(result, row, SYSTEM_ADMIN),
        .org_id = strtoll(PQgetvalue(result, row, ORG_ID), NULL, 10),
        .org_exists = is_true(result, row, ORG_EXISTS),
        .org_role = role_at(result, row, ORG_ROLE),
        .team_in_org = is_true(result, row, TEAM_IN_ORG),
        .team_role = role_at(result, row, TEAM_ROLE),
        .user_in_org = is_true(result, row, USER_IN_ORG),
        .user_in_team = is_true(result, row, USER_IN_TEAM),
    };
    read_hash(result, row, ret_facts->client_secret_hash);
    read_limits(PQgetvalue(result, row, LIMITS), &ret_facts->key_limits);
}
