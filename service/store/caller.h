/* The facts behind a request: who the caller is and what they are to the organization, team and user that it names. Asked again for
 * every request, so that a change counts from the next one on. Nothing is decided here. */
#ifndef STORE_CALLER_H
#define STORE_CALLER_H

#include <libpq-fe.h>

#include "core/rate_limit.h"
#include "core/status.h"

enum { CALLER_HASH_LEN = 32 };

/* Higher is more; of an organization or a team. */
enum member_role { ROLE_NONE, ROLE_MEMBER, ROLE_ADMIN, ROLE_OWNER };

/* Numbers are 0 where the request names none. */
struct caller_query {
    const uint8_t *key_hash; /* of an API key, or NULL */
    const char *client_id;   /* of an OAuth client, valid UTF-8, or NULL */
    bool is_of_team;         /* the organization is the one that the team is in, whatever org_id is */
    int64_t org_id;
    int64_t team_id;
    int64_t user_id;
};

struct caller_facts {
    bool is_found; /* there is such a key or client; all else is false or 0 otherwise */
    bool key_revoked;
    bool key_expired;              /* by the database's clock, to the microsecond */
    struct rate_limits key_limits; /* the key's own */
    uint8_t client_secret_hash[CALLER_HASH_LEN];
    int client_permissions;
    int64_t client_org_id; /* 0: not a client */
    int64_t caller_id;     /* the key's user; the client's organization's owner, else admin; 0: it has neither */
    bool is_system_admin;  /* a client never is */
    bool org_exists;
    enum member_role org_role; /* a client is an admin of its own organization, and nothing to any other */
    int64_t org_id;            /* that all is about; 0: none */
    bool team_in_org;
    enum member_role team_role;
    bool user_in_org;
    bool user_in_team;
};

typedef void caller_done(void *ctx, enum status status, const struct caller_facts *facts);

/* Of any number of requests. Parameters are parallel arrays: key hash, client id, organization, team, user. One row for each, in
 * their order. */
extern const char caller_sql[];

void caller_facts_read(const PGresult *result, int row, struct caller_facts *ret_facts);

#endif
