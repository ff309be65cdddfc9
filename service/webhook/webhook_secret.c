#include "webhook/webhook_secret.h"

#include <string.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "core/hex.h"

enum { NONCE_LEN = 12, TAG_LEN = 16 };

/* ---- keys ---- */

static bool add_key(struct webhook_keys *keys, struct slice text)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    if (keys->len == WEBHOOK_KEYS_MAX || text.len != (size_t)2 * WEBHOOK_KEY_LEN) return false;
    struct webhook_key *key = &keys->items[keys->len];
    for (size_t i = 0; i < WEBHOOK_KEY_LEN; i++) {
        int high = hex_value(text.data[2 * i]);
        int low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        key->bytes[i] = (uint8_t)(high << 4 | low);
    }
    SHA256(key->bytes, sizeof(key->bytes), digest);
    memcpy(key->id, digest, sizeof(key->id));
    keys->len++;
    return true;
}

bool webhook_keys_init(struct webhook_keys *keys, struct slice key, struct slice former_keys)
{
    keys->len = 0;
    if (key.len == 0) return former_keys.len == 0;
    if (!add_key(keys, key)) return false;
    while (former_keys.len > 0) {
        const char *comma = memchr(former_keys.data, ',', former_keys.len);
        size_t len = comma == NULL ? former_keys.len : (size_t)(comma - former_keys.data);
        if (!add_key(keys, (struct slice){former_keys.data, len})) return false;
        if (comma == NULL) break;
        former_keys = (struct slice){comma + 1, former_keys.len - len - 1};
    }
    return true;
}

/* ---- sealing ---- */

/* The pieces of one that is sealed. */
struct sealed_parts {
    uint8_t *key_id;
    uint8_t *nonce;
    uint8_t *text;
    uint8_t *tag;
};

static struct sealed_parts parts_of(uint8_t *sealed, size_t text_len)
{
    uint8_t *nonce = sealed + WEBHOOK_KEY_ID_LEN;
    return (struct sealed_parts){sealed, nonce, nonce + NONCE_LEN, nonce + NONCE_LEN + text_len};
}

static bool encrypt(EVP_CIPHER_CTX *cipher, const struct webhook_key *key, const struct uuid *webhook_id,
                    struct slice secret, const struct sealed_parts *parts)
{
    int len = 0;
    return RAND_bytes(parts->nonce, NONCE_LEN) == 1 &&
           EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, parts->nonce) == 1 &&
           EVP_EncryptUpdate(cipher, NULL, &len, webhook_id->bytes, sizeof(webhook_id->bytes)) == 1 &&
           EVP_EncryptUpdate(cipher, parts->text, &len, (const uint8_t *)secret.data, (int)secret.len) == 1 &&
           EVP_EncryptFinal_ex(cipher, parts->text + len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_LEN, parts->tag) == 1;
}

size_t webhook_secret_seal(const struct webhook_keys *keys, const struct uuid *webhook_id, struct slice secret,
                           uint8_t ret_sealed[WEBHOOK_SEALED_BYTES_MAX])
{
    if (keys->len == 0 || secret.len > WEBHOOK_SECRET_BYTES_MAX) return 0;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher == NULL) return 0;
    struct sealed_parts parts = parts_of(ret_sealed, secret.len);
    memcpy(parts.key_id, keys->items[0].id, WEBHOOK_KEY_ID_LEN);
    bool ok = encrypt(cipher, &keys->items[0], webhook_id, secret, &parts);
    EVP_CIPHER_CTX_free(cipher);
    return ok ? secret.len + WEBHOOK_SEALED_OVERHEAD : 0;
}

/* ---- opening ---- */

static const struct webhook_key *key_of(const struct webhook_keys *keys, const uint8_t *id)
{
    for (size_t i = 0; i < keys->len; i++) {
        if (memcmp(keys->items[i].id, id, WEBHOOK_KEY_ID_LEN) == 0) return &keys->items[i];
    }
    return NULL;
}

static bool decrypt(EVP_CIPHER_CTX *cipher, const struct webhook_key *key, const struct uuid *webhook_id,
                    const struct sealed_parts *parts, size_t text_len, char *ret_secret)
{
    int len = 0;
    uint8_t *to = (uint8_t *)ret_secret;
    return EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, parts->nonce) == 1 &&
           EVP_DecryptUpdate(cipher, NULL, &len, webhook_id->bytes, sizeof(webhook_id->bytes)) == 1 &&
           EVP_DecryptUpdate(cipher, to, &len, parts->text, (int)text_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_LEN, parts->tag) == 1 &&
           EVP_DecryptFinal_ex(cipher, to + len, &len) == 1;
}

enum status webhook_secret_open(const struct webhook_keys *keys, const struct uuid *webhook_id, struct slice sealed,
                                char ret_secret[WEBHOOK_SECRET_BYTES_MAX], size_t *ret_len)
{
    uint8_t copy[WEBHOOK_SEALED_BYTES_MAX];
    if (sealed.len < WEBHOOK_SEALED_OVERHEAD || sealed.len > sizeof(copy)) return STATUS_UNDECODABLE;
    memcpy(copy, sealed.data, sealed.len);
    size_t text_len = sealed.len - WEBHOOK_SEALED_OVERHEAD;
    struct sealed_parts parts = parts_of(copy, text_len);
    const struct webhook_key *key = key_of(keys, parts.key_id);
    if (key == NULL) return STATUS_NOT_FOUND;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher == NULL) return STATUS_NO_MEMORY;
    bool ok = decrypt(cipher, key, webhook_id, &parts, text_len, ret_secret);
    EVP_CIPHER_CTX_free(cipher);
    if (!ok) return STATUS_UNDECODABLE;
    *ret_len = text_len;
    return STATUS_OK;
}
