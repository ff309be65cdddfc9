/* The error envelope of the HTTP contract's section 4. */
#ifndef CODEC_ERROR_JSON_H
#define CODEC_ERROR_JSON_H

#include <jansson.h>

#include "core/buf.h"
#include "core/schedule.h"

/* The envelope of every error but a validation's: code is the exception's class name ("NotFoundException"), and details
 * `{"message","error","statusCode"}` where reason is not empty ("Not Found"), else the message itself as a string. path is the
 * request's target with query, as received; wall_us the time it shows. */
void error_write_json(struct buf *out, int status_code, struct slice code, struct slice reason, struct slice message,
                      struct slice path, int64_t wall_us);

/* The envelope of a body that breaks rules: 400 BadRequestException with details.errors[], nested as the contract has it.
 * body is the parsed body, for `value`, which only leaves have, and no text of more than 200 bytes. */
void validation_error_write_json(struct buf *out, const json_t *body, const struct violations *violations, struct slice path,
                                 int64_t wall_us);

/* "2026-11-22T05:32:24.653Z" with a terminator; 25 bytes. */
enum { RFC3339_MS_SIZE = 25 };
void rfc3339_ms_format(int64_t wall_us, char text[RFC3339_MS_SIZE]);

#endif
