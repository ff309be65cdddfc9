/* Positions in PostgreSQL's write-ahead log, as PostgreSQL writes them: two hexadecimal halves, "16/B374D848". */
#ifndef CORE_LSN_H
#define CORE_LSN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum { LSN_TEXT_MAX = 18 }; /* with the terminator */

/* Writes the text and returns it. */
const char *lsn_format(uint64_t lsn, char text[LSN_TEXT_MAX]);

/* Exactly one position, nothing behind it. */
bool lsn_parse(struct slice text, uint64_t *ret_lsn);

#endif
