#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST = 256 };

struct slice int_text(int64_t value, char text[INT_TEXT_MAX])
{
    char reversed[INT_TEXT_MAX];
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t len = 0;
    size_t digits = 0;
    do {
        reversed[digits++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) text[len++] = '-';
    while (digits > 0) text[len++] = reversed[--digits];
    return (struct slice){text, len};
}

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max = max_bytes};
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    buf->is_too_large = false;
}

enum status buf_status(const struct buf *buf)
{
    if (!buf->failed) return STATUS_OK;
    return buf->is_too_large ? STATUS_TOO_LARGE : STATUS_NO_MEMORY;
}

void buf_fail(struct buf *buf, enum status failure)
{
    if (buf->failed) return;
    buf->failed = true;
    buf->is_too_large = failure == STATUS_TOO_LARGE;
}

static bool grow(struct buf *buf, size_t need)
{
    size_t capacity = buf->capacity == 0 ? SMALLEST : buf->capacity;
    while (capacity < need) capacity *= 2;
    char *data = realloc(buf->data, capacity);
    if (data == NULL) return false;
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *buf_extend(struct buf *buf, size_t len)
{
    if (buf->failed) return NULL;
    if (len > buf->max - buf->len) buf_fail(buf, STATUS_TOO_LARGE);
    else if (buf->len + len > buf->capacity && !grow(buf, buf->len + len)) buf_fail(buf, STATUS_NO_MEMORY);
    if (buf->failed) return NULL;
    char *p = buf->data + buf->len;
    buf->len += len;
    return p;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len == 0) return;
    char *p = buf_extend(buf, len);
    if (p != NULL) memcpy(p, data, len);
}

void buf_append_slice(struct buf *buf, struct slice bytes)
{
    buf_append(buf, bytes.data, bytes.len);
}

void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_append_int(struct buf *buf, int64_t value)
{
    char text[INT_TEXT_MAX];
    buf_append_slice(buf, int_text(value, text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    char small[256];
    int len = vsnprintf(small, sizeof(small), format, args);
    if (len < 0) {
        buf->failed = true;
    } else if ((size_t)len < sizeof(small)) {
        buf_append(buf, small, (size_t)len);
    } else if (buf_extend(buf, (size_t)len + 1) != NULL) {
        vsnprintf(buf->data + buf->len - (size_t)len - 1, (size_t)len + 1, format, again);
        buf->len--;
    }
    va_end(again);
    va_end(args);
}
