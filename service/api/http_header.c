#include "api/http_header.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { PRINTABLE_MAX = 128, REQUEST_ID_MAX = 64 };

static bool is_given(const char *value)
{
    return value != NULL && value[0] != '\0';
}

static struct slice without_prefix(struct slice text, struct slice prefix)
{
    if (text.len < prefix.len || memcmp(text.data, prefix.data, prefix.len) != 0) return text;
    return (struct slice){text.data + prefix.len, text.len - prefix.len};
}

/* "Bearer " is taken off where it stands, exactly so written; a bare key does as well. */
static struct credential credential_of_token(const char *authorization)
{
    struct slice token = without_prefix(slice_of(authorization), SLICE("Bearer "));
    struct slice key = without_prefix(token, SLICE("cal_"));
    if (key.len == token.len) return (struct credential){.kind = CREDENTIAL_ACCESS_TOKEN};
    return (struct credential){.kind = CREDENTIAL_API_KEY, .secret = key};
}

struct credential credential_of(const char *client_id, const char *client_secret, const char *authorization)
{
    if (is_given(client_id) && is_given(client_secret)) {
        return (struct credential){CREDENTIAL_CLIENT, slice_of(client_secret), client_id};
    }
    if (is_given(authorization)) return credential_of_token(authorization);
    if (is_given(client_id)) return (struct credential){.kind = CREDENTIAL_ID_ONLY};
    if (is_given(client_secret)) return (struct credential){.kind = CREDENTIAL_SECRET_ONLY};
    return (struct credential){.kind = CREDENTIAL_NONE};
}

void secret_hash(struct slice secret, uint8_t ret_hash[SECRET_HASH_LEN])
{
    _Static_assert(SECRET_HASH_LEN == SHA256_DIGEST_LENGTH, "the hash is a SHA-256");
    SHA256((const unsigned char *)secret.data, secret.len, ret_hash);
}

/* RFC 9110, 8.8.3: an opaque tag in quotes, weak ones with W/ before it. Weak ones never match here. */
bool if_match_version(const char *if_match, int64_t *ret_version)
{
    *ret_version = 0;
    if (if_match == NULL || strcmp(if_match, "*") == 0) return true;
    bool is_weak = strncmp(if_match, "W/", 2) == 0;
    const char *tag = if_match + (is_weak ? 2 : 0);
    size_t len = tag[0] == '"' ? strcspn(tag + 1, "\"") : 0;
    if (tag[0] != '"' || strcmp(tag + 1 + len, "\"") != 0) return false;
    bool is_version = !is_weak && len > 0 && len < 19 && tag[1] != '0' && strspn(tag + 1, "0123456789") == len;
    *ret_version = is_version ? strtoll(tag + 1, NULL, 10) : INT64_MAX;
    return true;
}

void etag_of_bytes(struct slice bytes, char ret_etag[static ETAG_SIZE])
{
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)bytes.data, bytes.len, sha256);
    for (size_t i = 0; i < (ETAG_SIZE - 3) / 2; i++) snprintf(ret_etag + 1 + 2 * i, 3, "%02x", sha256[i]);
    ret_etag[0] = ret_etag[ETAG_SIZE - 2] = '"';
    ret_etag[ETAG_SIZE - 1] = '\0';
}

bool if_none_match_has(const char *if_none_match, const char *etag)
{
    return if_none_match != NULL && (strcmp(if_none_match, "*") == 0 || strstr(if_none_match, etag) != NULL);
}

/* In thousandths (RFC 9110, 12.4.2): "1", "0.125"; what is none is 0. */
static int quality(const char *text)
{
    int thousandths = 0;
    if (text[0] == '1') return 1000;
    if (text[0] != '0' || text[1] != '.') return 0;
    for (int place = 100, i = 2; place > 0 && text[i] >= '0' && text[i] <= '9'; place /= 10, i++) {
        thousandths += (text[i] - '0') * place;
    }
    return thousandths;
}

/* Of the parameters of a media range; 1000 when there is none. */
static int quality_of(const char *parameters, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (parameters[i] != ';') continue;
        const char *name = parameters + i + 1 + strspn(parameters + i + 1, " \t");
        if (strncasecmp(name, "q=", 2) == 0) return quality(name + 2);
    }
    return 1000;
}

static int accept_quality(const char *accept_header, const char *type)
{
    size_t type_len = strlen(type);
    while (*accept_header != '\0') {
        accept_header += strspn(accept_header, " \t,");
        size_t len = strcspn(accept_header, ",");
        bool is_it = len >= type_len && strncasecmp(accept_header, type, type_len) == 0;
        if (is_it && strcspn(accept_header + type_len, " \t;,") == 0)
            return quality_of(accept_header + type_len, len - type_len);
        accept_header += len;
    }
    return 0;
}

bool accept_prefers(const char *accept_header, const char *type)
{
    return accept_header != NULL && accept_quality(accept_header, type) > accept_quality(accept_header, "application/json");
}

bool is_idempotency_key(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') return false;
    }
    return len >= 1 && len <= IDEMPOTENCY_KEY_MAX;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_request_id(const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    if (len == 0 || len > REQUEST_ID_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(text[i]) && strchr("._-", text[i]) == NULL) return false;
    }
    return true;
}

/* RFC 9110, section 8.3: parameters have names in any case, and values with or without quotes. */
bool is_utf8_type(const char *content_type)
{
    static const char name[] = "charset=";
    for (const char *at = strchr(content_type, ';'); at != NULL; at = strchr(at, ';')) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, sizeof(name) - 1) != 0) continue;
        const char *value = at + sizeof(name) - 1;
        value += value[0] == '"';
        return strcspn(value, "\"; \t") == 5 && strncasecmp(value, "utf-8", 5) == 0;
    }
    return true;
}

struct slice printable(const char *text, struct arena *arena)
{
    size_t len = strlen(text);
    if (len > PRINTABLE_MAX) len = PRINTABLE_MAX;
    char *copy = arena_alloc(arena, len + 1);
    if (copy == NULL) return (struct slice){NULL, 0};
    for (size_t i = 0; i < len; i++) copy[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    copy[len] = '\0';
    return (struct slice){copy, len};
}
