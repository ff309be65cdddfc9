/* What is asked about the process itself: is it alive, should it get traffic, its metrics. */
#include "api/http_exchange.h"
#include "driver/metrics.h"

static void write_degraded(struct buf *body, const struct degraded *degraded)
{
    buf_printf(body, ",\"degraded\":");
    for (size_t i = 0; i < degraded->len; i++) {
        buf_append_char(body, i == 0 ? '[' : ',');
        json_write_string(body, slice_of(degraded->texts[i]));
    }
    buf_append_char(body, ']');
}

static void reply_state(struct exchange *exchange, const char *state, const struct readiness *readiness)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"%s\"", state);
    if (readiness->reason != NULL) {
        buf_printf(&body, ",\"reason\":");
        json_write_string(&body, slice_of(readiness->reason));
    }
    if (readiness->degraded.len > 0) write_degraded(&body, &readiness->degraded);
    buf_append_char(&body, '}');
    reply_json(exchange, readiness->reason == NULL ? 200 : 503, &body);
    buf_done(&body);
}

void handle_healthz(struct exchange *exchange)
{
    reply_state(exchange, "ok", &(struct readiness){0});
}

void handle_readyz(struct exchange *exchange)
{
    const struct http_api *api = exchange->api;
    struct readiness readiness = {0};
    api->config.evaluate(api->config.ctx, &readiness);
    reply_state(exchange, readiness.reason == NULL ? "ready" : "unavailable", &readiness);
}

void handle_metrics(struct exchange *exchange)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    metrics_write(&body);
    reply_text(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    buf_done(&body);
}
