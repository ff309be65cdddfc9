/* The header of each published record that names the commit it came from: "<timeline>:<LSN of the commit record>", such as
 * "1:16/B374D848". Within a server's history positions on a timeline grow; another timeline may use the same ones again. */
#ifndef CORE_COMMIT_POSITION_H
#define CORE_COMMIT_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

#define COMMIT_POSITION_HEADER "commit-position"

enum { COMMIT_POSITION_TEXT_MAX = 32 }; /* with the terminator */

struct commit_position {
    uint32_t timeline;
    uint64_t lsn;
};

/* Writes the text and returns it. */
struct slice commit_position_format(const struct commit_position *position, char text[COMMIT_POSITION_TEXT_MAX]);

bool commit_position_parse(struct slice text, struct commit_position *ret_position);

#endif
