/* Hexadecimal digits. Pure. */
#ifndef CORE_HEX_H
#define CORE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* What a digit, in either case, stands for; -1: it is none. */
int hex_value(char c);

/* Writes two lowercase digits for each byte; no terminator. */
void hex_format(const uint8_t *bytes, size_t len, char *text);

#endif
