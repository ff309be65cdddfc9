/* The `import` command: a file of directory entries, one JSON object a line (codec/directory_codec.h), applied in batches that are
 * one transaction each. Importing a file again changes nothing. */
#ifndef APP_IMPORT_H
#define APP_IMPORT_H

#include <stdio.h>

#include "app/config.h"

/* Reads to the end of the file. A line that is refused stops no other. Progress and refused lines go to standard error, the counts
 * at the end to standard output. Returns the exit code: 0 only when no line was refused. */
int import_run(const struct config *config, FILE *in);

#endif
