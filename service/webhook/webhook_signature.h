/* The signatures of a webhook request: cal.com's, hex HMAC-SHA256 of the body, and Standard Webhooks 1.0.0, base64 HMAC-SHA256 of
 * "<id>.<timestamp>.<body>". One secret serves both: a text "whsec_<base64>" is the decoded bytes for the standard one and the whole
 * text for cal.com's; any other text is its bytes for both. Pure. */
#ifndef WEBHOOK_WEBHOOK_SIGNATURE_H
#define WEBHOOK_WEBHOOK_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum {
    WEBHOOK_SECRET_BYTES_MAX = 255,
    WEBHOOK_CAL_SIGNATURE_LEN = 64,     /* hex */
    WEBHOOK_STANDARD_SIGNATURE_LEN = 47 /* "v1," and base64 */
};

/* What stands in the place of cal.com's signature where there is no secret. */
#define WEBHOOK_NO_SECRET "no-secret-provided"

/* Whether the secret can sign: not empty, not too long, and base64 (RFC 4648, padded) behind "whsec_". */
bool webhook_secret_is_usable(struct slice secret);

/* Both write their length, without a terminator. False: the secret is not usable, or memory is out. */
bool webhook_sign_cal(struct slice secret, struct slice body, char ret_hex[WEBHOOK_CAL_SIGNATURE_LEN]);
bool webhook_sign_standard(struct slice secret, struct slice id, int64_t timestamp_s, struct slice body,
                           char ret_signature[WEBHOOK_STANDARD_SIGNATURE_LEN]);

#endif
