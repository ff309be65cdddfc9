/* Happy path: a request becomes an easy handle of the one multi handle -> libcurl says which sockets to watch and when to come back
 * (its "multi_socket" interface) -> at the end of each step what is finished is answered.
 *
 * Failure modes: each ends in done with a class of error. A name that hangs in the resolver holds a thread of libcurl, not the loop. An
 * answer longer than 16 KiB is cut off, and counts by its status; one whose body breaks off does not count. */
#include "driver/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "driver/clock.h"
#include "driver/log.h"

enum { ANSWER_BYTES_MAX = 16 << 10 };

struct http_client {
    struct event_base *base;
    const struct http_client_config *config;
    CURLM *multi;
    struct event *timer;
    struct http_client_request *first; /* of all that are under way */
};

struct http_client_request {
    struct http_client *client;
    struct http_client_request *next;
    struct http_client_request *previous;
    CURL *easy;
    struct curl_slist *headers;
    void (*done)(void *ctx, const struct http_client_answer *answer);
    void *ctx;
    size_t read; /* of the answer's body */
    int64_t started_us;
    bool is_https;
    bool is_refused; /* an address of it was */
};

/* ---- what libcurl asks for ---- */

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http_client_request *request = ctx;
    (void)data;
    request->read += size * count;
    return request->read <= ANSWER_BYTES_MAX ? size * count : 0;
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_client_request *request = ctx;
    const struct http_client_config *config = request->client->config;
    (void)purpose;
    if (config->refuse(config->ctx, &address->addr, request->is_https) != NULL) {
        request->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- the end of a request ---- */

static const char *error_class(const struct http_client_request *request, CURLcode code)
{
    switch (code) {
    case CURLE_OK: return NULL;
    case CURLE_WRITE_ERROR: return request->read > ANSWER_BYTES_MAX ? NULL : "broken";
    case CURLE_COULDNT_RESOLVE_HOST: return "dns";
    case CURLE_COULDNT_CONNECT: return request->is_refused ? "refused" : "connect";
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PEER_FAILED_VERIFICATION: return "tls";
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED: return "refused";
    default: return "broken";
    }
}

static void unlink_request(struct http_client_request *request)
{
    if (request->previous != NULL) request->previous->next = request->next;
    else request->client->first = request->next;
    if (request->next != NULL) request->next->previous = request->previous;
}

static void free_request(struct http_client_request *request)
{
    unlink_request(request);
    if (request->easy != NULL) {
        curl_multi_remove_handle(request->client->multi, request->easy);
        curl_easy_cleanup(request->easy);
    }
    curl_slist_free_all(request->headers);
    free(request);
}

static void finish(struct http_client_request *request, CURLcode code)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    const struct http_client_answer answer = {
        .status = (int)status,
        .error = error_class(request, code),
        .retry_after_s = retry_after_s,
        .took_us = clock_steady_us() - request->started_us,
    };
    void (*done)(void *ctx, const struct http_client_answer *answer) = request->done;
    void *ctx = request->ctx;
    free_request(request);
    done(ctx, &answer);
}

static void finish_ended(struct http_client *client)
{
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct http_client_request *request = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        finish(request, message->data.result);
    }
}

/* ---- sockets and time ---- */

static void step(struct http_client *client, curl_socket_t socket, int what)
{
    int running;
    curl_multi_socket_action(client->multi, socket, what, &running);
    finish_ended(client);
}

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
    int action = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    step(ctx, fd, action);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    step(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int on_watch(CURL *easy, curl_socket_t socket, int what, void *ctx, void *socket_ctx)
{
    struct http_client *client = ctx;
    struct event *event = socket_ctx;
    short wanted = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    (void)easy;
    if (event != NULL) event_free(event);
    event =
        what == CURL_POLL_REMOVE ? NULL : event_new(client->base, socket, (short)(wanted | EV_PERSIST), on_socket, client);
    if (event != NULL) event_add(event, NULL);
    curl_multi_assign(client->multi, socket, event);
    return event == NULL && what != CURL_POLL_REMOVE ? -1 : 0;
}

/* libcurl must not be called from within: even what is due now comes from the loop. */
static int on_timeout_set(CURLM *multi, long timeout_ms, void *ctx)
{
    struct http_client *client = ctx;
    struct timeval after = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    (void)multi;
    if (timeout_ms < 0) event_del(client->timer);
    else event_add(client->timer, &after);
    return 0;
}

/* ---- requests ---- */

static bool add_headers(struct http_client_request *request, const struct http_client_post *post)
{
    bool ok = true;
    for (size_t i = 0; ok && i < post->headers_len; i++) {
        struct curl_slist *list = curl_slist_append(request->headers, post->headers[i]);
        ok = list != NULL;
        if (ok) request->headers = list;
    }
    struct curl_slist *list = ok ? curl_slist_append(request->headers, "Expect:") : NULL; /* no 100 Continue is waited for */
    if (list != NULL) request->headers = list;
    return list != NULL;
}

#define SET(option, value) (curl_easy_setopt(request->easy, (option), (value)) == CURLE_OK)

static bool restrict_to_rules(struct http_client_request *request)
{
    return SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_PROXY, "") &&
           SET(CURLOPT_NOPROXY, "*") && SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) && SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
           SET(CURLOPT_SSL_VERIFYHOST, 2L) && SET(CURLOPT_OPENSOCKETFUNCTION, on_open) &&
           SET(CURLOPT_OPENSOCKETDATA, request);
}

static bool bound_it(struct http_client_request *request)
{
    return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_QUICK_EXIT, 1L) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CLIENT_CONNECT_MS) &&
           SET(CURLOPT_TIMEOUT_MS, (long)HTTP_CLIENT_TOTAL_MS) && SET(CURLOPT_WRITEFUNCTION, on_body) &&
           SET(CURLOPT_WRITEDATA, request);
}

static bool fill(struct http_client_request *request, const struct http_client_post *post)
{
    const char *ca_file = request->client->config->ca_file;
    return SET(CURLOPT_URL, post->url) && SET(CURLOPT_USERAGENT, request->client->config->user_agent) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) && SET(CURLOPT_POST, 1L) &&
           SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len) && SET(CURLOPT_POSTFIELDS, post->body.data) &&
           SET(CURLOPT_HTTPHEADER, request->headers) && SET(CURLOPT_PRIVATE, request) &&
           (ca_file[0] == '\0' || SET(CURLOPT_CAINFO, ca_file));
}

struct http_client_request *http_client_post(struct http_client *client, const struct http_client_post *post,
                                             void (*done)(void *ctx, const struct http_client_answer *answer), void *ctx)
{
    struct http_client_request *request = calloc(1, sizeof(*request));
    if (request == NULL) return NULL;
    *request = (struct http_client_request){.client = client, .next = client->first, .done = done, .ctx = ctx};
    request->started_us = clock_steady_us();
    request->is_https = strncasecmp(post->url, "https:", 6) == 0;
    if (client->first != NULL) client->first->previous = request;
    client->first = request;
    request->easy = curl_easy_init();
    if (request->easy != NULL && add_headers(request, post) && restrict_to_rules(request) && bound_it(request) &&
        fill(request, post) && curl_multi_add_handle(client->multi, request->easy) == CURLM_OK) {
        return request;
    }
    free_request(request);
    return NULL;
}

void http_client_cancel(struct http_client_request *request)
{
    free_request(request);
}

/* ---- life cycle ---- */

static bool start_multi(struct http_client *client)
{
    client->multi = curl_multi_init();
    return client->multi != NULL && curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_watch) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timeout_set) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
           curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->config->connections_kept) == CURLM_OK;
}

struct http_client *http_client_new(struct event_base *base, const struct http_client_config *config)
{
    struct http_client *client = calloc(1, sizeof(*client));
    if (client == NULL) return NULL;
    client->base = base;
    client->config = config;
    client->timer = evtimer_new(base, on_timer, client);
    if (client->timer != NULL && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && start_multi(client)) return client;
    LOG_ERROR("HTTP client not made");
    http_client_free(client);
    return NULL;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) return;
    for (struct http_client_request *request = client->first, *next; request != NULL; request = next) {
        next = request->next;
        free_request(request);
    }
    if (client->multi != NULL) curl_multi_cleanup(client->multi);
    if (client->timer != NULL) event_free(client->timer);
    free(client);
}
