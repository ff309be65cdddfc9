/* JSON texts as values, and how they are announced. */
#ifndef CODEC_JSON_TEXT_H
#define CODEC_JSON_TEXT_H

#include <jansson.h>

#include "core/slice.h"
#include "core/status.h"

/* Of one text, the text itself counted. A body that keeps the rules has at most 6,000. */
enum { JSON_VALUES_MAX = 8000, JSON_DEPTH_MAX = 32 };

/* Why a text is none. */
struct json_fault {
    const char *what; /* static: that it is malformed, or the limit */
    char detail[256]; /* where it is malformed, or the limit */
};

/* Parses one JSON text (RFC 8259, UTF-8, behind a byte order mark or not, no trailing bytes; the last of repeated keys wins) in time and
 * memory that its length and these limits bound. STATUS_OK sets *ret_value to a new reference that the caller owns; STATUS_UNDECODABLE, when it is malformed or
 * beyond a limit, sets *ret_fault; STATUS_NO_MEMORY.
 * Malformed are also a lone surrogate, which no UTF-8 holds, and NUL in a key. An integer beyond 64 bits becomes a real, and a number
 * of 1e308 or more becomes 1e308, or -1e308. */
enum status json_text_parse(struct slice text, json_t **ret_value, struct json_fault *ret_fault);

/* The same without limits, for what the service has written itself: an older build stored what is beyond them. */
enum status json_text_parse_stored(struct slice text, json_t **ret_value, struct json_fault *ret_fault);

/* A number that is an integer, as RFC 8259 has no other kind of them: 2, 2.0 and 2e0 are one. What is not written in digits alone is of
 * less than 2^53, which a double holds exactly. False, and 0, for everything else. */
bool json_integer_read(const json_t *value, int64_t *ret_integer);

/* Whether a content type is application/json: in any case, with or without parameters. An empty one is not. */
bool json_text_is_type(struct slice content_type);

#endif
