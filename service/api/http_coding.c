#include "api/http_coding.h"

#include <strings.h>
#include <zlib.h>

enum { PIECE_BYTES = 4096 };

enum http_coding http_coding_of(const char *content_encoding)
{
    if (content_encoding == NULL || strcasecmp(content_encoding, "identity") == 0) return HTTP_CODING_IDENTITY;
    if (strcasecmp(content_encoding, "gzip") == 0 || strcasecmp(content_encoding, "x-gzip") == 0) return HTTP_CODING_GZIP;
    return strcasecmp(content_encoding, "deflate") == 0 ? HTTP_CODING_DEFLATE : HTTP_CODING_OTHER;
}

/* One piece. A gzip body may be of several members, one behind the other (RFC 1952, section 2.2). */
static enum status step(z_stream *stream, enum http_coding coding, struct buf *out, bool *ret_is_done)
{
    Bytef piece[PIECE_BYTES];
    stream->next_out = piece;
    stream->avail_out = sizeof(piece);
    int result = inflate(stream, Z_NO_FLUSH);
    buf_append(out, piece, sizeof(piece) - stream->avail_out);
    bool is_end = result == Z_STREAM_END;
    *ret_is_done = is_end && stream->avail_in == 0;
    if (is_end && stream->avail_in > 0) result = coding == HTTP_CODING_GZIP ? inflateReset(stream) : Z_DATA_ERROR;
    if (result == Z_MEM_ERROR) return STATUS_NO_MEMORY;
    return result == Z_OK || result == Z_STREAM_END ? buf_status(out) : STATUS_UNDECODABLE;
}

enum status http_decode(struct slice body, enum http_coding coding, struct buf *out)
{
    enum { GZIP_HEADER = 16 };
    z_stream stream = {.next_in = (z_const Bytef *)body.data, .avail_in = (uInt)body.len};
    enum status status = STATUS_OK;
    bool is_done = false;
    if (inflateInit2(&stream, MAX_WBITS + (coding == HTTP_CODING_GZIP ? GZIP_HEADER : 0)) != Z_OK) return STATUS_NO_MEMORY;
    while (status == STATUS_OK && !is_done) status = step(&stream, coding, out, &is_done);
    inflateEnd(&stream);
    return status;
}
