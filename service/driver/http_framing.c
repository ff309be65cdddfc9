/* Where a request ends. evhttp takes the first of several lengths, prefers chunks to a length, knows no coding but exactly "chunked",
 * and lets names of headers be anything before a colon. A proxy that reads otherwise would take the rest for another request than we
 * do; so such a request is refused, and the connection closed before anything behind it is looked at. */
#include <string.h>
#include <sys/queue.h>
#include <event2/keyvalq_struct.h>

#include "driver/http_conn.h"

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

bool http_framing_is_certain(struct evhttp_request *ev)
{
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
