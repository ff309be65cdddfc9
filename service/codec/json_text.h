/* JSON texts as values, and how they are announced. */
#ifndef CODEC_JSON_TEXT_H
#define CODEC_JSON_TEXT_H

#include <jansson.h>

#include "core/slice.h"
#include "core/status.h"

/* Parses one JSON text (RFC 8259, UTF-8, no trailing bytes; the last of repeated keys wins). STATUS_OK sets *ret_value to a
 * new reference that the caller owns; STATUS_UNDECODABLE, when it is malformed, leaves a short reason in reason (at most reason_size
 * bytes with the terminator); STATUS_NO_MEMORY.
 * Malformed are also a lone surrogate, which no UTF-8 holds, NUL in a key, and more than 2048 levels of nesting. An integer beyond
 * 64 bits becomes a real, and a number beyond the range of a double becomes 1e308 or -1e308. */
enum status json_text_parse(struct slice text, json_t **ret_value, char *reason, size_t reason_size);

/* Whether a content type is application/json: in any case, with or without parameters. An empty one is not. */
bool json_text_is_type(struct slice content_type);

#endif
