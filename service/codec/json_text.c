/* JSON texts as values: one pass over the text that bounds what would be built of it, then jansson, which checks it and builds.
 *
 * Happy path: the pass finds nothing, and jansson gets the text as it is.
 * Failure modes: more values or levels than there may be: refused before a byte is allocated. A number that fits no type of jansson's
 * makes it refuse the whole text, wherever the number stands: the pass copies such a text with these numbers written so that they fit. */
#include "codec/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/buf.h"

enum {
    INTEGER_DIGITS_MAX = 19, /* of what may fit into 64 bits */
    REAL_POWER_END = 308,    /* the least power of ten that counts as beyond a double */
    EXPONENT_MAX = 100000000 /* larger ones are cut: no text makes up for it with zeros */
};

/* Whether an allocation of jansson's has failed in this thread. Jansson reports it as malformed text, or not at all. */
static _Thread_local bool lacks_memory;

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    lacks_memory = lacks_memory || memory == NULL;
    return memory;
}

/* Before main: what jansson allocated one way it must not free another. */
static void __attribute__((constructor)) set_allocator(void)
{
    json_set_alloc_funcs(allocate, free);
}

/* ---- numbers ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_len(struct slice text, size_t at)
{
    size_t end = at;
    while (end < text.len && is_digit(text.data[end])) end++;
    return end - at;
}

static bool is_one_of(struct slice text, size_t at, char a, char b)
{
    return at < text.len && (text.data[at] == a || text.data[at] == b);
}

/* The number at the beginning of the text (RFC 8259, section 6), as far as it is one; 0 when there is none. */
static size_t number_len(struct slice text, bool *ret_is_integer)
{
    size_t start = is_one_of(text, 0, '-', '-');
    size_t len = is_one_of(text, start, '0', '0') ? 1 : digits_len(text, start);
    *ret_is_integer = true;
    if (len == 0) return 0;
    len += start;
    size_t fraction_len = is_one_of(text, len, '.', '.') ? digits_len(text, len + 1) : 0;
    if (fraction_len > 0) len += 1 + fraction_len;
    *ret_is_integer = fraction_len == 0;
    if (!is_one_of(text, len, 'e', 'E')) return len;
    size_t exponent = len + 1 + is_one_of(text, len + 1, '+', '-');
    size_t exponent_len = digits_len(text, exponent);
    if (exponent_len == 0) return len;
    *ret_is_integer = false;
    return exponent + exponent_len;
}

static bool fits_integer(struct slice number)
{
    bool is_negative = number.data[0] == '-';
    size_t digits = number.len - is_negative;
    if (digits != INTEGER_DIGITS_MAX) return digits < INTEGER_DIGITS_MAX;
    return memcmp(number.data + is_negative, is_negative ? "9223372036854775808" : "9223372036854775807", digits) <= 0;
}

/* The exponent behind e or E. */
static int64_t read_exponent(struct slice text)
{
    bool is_negative = is_one_of(text, 0, '-', '-');
    int64_t exponent = 0;
    for (size_t i = is_negative || is_one_of(text, 0, '+', '+'); i < text.len && exponent < EXPONENT_MAX; i++) {
        exponent = exponent * 10 + (text.data[i] - '0');
    }
    return is_negative ? -exponent : exponent;
}

/* Of ten, that the first digit but 0 stands for; of 0 itself, none to speak of. */
static int64_t power_of(struct slice number)
{
    int64_t power = 0;
    bool is_fraction = false;
    bool has_begun = false;
    size_t i = number.data[0] == '-';
    for (; i < number.len && !is_one_of(number, i, 'e', 'E'); i++) {
        if (number.data[i] == '.') {
            is_fraction = true;
            continue;
        }
        if (is_fraction && !has_begun) power--;
        if (!is_fraction && has_begun) power++;
        has_begun = has_begun || number.data[i] != '0';
    }
    if (!has_begun) return 0;
    return i == number.len ? power : power + read_exponent((struct slice){number.data + i + 1, number.len - i - 1});
}

/* ---- the pass ---- */

struct scan {
    struct slice text;
    size_t values;
    size_t depth;
    struct buf fitting; /* the text up to `copied`; empty while all numbers fit */
    size_t copied;
};

static void replace(struct scan *scan, size_t at, struct slice number, struct slice with)
{
    buf_append(&scan->fitting, scan->text.data + scan->copied, at - scan->copied);
    buf_append_slice(&scan->fitting, with);
    scan->copied = at + number.len;
}

static void fit_number(struct scan *scan, size_t at, struct slice number, bool is_integer)
{
    if (is_integer && fits_integer(number)) return;
    if (power_of(number) >= REAL_POWER_END) {
        replace(scan, at, number, number.data[0] == '-' ? SLICE("-1e308") : SLICE("1e308"));
    } else if (is_integer) {
        replace(scan, at + number.len, SLICE(""), SLICE("e0"));
    }
}

/* The string at the beginning of the text, quotes included; all of it when the string does not end. */
static size_t string_len(struct slice text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.data[i] == '"') return i + 1;
        if (text.data[i] == '\\') i++;
    }
    return text.len;
}

static size_t word_len(struct slice text)
{
    size_t len = 1;
    while (len < text.len && text.data[len] >= 'a' && text.data[len] <= 'z') len++;
    return len;
}

/* Passes over what begins at `at`, JSON or not, and counts it. Returns its length. */
static size_t scan_token(struct scan *scan, size_t at)
{
    struct slice rest = {scan->text.data + at, scan->text.len - at};
    char c = rest.data[0];
    bool is_integer;
    size_t len = 1;
    if (c == '"') {
        len = string_len(rest);
        scan->values++;
    } else if (c == ':') {
        if (scan->values > 0) scan->values--; /* what stood before it is a key */
    } else if (c == '[' || c == '{') {
        scan->values++;
        scan->depth++;
    } else if (c == ']' || c == '}') {
        if (scan->depth > 0) scan->depth--;
    } else if ((len = number_len(rest, &is_integer)) > 0) {
        fit_number(scan, at, (struct slice){rest.data, len}, is_integer);
        scan->values++;
    } else if (c >= 'a' && c <= 'z') {
        len = word_len(rest);
        scan->values++;
    } else {
        len = 1;
    }
    return len;
}

/* Everything else than numbers that do not fit stays as it is. NULL, or what there is too much of. */
static const char *scan_text(struct scan *scan)
{
    for (size_t at = 0; at < scan->text.len; at += scan_token(scan, at)) {
        if (scan->values > JSON_VALUES_MAX) return "the JSON has more than 8000 values";
        if (scan->depth > JSON_DEPTH_MAX) return "the JSON has more than 32 levels";
    }
    if (scan->copied > 0) replace(scan, scan->text.len, SLICE(""), SLICE(""));
    return NULL;
}

/* ---- parsing ---- */

enum status json_text_parse_stored(struct slice text, json_t **ret_value, struct json_fault *ret_fault)
{
    json_error_t error;
    lacks_memory = false;
    json_t *value = json_loadb(text.data == NULL ? "" : text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (lacks_memory) {
        json_decref(value);
        return STATUS_NO_MEMORY;
    }
    if (value == NULL) {
        ret_fault->what = "the value is not JSON";
        snprintf(ret_fault->detail, sizeof(ret_fault->detail), "%s at position %d", error.text, error.position);
        return STATUS_UNDECODABLE;
    }
    *ret_value = value;
    return STATUS_OK;
}

/* RFC 8259, section 8.1: who reads a text may pass over the mark. */
static struct slice without_mark(struct slice text)
{
    static const char mark[] = {'\xef', '\xbb', '\xbf'};
    if (text.len < sizeof(mark) || memcmp(text.data, mark, sizeof(mark)) != 0) return text;
    return (struct slice){text.data + sizeof(mark), text.len - sizeof(mark)};
}

enum status json_text_parse(struct slice text, json_t **ret_value, struct json_fault *ret_fault)
{
    text = without_mark(text);
    struct scan scan = {.text = text};
    enum status status = STATUS_UNDECODABLE;
    buf_init(&scan.fitting, text.len + text.len / 8);
    const char *excess = scan_text(&scan);
    if (excess != NULL) {
        ret_fault->what = excess;
        snprintf(ret_fault->detail, sizeof(ret_fault->detail), "%s", excess);
    } else if (scan.fitting.failed) {
        status = STATUS_NO_MEMORY;
    } else {
        status = json_text_parse_stored(scan.copied > 0 ? buf_slice(&scan.fitting) : text, ret_value, ret_fault);
    }
    buf_done(&scan.fitting);
    return status;
}

bool json_integer_read(const json_t *value, int64_t *ret_integer)
{
    const double exact_max = 9007199254740991; /* beyond it several integers are one double */
    double real = json_real_value(value);
    *ret_integer = json_integer_value(value);
    if (!json_is_real(value)) return json_is_integer(value);
    if (fabs(real) > exact_max || real != trunc(real)) return false;
    *ret_integer = (int64_t)real;
    return true;
}

bool json_text_is_type(struct slice content_type)
{
    const struct slice json = SLICE("application/json");
    if (content_type.len < json.len || strncasecmp(content_type.data, json.data, json.len) != 0) return false;
    size_t end = json.len;
    while (is_one_of(content_type, end, ' ', '\t')) end++;
    return end == content_type.len || content_type.data[end] == ';';
}
