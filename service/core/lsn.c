#include "core/lsn.h"

#include <inttypes.h>
#include <stdio.h>

enum { HALF_DIGITS_MAX = 8 };

const char *lsn_format(uint64_t lsn, char text[LSN_TEXT_MAX])
{
    snprintf(text, LSN_TEXT_MAX, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
    return text;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

static bool parse_half(const char *data, size_t len, uint32_t *ret_half)
{
    if (len == 0 || len > HALF_DIGITS_MAX) return false;
    uint32_t half = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = digit_value(data[i]);
        if (digit < 0) return false;
        half = half << 4 | (uint32_t)digit;
    }
    *ret_half = half;
    return true;
}

bool lsn_parse(struct slice text, uint64_t *ret_lsn)
{
    const char *slash = text.len == 0 ? NULL : memchr(text.data, '/', text.len);
    if (slash == NULL) return false;
    size_t high_len = (size_t)(slash - text.data);
    uint32_t high;
    uint32_t low;
    if (!parse_half(text.data, high_len, &high) || !parse_half(slash + 1, text.len - high_len - 1, &low)) return false;
    *ret_lsn = (uint64_t)high << 32 | low;
    return true;
}
