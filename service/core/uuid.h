/* UUIDs (RFC 9562) as sixteen bytes in network order, the form PostgreSQL takes. */
#ifndef CORE_UUID_H
#define CORE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum { UUID_TEXT_LEN = 36 };

struct uuid {
    uint8_t bytes[16];
};

/* The 8-4-4-4-12 form in either case; any version and variant. */
bool uuid_parse(struct slice text, struct uuid *ret_uuid);

/* Writes the lower-case form without a terminator. */
void uuid_format(const struct uuid *uuid, char text[UUID_TEXT_LEN]);

/* A version 7 UUID from a Unix time in milliseconds and ten random bytes: time-ordered, so index inserts stay local. */
struct uuid uuid_v7(uint64_t unix_ms, const uint8_t random_bytes[10]);

#endif
