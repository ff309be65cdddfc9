/* Where a request ends. evhttp takes the first of several lengths, prefers chunks to a length, knows no coding but exactly "chunked",
 * lets names of headers be anything before a colon, and drops what stands behind a NUL. A proxy that reads otherwise would take the rest for another request than we
 * do; so such a request is refused, and the connection closed before anything behind it is looked at. */
#include <string.h>
#include <sys/queue.h>
#include <event2/keyvalq_struct.h>

#include "driver/http/http_conn.h"

/* RFC 9110, section 5.6.2. A folded line comes as part of the value before it. */
static bool is_token(const char *text)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return text[0] != '\0' && text[strspn(text, token)] == '\0';
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* Each line of a head, or behind the last chunk, costs evhttp as much as hundreds of bytes, and all of them, and those of all that have something
 * to read, are parsed in one turn of the loop. */
enum { LINES_MAX = 256 };

/* No body is as large: evhttp refuses such a chunk. */
enum { CHUNK_BYTES_MAX = 1 << 30 };

/* Whatever its value: http_framing_is_certain refuses all but "chunked". */
static void look_for_coding(struct http_framing *framing, char c)
{
    static const char coding[] = "transfer-encoding:";
    if (framing->is_chunked || framing->coding_len != framing->line_len) return;
    if ((c | ' ') != coding[framing->coding_len]) return; /* in either case */
    framing->coding_len++;
    framing->is_chunked = framing->coding_len == sizeof(coding) - 1;
}

/* Of a head or of trailers, which an empty line ends. */
static void follow_line(struct http_framing *framing, char c)
{
    if (c == '\n') {
        bool is_end = framing->has_begun && framing->line_len == 0;
        if (is_end) framing->part = framing->part == PART_HEAD && framing->is_chunked ? PART_CHUNK_SIZE : PART_BEHIND;
        framing->line_len = framing->coding_len = 0;
        framing->is_unfit = ++framing->lines > LINES_MAX;
    } else if (c != '\r') {
        if (framing->part == PART_HEAD) look_for_coding(framing, c);
        framing->has_begun = true;
        framing->has_nul = framing->has_nul || c == '\0';
        framing->line_len++;
    }
}

/* Hexadecimal digits; evhttp passes over what is behind a space, and over empty lines. It would take a sign or "0x" too. */
static void follow_size(struct http_framing *framing, char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *digit = c == '\0' ? NULL : strchr(digits, c);
    if (c == '\n') {
        if (framing->line_len > 0) framing->part = framing->chunk_len > 0 ? PART_CHUNK : PART_TRAILERS;
        framing->line_len = 0;
        framing->is_size_whole = false;
    } else if (c == '\r' || framing->is_size_whole) {
        framing->is_size_whole = framing->line_len > 0;
    } else if (digit != NULL) {
        size_t value = (size_t)(digit - digits);
        framing->line_len++;
        if (framing->chunk_len < CHUNK_BYTES_MAX)
            framing->chunk_len = framing->chunk_len * 16 + (value < 16 ? value : value - 6);
    } else {
        framing->is_size_whole = c == ' ' && framing->line_len > 0;
        framing->is_unfit = !framing->is_size_whole;
    }
}

static size_t follow_chunk(struct http_framing *framing, size_t len)
{
    size_t taken = len < framing->chunk_len ? len : framing->chunk_len;
    framing->chunk_len -= taken;
    if (framing->chunk_len == 0) framing->part = PART_CHUNK_SIZE;
    return taken;
}

/* Lines end with LF, as evhttp has it. */
static void follow(struct http_framing *framing, const char *data, size_t len)
{
    for (size_t i = 0; i < len && framing->part != PART_BEHIND && !framing->is_unfit;) {
        if (framing->part == PART_CHUNK) i += follow_chunk(framing, len - i);
        else if (framing->part == PART_CHUNK_SIZE) follow_size(framing, data[i++]);
        else follow_line(framing, data[i++]);
    }
}

void http_framing_follow(struct http_framing *framing, struct evbuffer *input, size_t from)
{
    struct evbuffer_ptr at;
    struct evbuffer_iovec part;
    while (framing->part != PART_BEHIND && !framing->is_unfit && evbuffer_ptr_set(input, &at, from, EVBUFFER_PTR_SET) == 0 &&
           evbuffer_peek(input, -1, &at, &part, 1) > 0 && part.iov_len > 0) {
        follow(framing, part.iov_base, part.iov_len);
        from += part.iov_len;
    }
}

bool http_framing_is_certain(const struct http_framing *framing, struct evhttp_request *ev)
{
    if (framing->has_nul) return false;
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(ev);
    int hosts = 0;
    int lengths = 0;
    for (const struct evkeyval *header = headers->tqh_first; header != NULL; header = header->next.tqe_next) {
        if (!is_token(header->key)) return false;
        if (evutil_ascii_strcasecmp(header->key, "Host") == 0) {
            hosts++;
        } else if (evutil_ascii_strcasecmp(header->key, "Content-Length") == 0) {
            if (!is_number(header->value)) return false;
            lengths++;
        } else if (evutil_ascii_strcasecmp(header->key, "Transfer-Encoding") == 0) {
            if (evutil_ascii_strcasecmp(header->value, "chunked") != 0) return false;
            lengths++;
        }
    }
    bool has_host = hosts == 1 || (hosts == 0 && ev->minor == 0); /* RFC 9112, section 3.2 */
    return has_host && lengths <= 1;
}
