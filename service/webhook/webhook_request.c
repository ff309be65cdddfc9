/* The request of a delivery: its headers, both families of signatures, and the body, whose bytes are signed as they are sent. */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "driver/clock.h"
#include "webhook/webhook_sender_state.h"

enum { HEADER_SIZE = 320, SIGNATURES_SIZE = 2 * WEBHOOK_STANDARD_SIGNATURE_LEN + 2 };

/* The texts of the headers, which live until the request is made. */
struct headers {
    char texts[HTTP_CLIENT_HEADERS_MAX][HEADER_SIZE];
    struct http_client_post *post;
};

static void add(struct headers *headers, const char *name, struct slice value)
{
    size_t at = headers->post->headers_len;
    snprintf(headers->texts[at], HEADER_SIZE, "%s: %.*s", name, (int)value.len, value.data);
    headers->post->headers[at] = headers->texts[at];
    headers->post->headers_len++;
}

struct secret {
    char bytes[WEBHOOK_SECRET_BYTES_MAX];
    size_t len; /* 0: none */
};

static bool open_secret(const struct webhook_sender *sender, const struct endpoint *endpoint, struct slice sealed,
                        struct secret *secret)
{
    secret->len = 0;
    if (sealed.data == NULL) return true;
    return webhook_secret_open(sender->config->keys, &endpoint->id, sealed, secret->bytes, &secret->len) == STATUS_OK;
}

static struct slice slice_of_secret(const struct secret *secret)
{
    return (struct slice){secret->bytes, secret->len};
}

struct signing {
    struct slice id;
    int64_t now_s;
    struct slice body;
};

/* Both while a former secret counts too. */
static bool add_standard(struct headers *headers, const struct secret secrets[2], const struct signing *signing)
{
    char text[SIGNATURES_SIZE];
    size_t len = 0;
    for (int i = 0; i < 2; i++) {
        if (secrets[i].len == 0) continue;
        if (len > 0) text[len++] = ' ';
        if (!webhook_sign_standard(slice_of_secret(&secrets[i]), signing->id, signing->now_s, signing->body, text + len))
            return false;
        len += WEBHOOK_STANDARD_SIGNATURE_LEN;
    }
    if (len > 0) add(headers, "webhook-signature", (struct slice){text, len});
    return true;
}

static bool add_signatures(struct headers *headers, const struct secret secrets[2], const struct signing *signing)
{
    char hex[WEBHOOK_CAL_SIGNATURE_LEN];
    if (secrets[0].len == 0) {
        add(headers, "X-Cal-Signature-256", SLICE(WEBHOOK_NO_SECRET));
        return true;
    }
    if (!webhook_sign_cal(slice_of_secret(&secrets[0]), signing->body, hex)) return false;
    add(headers, "X-Cal-Signature-256", (struct slice){hex, sizeof(hex)});
    return add_standard(headers, secrets, signing);
}

static bool sign(const struct webhook_sender *sender, const struct endpoint *endpoint, struct headers *headers,
                 const struct signing *signing, const char **ret_error)
{
    struct secret secrets[2] = {0};
    struct slice previous =
        clock_wall_us() < endpoint->previous_until_us ? endpoint->previous_secret : (struct slice){NULL, 0};
    bool is_open =
        open_secret(sender, endpoint, endpoint->secret, &secrets[0]) && open_secret(sender, endpoint, previous, &secrets[1]);
    bool is_signed = is_open && add_signatures(headers, secrets, signing);
    OPENSSL_cleanse(secrets, sizeof(secrets));
    if (!is_open) *ret_error = "secret";
    return is_signed;
}

bool webhook_post(struct webhook_sender *sender, struct endpoint *endpoint, const struct webhook_message *message,
                  void (*done)(void *ctx, const struct http_client_answer *answer), void *ctx,
                  struct http_client_request **ret_request, const char **ret_error)
{
    char now[24];
    const struct signing signing = {message->id, clock_wall_us() / 1000000, message->body};
    struct http_client_post post = {.url = endpoint->url, .body = message->body};
    struct headers headers = {.post = &post};
    int now_len = snprintf(now, sizeof(now), "%" PRId64, signing.now_s);
    add(&headers, "Content-Type", SLICE("application/json"));
    add(&headers, "X-Cal-Webhook-Version", SLICE("2021-10-20"));
    add(&headers, "webhook-id", message->id);
    add(&headers, "webhook-timestamp", (struct slice){now, (size_t)now_len});
    if (message->traceparent.len > 0) add(&headers, "traceparent", message->traceparent);
    if (message->replay.len > 0) add(&headers, "webhook-replay", message->replay);
    if (!sign(sender, endpoint, &headers, &signing, ret_error)) return false;
    *ret_request = http_client_post(sender->http, &post, done, ctx);
    return *ret_request != NULL;
}

bool sender_request(struct webhook_sender *sender, struct delivery *delivery,
                    void (*done)(void *ctx, const struct http_client_answer *answer), const char **ret_error)
{
    const struct webhook_message message = {
        .id = delivery->event->id,
        .traceparent = delivery->event->traceparent,
        .body = webhook_event_body(delivery->event, delivery->endpoint->format),
    };
    return message.body.data != NULL &&
           webhook_post(sender, delivery->endpoint, &message, done, delivery, &delivery->request, ret_error);
}
