#include "webhook/webhook_signature.h"

#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>

#include "core/hex.h"

enum { SHA256_BYTES = 32, PREFIX_LEN = 6, NUMBER_SIZE = 24 };

#define PREFIX "whsec_"

struct key {
    uint8_t bytes[WEBHOOK_SECRET_BYTES_MAX];
    size_t len;
};

static bool is_base64_character(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* OpenSSL's decoder passes over spaces and more: what is there is looked at first. */
static bool decode_base64(struct slice text, struct key *key)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - padding - 1] == '=') padding++;
    if (text.len == 0 || text.len % 4 != 0) return false;
    for (size_t i = 0; i < text.len - padding; i++) {
        if (!is_base64_character(text.data[i])) return false;
    }
    int len = EVP_DecodeBlock(key->bytes, (const unsigned char *)text.data, (int)text.len);
    if (len <= (int)padding) return false;
    key->len = (size_t)len - padding;
    return true;
}

static bool is_prefixed(struct slice secret)
{
    return secret.len >= PREFIX_LEN && memcmp(secret.data, PREFIX, PREFIX_LEN) == 0;
}

/* The key of the standard signature. */
static bool standard_key(struct slice secret, struct key *key)
{
    if (secret.len == 0 || secret.len > WEBHOOK_SECRET_BYTES_MAX) return false;
    if (is_prefixed(secret)) {
        return decode_base64((struct slice){secret.data + PREFIX_LEN, secret.len - PREFIX_LEN}, key);
    }
    memcpy(key->bytes, secret.data, secret.len);
    key->len = secret.len;
    return true;
}

bool webhook_secret_is_usable(struct slice secret)
{
    struct key key;
    bool is_usable = standard_key(secret, &key);
    OPENSSL_cleanse(&key, sizeof(key));
    return is_usable;
}

/* HMAC-SHA256 of the parts, one behind the other. */
static bool sign(struct slice key, const struct slice *parts, size_t parts_len, uint8_t ret_digest[SHA256_BYTES])
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
    bool ok = ctx != NULL && EVP_MAC_init(ctx, (const unsigned char *)key.data, key.len, params) == 1;
    for (size_t i = 0; ok && i < parts_len; i++) {
        ok = EVP_MAC_update(ctx, (const unsigned char *)parts[i].data, parts[i].len) == 1;
    }
    ok = ok && EVP_MAC_final(ctx, ret_digest, NULL, SHA256_BYTES) == 1;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return ok;
}

bool webhook_sign_cal(struct slice secret, struct slice body, char ret_hex[WEBHOOK_CAL_SIGNATURE_LEN])
{
    uint8_t digest[SHA256_BYTES];
    if (!sign(secret, &body, 1, digest)) return false;
    hex_format(digest, sizeof(digest), ret_hex);
    return true;
}

bool webhook_sign_standard(struct slice secret, struct slice id, int64_t timestamp_s, struct slice body,
                           char ret_signature[WEBHOOK_STANDARD_SIGNATURE_LEN])
{
    static const char version[3] = {'v', '1', ','};
    char timestamp[NUMBER_SIZE];
    char base64[WEBHOOK_STANDARD_SIGNATURE_LEN - 2]; /* and a terminator */
    uint8_t digest[SHA256_BYTES];
    struct key key;
    int len = snprintf(timestamp, sizeof(timestamp), "%" PRId64, timestamp_s);
    const struct slice parts[] = {id, SLICE("."), {timestamp, (size_t)len}, SLICE("."), body};
    bool ok = standard_key(secret, &key) &&
              sign((struct slice){(const char *)key.bytes, key.len}, parts, sizeof(parts) / sizeof(parts[0]), digest);
    OPENSSL_cleanse(&key, sizeof(key));
    if (!ok) return false;
    EVP_EncodeBlock((unsigned char *)base64, digest, sizeof(digest));
    memcpy(ret_signature, version, sizeof(version));
    memcpy(ret_signature + sizeof(version), base64, WEBHOOK_STANDARD_SIGNATURE_LEN - sizeof(version));
    return true;
}
