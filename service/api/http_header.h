/* The header fields that the HTTP API reads. Pure. */
#ifndef API_HTTP_HEADER_H
#define API_HTTP_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

enum { SECRET_HASH_LEN = 32 };

/* What the credential headers of a request amount to, in the contract's order of precedence. */
enum credential_kind {
    CREDENTIAL_NONE,
    CREDENTIAL_CLIENT, /* id and secret of an OAuth client */
    CREDENTIAL_API_KEY,
    CREDENTIAL_ACCESS_TOKEN, /* anything else in Authorization */
    CREDENTIAL_ID_ONLY,      /* a client's id without its secret */
    CREDENTIAL_SECRET_ONLY
};

struct credential {
    enum credential_kind kind;
    struct slice secret;   /* API_KEY: what follows "cal_"; CLIENT: its secret */
    const char *client_id; /* CLIENT */
};

/* The three headers' values; NULL or empty for one that was not sent. The result borrows from them. */
struct credential credential_of(const char *client_id, const char *client_secret, const char *authorization);

/* SHA-256 of a key without its prefix, or of a client's secret; what the database holds. */
void secret_hash(struct slice secret, uint8_t ret_hash[SECRET_HASH_LEN]);

/* What If-Match asks for: the version of an entity tag; 0 for any (NULL, or "*"); INT64_MAX, which no schedule has, for a tag that
 * is none of this service. False when it is malformed or a list. */
bool if_match_version(const char *if_match, int64_t *ret_version);

enum { ETAG_SIZE = 2 * 16 + 3 };

/* A strong entity tag of bytes, quoted and terminated: equal for two only if the bytes are. */
void etag_of_bytes(struct slice bytes, char ret_etag[static ETAG_SIZE]);

/* Whether If-None-Match, which may be NULL, names the tag or "*". */
bool if_none_match_has(const char *if_none_match, const char *etag);

/* Whether Accept, which may be NULL, names the media type with a higher quality than application/json, which counts as 0 where it is not named. */
bool accept_prefers(const char *accept_header, const char *type);

enum { IDEMPOTENCY_KEY_MAX = 255 };

/* 1 to IDEMPOTENCY_KEY_MAX visible ASCII characters. */
bool is_idempotency_key(const char *text);

/* Whether a request id from outside is fit for logs and headers: 1 to 64 letters, digits and "._-". */
bool is_request_id(const char *text);

/* Whether a content type names no other charset than UTF-8. */
bool is_utf8_type(const char *content_type);

/* The text with every byte that is not printable ASCII shown as "?", at most 128 bytes; data NULL when the arena is full. */
struct slice printable(const char *text, struct arena *arena);

#endif
