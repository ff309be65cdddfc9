/* evhttp alone: answers every request with 201 and BYTES bytes of body, from one thread.
 *
 *   http_limit PORT BYTES */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answer {
    char *body;
    size_t len;
};

static void on_request(struct evhttp_request *request, void *ctx)
{
    const struct answer *answer = ctx;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", "application/json; charset=utf-8");
    evbuffer_add_reference(evhttp_request_get_output_buffer(request), answer->body, answer->len, NULL, NULL);
    evhttp_send_reply(request, 201, "Created", NULL);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: http_limit PORT BYTES\n");
        return 2;
    }
    struct answer answer = {.len = (size_t)strtoull(argv[2], NULL, 10)};
    struct event_base *base = event_base_new();
    struct evhttp *http = base == NULL ? NULL : evhttp_new(base);
    answer.body = malloc(answer.len + 1);
    if (http == NULL || answer.body == NULL) return 1;
    memset(answer.body, 'x', answer.len);
    evhttp_set_gencb(http, on_request, &answer);
    if (evhttp_bind_socket(http, "127.0.0.1", (unsigned short)strtoul(argv[1], NULL, 10)) != 0) return 1;
    return event_base_dispatch(base);
}
