/* The content codings of a request's body (RFC 9110, section 8.4.1), by zlib. Pure. */
#ifndef API_HTTP_CODING_H
#define API_HTTP_CODING_H

#include <stddef.h>

#include "core/buf.h"
#include "core/slice.h"
#include "core/status.h"

enum http_coding { HTTP_CODING_IDENTITY, HTTP_CODING_GZIP, HTTP_CODING_DEFLATE, HTTP_CODING_OTHER };

/* Of a Content-Encoding; NULL is identity. */
enum http_coding http_coding_of(const char *content_encoding);

/* Appends what a gzip or deflate body is once decoded. STATUS_TOO_LARGE as soon as that is more than the buffer's maximum, however much more
 * would follow; STATUS_UNDECODABLE when it is not of that coding, or is cut; STATUS_NO_MEMORY. */
enum status http_decode(struct slice body, enum http_coding coding, struct buf *out);

#endif
