/* The secrets of endpoints as they are stored: sealed with AES-256-GCM (NIST SP 800-38D) by a key that the database never sees. An endpoint's
 * id is authenticated with its secret, so that one that is copied to another endpoint's row does not open.
 *
 * Sealed: the key's id (8 bytes), the nonce (12, random), what was encrypted, and the tag (16). */
#ifndef WEBHOOK_WEBHOOK_SECRET_H
#define WEBHOOK_WEBHOOK_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"
#include "core/status.h"
#include "core/uuid.h"
#include "webhook/webhook_signature.h"

enum {
    WEBHOOK_KEYS_MAX = 8,
    WEBHOOK_KEY_LEN = 32,
    WEBHOOK_KEY_ID_LEN = 8,
    WEBHOOK_SEALED_OVERHEAD = WEBHOOK_KEY_ID_LEN + 12 + 16,
    WEBHOOK_SEALED_BYTES_MAX = WEBHOOK_SECRET_BYTES_MAX + WEBHOOK_SEALED_OVERHEAD
};

struct webhook_key {
    uint8_t id[WEBHOOK_KEY_ID_LEN]; /* the beginning of its SHA-256 */
    uint8_t bytes[WEBHOOK_KEY_LEN];
};

/* The first one seals; all of them open. */
struct webhook_keys {
    struct webhook_key items[WEBHOOK_KEYS_MAX];
    size_t len; /* 0: there are none */
};

/* Reads a key of 64 hexadecimal digits, or none, and those that came before it, with commas between. False: one is none, or there are too
 * many, or only former ones. */
bool webhook_keys_init(struct webhook_keys *keys, struct slice key, struct slice former_keys);

/* Writes the sealed secret and returns its length. 0: there is no key, the secret is longer than WEBHOOK_SECRET_BYTES_MAX, or OpenSSL failed. */
size_t webhook_secret_seal(const struct webhook_keys *keys, const struct uuid *webhook_id, struct slice secret,
                           uint8_t ret_sealed[WEBHOOK_SEALED_BYTES_MAX]);

/* Writes the secret, of *ret_len bytes. STATUS_OK; STATUS_NOT_FOUND: none of the keys sealed it; STATUS_UNDECODABLE: it was changed, or is
 * another endpoint's. */
enum status webhook_secret_open(const struct webhook_keys *keys, const struct uuid *webhook_id, struct slice sealed,
                                char ret_secret[WEBHOOK_SECRET_BYTES_MAX], size_t *ret_len);

#endif
