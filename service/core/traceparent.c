#include "core/traceparent.h"

/* x: a hexadecimal digit in lower case. */
static const struct slice form = SLICE("00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx");

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool has_nonzero(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '0') return true;
    }
    return false;
}

struct slice traceparent_of(struct slice text)
{
    const struct slice none = {NULL, 0};
    if (text.len != form.len) return none;
    for (size_t i = 0; i < form.len; i++) {
        bool is_fit = form.data[i] == 'x' ? is_hex(text.data[i]) : text.data[i] == form.data[i];
        if (!is_fit) return none;
    }
    return has_nonzero(text.data + 3, 32) && has_nonzero(text.data + 36, 16) ? text : none;
}
