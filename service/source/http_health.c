/* What is asked about the process itself: is it alive, should it get traffic, its metrics. */
#include "driver/metrics.h"
#include "source/http_exchange.h"

static void reply_state(struct exchange *exchange, int status_code, const char *state, const char *reason)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    buf_printf(&body, "{\"status\":\"%s\"", state);
    if (reason != NULL) {
        buf_printf(&body, ",\"reason\":");
        json_write_string(&body, slice_of(reason));
    }
    buf_append_char(&body, '}');
    reply_json(exchange, status_code, &body);
    buf_done(&body);
}

void handle_healthz(struct exchange *exchange)
{
    reply_state(exchange, 200, "ok", NULL);
}

void handle_readyz(struct exchange *exchange)
{
    const struct http_door *door = exchange->door;
    const char *reason = "shutting down";
    if (!door->is_draining && door->config.is_ready(door->config.ctx, &reason)) {
        reply_state(exchange, 200, "ready", NULL);
    } else {
        reply_state(exchange, 503, "unavailable", reason);
    }
}

void handle_metrics(struct exchange *exchange)
{
    struct buf body;
    buf_init(&body, REPLY_BYTES_MAX);
    metrics_write(&body);
    reply_text(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    buf_done(&body);
}
