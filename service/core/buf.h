/* A growable byte buffer. Appends never fail at the call: running out of memory or over the maximum sets `failed`,
 * later appends do nothing, and the owner checks once at the end. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slice.h"
#include "core/status.h"

enum { INT_TEXT_MAX = 20 };

/* Writes the number's digits, without a terminator. */
struct slice int_text(int64_t value, char text[INT_TEXT_MAX]);

struct buf {
    char *data; /* owned; NULL while empty */
    size_t len;
    size_t capacity;
    size_t max; /* most bytes it may hold */
    bool failed;
    bool is_too_large; /* why it failed: the maximum, not memory */
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_done(struct buf *buf);

/* STATUS_OK; when it failed, STATUS_TOO_LARGE or STATUS_NO_MEMORY. */
enum status buf_status(const struct buf *buf);

/* Makes it a failed one, for what was to be appended and could not be made. The status is one of these two. */
void buf_fail(struct buf *buf, enum status failure);

/* Empties it and keeps its memory. */
void buf_clear(struct buf *buf);

/* Makes room for len more bytes and returns where they go, already counted in buf->len; NULL when failed. */
char *buf_extend(struct buf *buf, size_t len);

/* Gives back what the extension before did not need: what is at `end` and behind it. */
static inline void buf_end_at(struct buf *buf, const char *end)
{
    buf->len = (size_t)(end - buf->data);
}

void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_slice(struct buf *buf, struct slice bytes);
void buf_append_char(struct buf *buf, char c);
void buf_append_int(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->data, buf->len};
}

#endif
