#include "core/degraded.h"

#include <stdarg.h>
#include <stdio.h>

void degraded_add(struct degraded *degraded, const char *format, ...)
{
    va_list args;
    if (degraded->len == DEGRADED_MAX) return;
    va_start(args, format);
    vsnprintf(degraded->texts[degraded->len++], DEGRADED_BYTES_MAX, format, args);
    va_end(args);
}
