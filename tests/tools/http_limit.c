/* evhttp alone: answers every request with 201 and BYTES bytes of body, from one thread.
 *
 *   http_limit PORT BYTES */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 65536 };

static char body[BODY_MAX];

static void on_request(struct evhttp_request *request, void *ctx)
{
    const size_t *len = ctx;
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json; charset=utf-8");
    evbuffer_add_reference(evhttp_request_get_output_buffer(request), body, *len, NULL, NULL);
    evhttp_send_reply(request, 201, "Created", NULL);
}

int main(int argc, char **argv)
{
    size_t len = argc == 3 ? (size_t)strtoull(argv[2], NULL, 10) : 0;
    if (len == 0 || len > sizeof(body)) {
        fprintf(stderr, "usage: http_limit PORT BYTES\n");
        return 2;
    }
    struct event_base *base = event_base_new();
    struct evhttp *http = base == NULL ? NULL : evhttp_new(base);
    if (http == NULL) return 1;
    memset(body, 'x', len);
    evhttp_set_gencb(http, on_request, &len);
    if (evhttp_bind_socket(http, "127.0.0.1", (unsigned short)strtoul(argv[1], NULL, 10)) != 0) return 1;
    return event_base_dispatch(base);
}
