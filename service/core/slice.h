/* A slice is borrowed bytes: a pointer and a length, no terminator, no ownership. */
#ifndef CORE_SLICE_H
#define CORE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data;
    size_t len;
};

/* A slice of a string literal. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Takes the character off the front; false when another one, or none, stands there. */
static inline bool slice_take_char(struct slice *text, char c)
{
    if (text->len == 0 || text->data[0] != c) return false;
    *text = (struct slice){text->data + 1, text->len - 1};
    return true;
}

#endif
