/* The values of a request's headers. Up to three texts with NULs between them: what one header's value may be, and with the others
 * what the credential headers may be. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "codec/json_text.h"
#include "core/traceparent.h"
#include "fuzz.h"
#include "api/http_address.h"
#include "api/http_header.h"

enum { TEXTS = 3 };

static bool is_given(const char *text)
{
    return text[0] != '\0';
}

/* What is kept of a credential is the end of the header it came in. */
static void credential(const char *id, const char *secret, const char *authorization)
{
    struct credential found = credential_of(id, secret, authorization);
    bool has_pair = is_given(id) && is_given(secret);
    MUST((found.kind == CREDENTIAL_CLIENT) == has_pair);
    MUST((found.kind == CREDENTIAL_NONE) == (!is_given(id) && !is_given(secret) && !is_given(authorization)));
    if (has_pair) MUST(found.client_id == id && found.secret.data == secret && found.secret.len == strlen(secret));
    if (found.kind != CREDENTIAL_API_KEY) return;
    MUST(found.secret.data + found.secret.len == authorization + strlen(authorization));
    MUST(found.secret.data - authorization >= 4 && memcmp(found.secret.data - 4, "cal_", 4) == 0);
}

/* A version is what its entity tag, written as ETag has it, asks for. */
static void if_match(const char *text)
{
    int64_t version;
    char tag[32];
    if (!if_match_version(text, &version)) return;
    MUST(version >= 0 && (version > 0 || strcmp(text, "*") == 0));
    snprintf(tag, sizeof(tag), "\"%" PRId64 "\"", version);
    MUST(version == 0 || version == INT64_MAX || strcmp(tag, text) == 0);
}

/* What may be stored or logged as it came is fit to be shown. */
static void visible(const char *text)
{
    struct arena *arena = arena_new(1 << 12);
    struct slice shown = printable(text, arena);
    MUST(shown.data != NULL && shown.data[shown.len] == '\0' && shown.len <= strlen(text));
    for (size_t i = 0; i < shown.len; i++) MUST(shown.data[i] >= ' ' && shown.data[i] <= '~');
    if (is_idempotency_key(text)) MUST(memcmp(shown.data, text, shown.len) == 0);
    if (is_request_id(text)) MUST(is_idempotency_key(text) && shown.len == strlen(text));
    arena_free(arena);
}

/* An address reads the same when it is written out, and is that of the request when it is the last one forwarded. */
static void address(const char *text)
{
    uint8_t bytes[ADDRESS_LEN];
    uint8_t again[ADDRESS_LEN];
    uint8_t id[ADDRESS_TRACKER_LEN];
    uint8_t direct[ADDRESS_TRACKER_LEN];
    char written[INET6_ADDRSTRLEN];
    const char *comma = strrchr(text, ',');
    const char *last = comma == NULL ? text : comma + 1;
    bool is_address = address_parse(slice_of(last), bytes);
    address_tracker("192.0.2.1", text, id);
    address_tracker(is_address ? last : "192.0.2.1", NULL, direct);
    MUST(memcmp(id, direct, sizeof(id)) == 0);
    if (!is_address) return;
    MUST(inet_ntop(AF_INET6, bytes, written, sizeof(written)) != NULL);
    MUST(address_parse(slice_of(written), again) && memcmp(bytes, again, sizeof(bytes)) == 0);
}

static void traceparent(const char *text)
{
    struct slice found = traceparent_of(slice_of(text));
    if (found.len == 0) return;
    MUST(found.data == text && found.len == strlen(text) && is_idempotency_key(text) && strncmp(text, "00-", 3) == 0);
}

static void content_type(const char *text)
{
    if (json_text_is_type(slice_of(text)))
        MUST(strlen(text) >= strlen("application/json") && strchr(text, '/') == text + strlen("application"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *texts[TEXTS];
    size_t at = 0;
    for (size_t i = 0; i < TEXTS; i++) {
        size_t len = at < size ? strnlen((const char *)data + at, size - at) : 0;
        texts[i] = strndup(at < size ? (const char *)data + at : "", len);
        MUST(texts[i] != NULL);
        at += len + 1;
    }
    credential(texts[1], texts[2], texts[0]);
    if_match(texts[0]);
    visible(texts[0]);
    address(texts[0]);
    traceparent(texts[0]);
    content_type(texts[0]);
    MUST(!accept_prefers(texts[0], "text/calendar") || strcasestr(texts[0], "text/calendar") != NULL);
    for (size_t i = 0; i < TEXTS; i++) free(texts[i]);
    return 0;
}
