/* Test requests: jobs of the kind `ping`, which any sender takes. They go through the same client and the same rules as all requests, to an inactive
 * endpoint, too, and beside its deliveries. A sender that ends in between leaves a job behind that another one takes after a minute. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/error_json.h"
#include "driver/clock.h"
#include "webhook/webhook_sender_state.h"

enum { NUMBER_SIZE = 24, ID_SIZE = UUID_TEXT_LEN + 8, BODY_SIZE = 128 };

struct ping {
    struct ping *next;
    struct ping *previous;
    struct webhook_sender *sender;
    struct endpoint *endpoint;
    char job[UUID_TEXT_LEN + 1];
    char id[ID_SIZE];
    char body[BODY_SIZE];
    struct http_client_request *request;
};

/* ---- the end of a job ---- */

static void on_nothing(void *ctx, bool is_stored, const char *sqlstate)
{
    (void)ctx;
    (void)is_stored;
    (void)sqlstate;
}

static void store_end(struct webhook_sender *sender, const char *job, int status, const char *error)
{
    static const struct webhook_db_ops ops = {NULL, on_nothing};
    char number[NUMBER_SIZE];
    if (!webhook_db_is_ready(sender->reads)) return; /* it is taken again */
    snprintf(number, sizeof(number), "%d", status);
    const struct pg_param params[] = {{job, (int)strlen(job), false},
                                      {status == 0 ? NULL : number, (int)strlen(number), false},
                                      {error, error == NULL ? 0 : (int)strlen(error), false}};
    webhook_db_begin(sender->reads, &ops, sender);
    webhook_db_send(sender->reads, "end_ping", params, 3);
    webhook_db_end(sender->reads);
}

static void free_ping(struct ping *ping)
{
    if (ping->previous != NULL) ping->previous->next = ping->next;
    else ping->sender->pings = ping->next;
    if (ping->next != NULL) ping->next->previous = ping->previous;
    ping->sender->pings_len--;
    endpoint_release(ping->endpoint);
    free(ping);
}

static void end(struct ping *ping, const struct http_client_answer *answer)
{
    const char *error = answer->error != NULL                           ? answer->error
                        : answer->status >= 200 && answer->status < 300 ? NULL
                                                                        : "status";
    store_end(ping->sender, ping->job, answer->status, error);
    free_ping(ping);
}

static void on_answer(void *ctx, const struct http_client_answer *answer)
{
    struct ping *ping = ctx;
    sender_count_attempt(answer);
    end(ping, answer);
}

/* ---- a job ---- */

static void write_body(struct ping *ping)
{
    char at[RFC3339_MS_SIZE];
    rfc3339_ms_format(clock_wall_us(), at);
    if (ping->endpoint->format == WEBHOOK_FORMAT_CAL) {
        snprintf(ping->body, sizeof(ping->body), "{\"triggerEvent\":\"PING\",\"createdAt\":\"%s\",\"payload\":{}}", at);
    } else {
        snprintf(ping->body, sizeof(ping->body), "{\"type\":\"ping\",\"timestamp\":\"%s\",\"data\":{}}", at);
    }
}

static void start(struct webhook_sender *sender, const char *job, const struct uuid *webhook_id)
{
    const char *error = NULL;
    struct endpoint *endpoint = endpoints_find(sender->endpoints, webhook_id);
    struct ping *ping = endpoint == NULL ? NULL : calloc(1, sizeof(*ping));
    if (ping == NULL) return; /* it is not known yet, or there is no memory: it is taken again */
    ping->sender = sender;
    ping->endpoint = endpoint;
    ping->next = sender->pings;
    if (sender->pings != NULL) sender->pings->previous = ping;
    sender->pings = ping;
    sender->pings_len++;
    endpoint->references++;
    snprintf(ping->job, sizeof(ping->job), "%s", job);
    snprintf(ping->id, sizeof(ping->id), "ping_%s", job);
    write_body(ping);
    const struct webhook_message message = {.id = slice_of(ping->id), .body = slice_of(ping->body)};
    if (!webhook_post(sender, endpoint, &message, on_answer, ping, &ping->request, &error))
        end(ping, &(struct http_client_answer){.error = error == NULL ? "memory" : error});
}

static void on_rows(void *ctx, const PGresult *rows, int statement)
{
    (void)statement;
    for (int row = 0; row < PQntuples(rows); row++) {
        struct uuid id;
        if (uuid_parse(slice_of(PQgetvalue(rows, row, 1)), &id)) start(ctx, PQgetvalue(rows, row, 0), &id);
    }
}

static void on_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct webhook_sender *sender = ctx;
    (void)is_stored;
    (void)sqlstate;
    sender->is_asking_pings = false;
}

void sender_drop_pings(struct webhook_sender *sender)
{
    for (struct ping *ping = sender->pings, *next; ping != NULL; ping = next) {
        next = ping->next;
        http_client_cancel(ping->request);
        free_ping(ping);
    }
}

void sender_ask_pings(struct webhook_sender *sender)
{
    enum { PINGS_MAX = 16 };
    static const struct webhook_db_ops ops = {on_rows, on_asked};
    char revision[NUMBER_SIZE];
    if (sender->is_asking_pings || sender->pings_len >= PINGS_MAX || !sender->are_endpoints_known ||
        !webhook_db_is_ready(sender->reads))
        return;
    sender->is_asking_pings = true;
    webhook_db_begin(sender->reads, &ops, sender);
    snprintf(revision, sizeof(revision), "%" PRId64, sender->revision); /* what is newer is not known yet */
    const struct pg_param params[] = {{revision, (int)strlen(revision), false}};
    webhook_db_send(sender->reads, "pings", params, 1);
    webhook_db_end(sender->reads);
}
