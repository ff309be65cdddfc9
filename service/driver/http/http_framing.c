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

/* Lines end with LF, as evhttp has it; an empty one ends the head. */
static void follow(struct http_head *head, const char *data, size_t len)
{
    for (size_t i = 0; i < len && !head->is_whole; i++) {
        if (data[i] == '\n') {
            head->lines++;
            head->is_whole = head->has_begun && !head->has_text;
            head->has_text = false;
        } else if (data[i] != '\r') {
            head->has_begun = head->has_text = true;
            head->has_nul = head->has_nul || data[i] == '\0';
        }
    }
}

void http_framing_follow(struct http_head *head, struct evbuffer *input, size_t from)
{
    struct evbuffer_ptr at;
    struct evbuffer_iovec part;
    while (!head->is_whole && evbuffer_ptr_set(input, &at, from, EVBUFFER_PTR_SET) == 0 &&
           evbuffer_peek(input, -1, &at, &part, 1) > 0 && part.iov_len > 0) {
        follow(head, part.iov_base, part.iov_len);
        from += part.iov_len;
    }
}

bool http_framing_is_certain(const struct http_head *head, struct evhttp_request *ev)
{
    if (head->has_nul) return false;
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
