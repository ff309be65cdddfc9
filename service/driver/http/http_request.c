/* One request of an http_server: what was asked, and the reply. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <event2/keyvalq_struct.h>

#include "driver/http/http_conn.h"

static enum http_method method_of(enum evhttp_cmd_type type)
{
    switch (type) {
    case EVHTTP_REQ_GET: return HTTP_METHOD_GET;
    case EVHTTP_REQ_HEAD: return HTTP_METHOD_HEAD;
    case EVHTTP_REQ_POST: return HTTP_METHOD_POST;
    case EVHTTP_REQ_PUT: return HTTP_METHOD_PUT;
    case EVHTTP_REQ_PATCH: return HTTP_METHOD_PATCH;
    case EVHTTP_REQ_DELETE: return HTTP_METHOD_DELETE;
    case EVHTTP_REQ_OPTIONS: return HTTP_METHOD_OPTIONS;
    case EVHTTP_REQ_TRACE:
    case EVHTTP_REQ_CONNECT:
    default: return HTTP_METHOD_OTHER;
    }
}

enum http_method http_request_method(const struct http_request *request)
{
    return method_of(evhttp_request_get_command(request->ev));
}

/* RFC 9112, section 3.2.2: the target may be a whole URI. */
struct slice http_target_of(struct slice uri)
{
    const char *end = uri.data + uri.len;
    const char *scheme_end = uri.len == 0 || uri.data[0] == '/' ? NULL : memmem(uri.data, uri.len, "://", 3);
    if (scheme_end == NULL) return uri;
    const char *path = memchr(scheme_end + 3, '/', (size_t)(end - scheme_end - 3));
    return path == NULL ? SLICE("/") : (struct slice){path, (size_t)(end - path)};
}

struct slice http_request_target(const struct http_request *request)
{
    return http_target_of(slice_of(evhttp_request_get_uri(request->ev)));
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(request->ev), name);
}

const char *http_request_last_header(const struct http_request *request, const char *name)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(request->ev);
    const char *value = NULL;
    for (const struct evkeyval *header = headers->tqh_first; header != NULL; header = header->next.tqe_next) {
        if (evutil_ascii_strcasecmp(header->key, name) == 0) value = header->value;
    }
    return value;
}

const char *http_request_peer(const struct http_request *request)
{
    char *address = NULL;
    uint16_t port;
    evhttp_connection_get_peer(evhttp_request_get_connection(request->ev), &address, &port);
    return address;
}

struct slice http_request_body(const struct http_request *request)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request->ev);
    size_t len = evbuffer_get_length(input);
    const char *data = len == 0 ? NULL : (const char *)evbuffer_pullup(input, -1);
    return (struct slice){data, data == NULL ? 0 : len};
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
    if (request->conn != NULL) evhttp_add_header(evhttp_request_get_output_headers(request->ev), name, value);
}

/* RFC 9110, section 15: of what is answered here. evhttp knows no 422 and no 429. */
const char *http_phrase(int status_code)
{
    static const struct {
        int status_code;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Payload Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Entity"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status_code == status_code) return phrases[i].phrase;
    }
    return "";
}

/* evhttp reads no body after HEAD and after a method it does not know: what follows is not the next request. */
static bool may_leave_a_body(const struct http_request *request)
{
    enum http_method method = http_request_method(request);
    if (method != HTTP_METHOD_HEAD && method != HTTP_METHOD_OTHER) return false;
    return http_request_header(request, "Content-Length") != NULL ||
           http_request_header(request, "Transfer-Encoding") != NULL;
}

void http_reply(struct http_request *request, int status_code, struct slice body)
{
    struct http_conn *conn = request->conn;
    struct evhttp_request *ev = request->ev;
    if (conn != NULL) {
        bool has_body = body.len > 0 && http_request_method(request) != HTTP_METHOD_HEAD;
        char length[24];
        snprintf(length, sizeof(length), "%zu", body.len);
        if (status_code != HTTP_NOCONTENT && status_code != HTTP_NOTMODIFIED)
            http_reply_header(request, "Content-Length", length);
        bool is_last = conn->server->is_ending || may_leave_a_body(request) || http_conn_has_stalled(conn);
        if (is_last) http_reply_header(request, "Connection", "close");
        conn->is_last = is_last;
        if (has_body) evbuffer_add(evhttp_request_get_output_buffer(ev), body.data, body.len);
        http_conn_enter_writing(conn, ev, has_body ? body.len : 0);
        evhttp_send_reply(ev, status_code, http_phrase(status_code), NULL);
    }
    free(request);
}

void http_request_drop(struct http_request *request)
{
    free(request);
}
