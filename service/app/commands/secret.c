#include "app/commands/secret.h"

#include <stdint.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "api/http_header.h"
#include "app/database.h"
#include "core/hex.h"

enum { SECRET_BYTES = 32 };

_Static_assert((int)SECRET_TEXT_SIZE == 2 * SECRET_BYTES + 1 && (int)SECRET_HASH_LEN == SECRET_BYTES,
               "both fit in hexadecimal");

static void to_hex(const uint8_t bytes[SECRET_BYTES], char ret_text[static SECRET_TEXT_SIZE])
{
    hex_format(bytes, SECRET_BYTES, ret_text);
    ret_text[2 * SECRET_BYTES] = '\0';
}

bool secret_new(char ret_secret[static SECRET_TEXT_SIZE], char ret_hash[static SECRET_TEXT_SIZE])
{
    uint8_t random_bytes[SECRET_BYTES];
    uint8_t hash[SECRET_HASH_LEN];
    if (RAND_priv_bytes(random_bytes, sizeof(random_bytes)) != 1) {
        database_fail("no random numbers");
        return false;
    }
    to_hex(random_bytes, ret_secret);
    OPENSSL_cleanse(random_bytes, sizeof(random_bytes));
    secret_hash((struct slice){ret_secret, SECRET_TEXT_SIZE - 1}, hash);
    to_hex(hash, ret_hash);
    return true;
}
