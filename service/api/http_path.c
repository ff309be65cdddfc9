#include "api/http_path.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "core/hex.h"

enum { ID_TEXT_MAX = 64 };

static bool starts_with_segments(struct slice target, struct slice prefix)
{
    if (target.len < prefix.len || memcmp(target.data, prefix.data, prefix.len) != 0) return false;
    return target.len == prefix.len || target.data[prefix.len] == '/' || target.data[prefix.len] == '?';
}

/* Cuts len bytes at the front and puts /v2 there. */
static struct slice put_v2(struct slice target, size_t len, struct arena *arena)
{
    return arena_printf(arena, "/v2%.*s", (int)(target.len - len), target.data + len);
}

static bool is_url_byte(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\\';
}

static struct slice encode(struct slice target, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    char *text = arena_alloc(arena, 3 * target.len + 1);
    size_t len = 0;
    if (text == NULL) return (struct slice){NULL, 0};
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.data[i];
        if (is_url_byte(c)) {
            text[len++] = (char)c;
        } else {
            text[len++] = '%';
            text[len++] = digits[c >> 4];
            text[len++] = digits[c & 15];
        }
    }
    text[len] = '\0';
    return (struct slice){text, len};
}

struct slice target_rewrite(struct slice target, struct arena *arena)
{
    const struct slice api = SLICE("/api/v2");
    const struct slice ee = SLICE("/v2/ee");
    target = encode(target, arena);
    if (target.data != NULL && starts_with_segments(target, api)) target = put_v2(target, api.len, arena);
    if (target.data != NULL && starts_with_segments(target, ee)) target = put_v2(target, ee.len, arena);
    return target;
}

struct slice target_path(struct slice target)
{
    size_t len = 0;
    while (len < target.len && target.data[len] != '?' && target.data[len] != '#') len++;
    return (struct slice){target.data, len};
}

/* Takes "/segment" off the front. */
static bool take_segment(struct slice *rest, struct slice *ret_segment)
{
    if (rest->len == 0 || rest->data[0] != '/') return false;
    size_t end = 1;
    while (end < rest->len && rest->data[end] != '/') end++;
    *ret_segment = (struct slice){rest->data + 1, end - 1};
    *rest = (struct slice){rest->data + end, rest->len - end};
    return true;
}

static bool match_segment(struct slice want, struct slice have, struct path_params *params)
{
    if (want.len < 2 || want.data[0] != '{') {
        return want.len == have.len && strncasecmp(want.data, have.data, want.len) == 0;
    }
    if (have.len == 0 || params->len == PATH_PARAMS_MAX) return false;
    params->items[params->len++] = (struct path_param){{want.data + 1, want.len - 2}, have};
    return true;
}

bool path_match(const char *pattern, struct slice path, struct path_params *ret_params)
{
    struct path_params params = {.len = 0};
    struct slice wanted = slice_of(pattern);
    struct slice want;
    struct slice have;
    while (take_segment(&wanted, &want)) {
        if (!take_segment(&path, &have) || !match_segment(want, have, &params)) return false;
    }
    if (!slice_equal(path, SLICE("")) && !slice_equal(path, SLICE("/"))) return false;
    *ret_params = params;
    return true;
}

struct slice path_param(const struct path_params *params, const char *name)
{
    for (size_t i = 0; i < params->len; i++) {
        if (slice_equal(params->items[i].name, slice_of(name))) return params->items[i].value;
    }
    return (struct slice){NULL, 0};
}

int percent_byte(struct slice raw, size_t at)
{
    if (at + 2 >= raw.len || raw.data[at] != '%') return -1;
    int high = hex_value(raw.data[at + 1]);
    int low = hex_value(raw.data[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Percent-decodes into text; the length, or SIZE_MAX when it is malformed or too long. */
static size_t decode(struct slice raw, char text[static ID_TEXT_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        int byte = percent_byte(raw, i);
        if (len == ID_TEXT_MAX || (byte < 0 && raw.data[i] == '%')) return SIZE_MAX;
        text[len++] = byte < 0 ? raw.data[i] : (char)byte;
        if (byte >= 0) i += 2;
    }
    return len;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Digits to the end, with the sign already taken off; negative numbers have one more. */
static bool parse_digits(const char *text, size_t len, bool is_negative, int64_t *ret_value)
{
    int64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9) return false;
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, is_negative ? -digit : digit, &value)) return false;
    }
    if (len > 0) *ret_value = value;
    return len > 0;
}

/* A literal of a base other than ten takes no sign; NAN when it is none. */
static double parse_prefixed(const char *text)
{
    static const char *const digits[] = {"xX0123456789abcdefABCDEF", "oO01234567", "bB01"};
    static const int bases[] = {16, 8, 2};
    for (size_t i = 0; i < 3; i++) {
        if (text[0] != '0' || (text[1] != digits[i][0] && text[1] != digits[i][1])) continue;
        size_t len = strspn(text + 2, digits[i] + 2);
        return len > 0 && text[2 + len] == '\0' ? (double)strtoull(text + 2, NULL, bases[i]) : NAN;
    }
    return NAN;
}

/* The decimal grammar of ECMAScript, which lacks what else strtod reads: names of no number, and hexadecimal digits. */
static bool is_decimal(const char *text)
{
    static const char digits[] = "0123456789";
    text += text[0] == '-' || text[0] == '+';
    size_t whole = strspn(text, digits);
    size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, digits) : 0;
    text += whole + (text[whole] == '.') + fraction;
    if (whole + fraction == 0 || (text[0] != 'e' && text[0] != 'E')) return whole + fraction > 0 && text[0] == '\0';
    text += 1 + (text[1] == '-' || text[1] == '+');
    size_t exponent = strspn(text, digits);
    return exponent > 0 && text[exponent] == '\0';
}

static bool parse_literal(const char *text, int64_t *ret_value)
{
    const double exact_max = 9007199254740991; /* beyond it several integers are one double */
    double value = is_decimal(text) ? strtod(text, NULL) : parse_prefixed(text);
    if (!(fabs(value) <= exact_max) || value != trunc(value)) return false;
    *ret_value = (int64_t)value;
    return true;
}

bool path_int(struct slice raw, int64_t *ret_value)
{
    char text[ID_TEXT_MAX + 1];
    size_t end = decode(raw, text);
    size_t start = 0;
    if (end == SIZE_MAX || memchr(text, '\0', end) != NULL) return false;
    while (start < end && is_space(text[start])) start++;
    while (end > start && is_space(text[end - 1])) end--;
    text[end] = '\0';
    bool has_sign = text[start] == '-' || text[start] == '+';
    bool is_negative = text[start] == '-';
    size_t digits = start + has_sign;
    if (strspn(text + digits, "0123456789") != end - digits) return parse_literal(text + start, ret_value);
    return parse_digits(text + digits, end - digits, is_negative, ret_value);
}
