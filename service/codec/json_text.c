/* JSON texts as values: jansson, and what it does not take though it is JSON.
 *
 * Happy path: the text is parsed once, as it is.
 * Failure modes: a number that fits no type of jansson's makes it refuse the whole text, wherever the number stands. Such a text is
 * copied with these numbers written so that they fit, in one pass, and parsed again. */
#include "codec/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/buf.h"

enum { PARSE_FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL };

/* Whether an allocation of jansson's has failed in this thread. Jansson tells of it as of malformed text, or not at all. */
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

static json_t *parse(struct slice text, size_t flags, json_error_t *error)
{
    return json_loadb(text.data == NULL ? "" : text.data, text.len, PARSE_FLAGS | flags, error);
}

static size_t digits_len(struct slice text, size_t at)
{
    size_t end = at;
    while (end < text.len && text.data[end] >= '0' && text.data[end] <= '9') end++;
    return end - at;
}

static bool is_one_of(struct slice text, size_t at, char a, char b)
{
    return at < text.len && (text.data[at] == a || text.data[at] == b);
}

/* The number at the beginning of the text (RFC 8259, section 6), as far as it is one; 0 when there is none. */
static size_t number_len(struct slice text)
{
    size_t start = is_one_of(text, 0, '-', '-');
    size_t len = is_one_of(text, start, '0', '0') ? 1 : digits_len(text, start);
    if (len == 0) return 0;
    len += start;
    if (is_one_of(text, len, '.', '.') && digits_len(text, len + 1) > 0) len += 1 + digits_len(text, len + 1);
    if (!is_one_of(text, len, 'e', 'E')) return len;
    size_t exponent = len + 1 + is_one_of(text, len + 1, '+', '-');
    size_t exponent_len = digits_len(text, exponent);
    return exponent_len == 0 ? len : exponent + exponent_len;
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

static bool fits(struct slice number, size_t flags)
{
    json_error_t error;
    json_t *value = parse(number, flags, &error);
    json_decref(value);
    return value != NULL;
}

static void append_fitting(struct buf *out, struct slice number)
{
    if (fits(number, 0)) {
        buf_append_slice(out, number);
    } else if (fits(number, JSON_DECODE_INT_AS_REAL)) {
        buf_append_slice(out, number);
        buf_append_slice(out, SLICE("e0"));
    } else {
        buf_append_slice(out, number.data[0] == '-' ? SLICE("-1e308") : SLICE("1e308"));
    }
}

/* Copies the text with numbers that fit. Everything else stays as it is, whether it is JSON or not. */
static void fit_numbers(struct buf *out, struct slice text)
{
    while (text.len > 0) {
        bool is_string = text.data[0] == '"';
        size_t number = number_len(text);
        size_t len = is_string ? string_len(text) : number > 0 ? number : 1;
        if (number > 0) append_fitting(out, (struct slice){text.data, len});
        else buf_append(out, text.data, len);
        text = (struct slice){text.data + len, text.len - len};
    }
}

/* "e0" makes a number of 19 digits or more longer by 2; nothing else grows. */
static json_t *parse_with_fitting_numbers(struct slice text, json_error_t *error)
{
    struct buf fitting;
    buf_init(&fitting, text.len + text.len / 8);
    fit_numbers(&fitting, text);
    json_t *value = fitting.failed ? NULL : parse(buf_slice(&fitting), 0, error);
    lacks_memory = lacks_memory || fitting.failed;
    buf_done(&fitting);
    return value;
}

enum status json_text_parse(struct slice text, json_t **ret_value, char *reason, size_t reason_size)
{
    json_error_t error;
    lacks_memory = false;
    json_t *value = parse(text, 0, &error);
    if (value == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        value = parse_with_fitting_numbers(text, &error);
    }
    if (lacks_memory) {
        json_decref(value);
        return STATUS_NO_MEMORY;
    }
    if (value == NULL) {
        snprintf(reason, reason_size, "%s at position %d", error.text, error.position);
        return STATUS_UNDECODABLE;
    }
    *ret_value = value;
    return STATUS_OK;
}

bool json_text_is_type(struct slice content_type)
{
    const struct slice json = SLICE("application/json");
    if (content_type.len < json.len || strncasecmp(content_type.data, json.data, json.len) != 0) return false;
    size_t end = json.len;
    while (is_one_of(content_type, end, ' ', '\t')) end++;
    return end == content_type.len || content_type.data[end] == ';';
}
