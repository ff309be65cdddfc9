#include "store/offsets.h"

#include <stdlib.h>

#include "driver/log.h"
#include "driver/pg.h"
#include "driver/pg_array.h"

enum { ARRAY_MAX_BYTES = 1 << 20, UNIT_TIMEOUT_MS = 10000, RETRY_MS = 500 };

static const struct pg_statement statements[] = {
    {"make", "INSERT INTO command_offsets (topic, partition, next_offset) "
             "SELECT $1::text, p, 0 FROM unnest($2::integer[]) AS p ON CONFLICT DO NOTHING"},
    {"load", "SELECT partition::bigint, next_offset FROM command_offsets "
             "WHERE topic = $1::text AND partition = ANY ($2::integer[])"},
};

struct offsets {
    struct pg_config pg_config;
    struct pg *pg;
    struct event *retry;
    const char *topic;
    void (*done)(void *ctx, const struct stored_offset *items, size_t len);
    void *ctx;
    int32_t partitions[OFFSETS_PARTITIONS_MAX]; /* what is asked for */
    size_t partitions_len;
    struct pg_array parameter; /* the same, as it is sent */
    bool wanted;
    bool is_look;
    bool sent;
    bool again; /* asked again while an older question is on its way */
    struct stored_offset answer[OFFSETS_PARTITIONS_MAX];
    size_t answer_len;
    bool failed;
};

static void ask_later(struct offsets *offsets)
{
    event_add(offsets->retry, &(struct timeval){.tv_usec = RETRY_MS * 1000});
}

static void ask(struct offsets *offsets)
{
    if (!offsets->wanted || offsets->sent || !pg_is_ready(offsets->pg)) return;
    pg_array_start(&offsets->parameter, PG_OID_INT4);
    for (size_t i = 0; i < offsets->partitions_len; i++) pg_array_add_int4(&offsets->parameter, offsets->partitions[i]);
    struct pg_param params[] = {
        {offsets->topic, (int)strlen(offsets->topic), false},
        pg_array_param(&offsets->parameter),
    };
    if (params[1].data == NULL) {
        LOG_WARN("offsets not read", LOG_STR("reason", "out of memory"));
        ask_later(offsets);
        return;
    }
    offsets->sent = true;
    offsets->again = false;
    offsets->failed = false;
    offsets->answer_len = 0;
    bool is_sent = offsets->is_look || pg_send(offsets->pg, "make", params, 2, true);
    if (is_sent && pg_send(offsets->pg, "load", params, 2, true)) (void)pg_sync(offsets->pg);
}

static void on_ready(void *ctx)
{
    ask(ctx);
}

static void on_result(void *ctx, const PGresult *result)
{
    struct offsets *offsets = ctx;
    if (pg_result_status(result) != STATUS_OK) {
        if (!offsets->failed) LOG_WARN("offsets not read", LOG_STR("reason", PQresultErrorMessage(result)));
        offsets->failed = true;
    }
    for (int row = 0; row < PQntuples(result) && offsets->answer_len < OFFSETS_PARTITIONS_MAX; row++) {
        offsets->answer[offsets->answer_len++] = (struct stored_offset){(int32_t)pg_get_int8(PQgetvalue(result, row, 0)),
                                                                        pg_get_int8(PQgetvalue(result, row, 1))};
    }
}

static void on_sync(void *ctx)
{
    struct offsets *offsets = ctx;
    offsets->sent = false;
    if (offsets->failed) {
        ask_later(offsets);
    } else if (offsets->again) {
        ask(offsets);
    } else if (offsets->wanted) {
        offsets->wanted = false;
        offsets->done(offsets->ctx, offsets->answer, offsets->answer_len);
    }
}

static void on_lost(void *ctx)
{
    struct offsets *offsets = ctx;
    offsets->sent = false;
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    ask(ctx);
}

struct offsets *offsets_new(struct event_base *base, const char *database_url, const char *topic,
                            void (*done)(void *ctx, const struct stored_offset *items, size_t len), void *ctx)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct offsets *offsets = calloc(1, sizeof(*offsets));
    if (offsets == NULL) return NULL;
    offsets->topic = topic;
    offsets->done = done;
    offsets->ctx = ctx;
    offsets->pg_config = (struct pg_config){
        .url = database_url,
        .application_name = "schedule-service offsets",
        .statements = statements,
        .statements_len = sizeof(statements) / sizeof(statements[0]),
        .keeps_plans = true,
        .unit_timeout_ms = UNIT_TIMEOUT_MS,
    };
    buf_init(&offsets->parameter.bytes, ARRAY_MAX_BYTES);
    offsets->retry = evtimer_new(base, on_retry, offsets);
    offsets->pg = pg_new(base, &offsets->pg_config, &handler, offsets);
    if (offsets->retry == NULL || offsets->pg == NULL) {
        offsets_free(offsets);
        return NULL;
    }
    return offsets;
}

void offsets_free(struct offsets *offsets)
{
    if (offsets == NULL) return;
    pg_free(offsets->pg);
    if (offsets->retry != NULL) event_free(offsets->retry);
    buf_done(&offsets->parameter.bytes);
    free(offsets);
}

static void want(struct offsets *offsets, const int32_t *partitions, size_t len, bool is_look)
{
    memcpy(offsets->partitions, partitions, len * sizeof(*partitions));
    offsets->partitions_len = len;
    offsets->is_look = is_look;
    offsets->wanted = true;
    offsets->again = offsets->sent;
    ask(offsets);
}

void offsets_load(struct offsets *offsets, const int32_t *partitions, size_t len)
{
    want(offsets, partitions, len, false);
}

void offsets_look(struct offsets *offsets, const int32_t *partitions, size_t len)
{
    want(offsets, partitions, len, true);
}

void offsets_cancel(struct offsets *offsets)
{
    offsets->wanted = false;
}
