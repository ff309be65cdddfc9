#include "relay/error_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_text_set(struct error_text *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason->text, sizeof(reason->text), format, args);
    va_end(args);
    reason->kind = ERROR_FAILED;
    size_t len = strlen(reason->text);
    while (len > 0 && reason->text[len - 1] == '\n') reason->text[--len] = '\0';
    for (char *p = reason->text; (p = strchr(p, '\n')) != NULL;) *p = ' ';
}
