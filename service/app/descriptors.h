/* The descriptors of the process, and who may have how many. */
#ifndef APP_DESCRIPTORS_H
#define APP_DESCRIPTORS_H

#include <stddef.h>

/* Raises the limit of open files as far as the system lets it, keeps some for PostgreSQL, Kafka and files, and returns how many HTTP
 * connections the rest is for: at most `wanted`. What is less is logged. */
size_t descriptors_for_http(size_t wanted);

#endif
