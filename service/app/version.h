/* What this build is. */
#ifndef APP_VERSION_H
#define APP_VERSION_H

#include <stdio.h>

/* "VERSION (REVISION)", and "VERSION" alone. */
const char *version_text(void);
const char *version_number(void);

/* Prints the version, the revision and the versions of the libraries and time zones it runs with. */
void version_print(FILE *out);

/* Registers schedule_build_info. */
void version_metric_register(void);

#endif
