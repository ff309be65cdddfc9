/* Instants as text: RFC 3339 date-times with an offset. An instant is seconds since 1970-01-01T00:00:00Z. */
#ifndef CORE_INSTANT_H
#define CORE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum {
    INSTANT_TEXT_MAX = 29 /* "2024-03-10T01:30:00-00:44:30" and its NUL */
};

/* `YYYY-MM-DDTHH:MM`, then `:SS` and a fraction of zeros if one likes, then `Z` or `+HH:MM`. False for anything else; *ret_instant_s
 * is then not set. */
bool instant_parse(struct slice text, int64_t *ret_instant_s);

/* Writes the instant in UTC, as `2024-03-10T06:30:00Z`. Years 1 to 9999. Returns the text. */
struct slice instant_format_utc(int64_t instant_s, char text[INSTANT_TEXT_MAX]);

/* Writes what a clock with the offset reads, and the offset: `2024-03-10T01:30:00-05:00`. Offsets of old times may have seconds, which then
 * follow. Returns the text. */
struct slice instant_format_local(int64_t instant_s, int32_t offset_s, char text[INSTANT_TEXT_MAX]);

#endif
