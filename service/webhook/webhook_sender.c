/* Happy path: the connections come up -> the consumer joins the group -> partitions are assigned and loaded -> events become requests -> every
 * tick what there is to store is stored, and what is due is looked for.
 *
 * Failure modes: PostgreSQL away: what is assigned goes on until memory is full; nothing is stored, so it is sent again if this process ends.
 * Kafka away: nothing comes. An endpoint that fails: webhook_deliveries.c and webhook_lags.c. */
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "webhook/webhook_sender_state.h"

enum { TICK_MS = 50, TICKS_POLL = 10, TICKS_DUE = 10, TICKS_SWEEP = 200, UNIT_TIMEOUT_MS = 15000 };

#define TEXT_OF_(number_) #number_
#define TEXT_OF(number_) TEXT_OF_(number_)
#define PAGE TEXT_OF(SENDER_CHANGES_MAX)
#define CHANGES                                                                                                            \
    "SELECT revision, id, is_deleted, scope, user_id, org_id, subscriber_url, triggers, active, secret, previous_secret, " \
    "(extract(epoch FROM previous_secret_until) * 1000000)::bigint, format, start_position, starts, end_position "         \
    "FROM webhook_changes WHERE revision > $1::bigint ORDER BY revision LIMIT " PAGE
#define CURSORS                                                                                                   \
    "SELECT c.webhook_id, c.partition, c.starts, c.next_offset FROM webhook_cursors c JOIN webhooks w ON w.id = " \
    "c.webhook_id "                                                                                               \
    "WHERE c.topic = $1::text AND c.partition = ANY ($2::integer[]) AND w.active"
#define CHAINS                                                                                                       \
    "SELECT d.webhook_id, d.partition, d.schedule_id, count(*) FROM webhook_deliveries d JOIN webhooks w ON w.id = " \
    "d.webhook_id "                                                                                                  \
    "WHERE d.topic = $1::text AND d.partition = ANY ($2::integer[]) AND d.state <> 'failed' AND w.active"
#define OWNER "coalesce(w.user_id, -w.org_id)"
#define BY_CHAIN " GROUP BY d.webhook_id, d.partition, d.schedule_id"

static const struct pg_statement write_statements[] = {
    {"begin", "SELECT begin_webhook_offsets($1::text, $2::integer[], $3::bigint[], $4::bigint[])"},
    {"lose", "SELECT lose_webhook_events($1::text, $2::integer[], $3::bigint[])"},
    {"replace", "SELECT replace_webhook_logs($1::text, $2::integer[], $3::bigint[], $4::bigint[])"},
    {"positions", "SELECT partition, next_offset, (extract(epoch FROM taken_until) * 1000000)::bigint FROM webhook_offsets "
                  "WHERE topic = $1::text AND partition = ANY ($2::integer[])"},
    {"changes", CHANGES},
    {"cursors_of", CURSORS " AND c.webhook_id = ANY ($3::uuid[])"},
    {"chains_of", CHAINS " AND d.webhook_id = ANY ($3::uuid[])" BY_CHAIN},
    {"all_cursors", CURSORS},
    {"all_chains", CHAINS BY_CHAIN},
    {"lock", "SELECT webhook_lock()"},
    {"offsets", "SELECT move_webhook_offsets($1::text, $2::integer[], $3::bigint[], $4::bigint[], $5::timestamptz[])"},
    {"keep",
     "SELECT store_webhook_deliveries($1::text, $2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::text[], "
     "$7::bigint[], "
     "$8::bigint[], $9::bytea[], $10::timestamptz[], $11::timestamptz[], $12::integer[], $13::text[], $14::timestamptz)"},
    {"retried",
     "SELECT store_webhook_retries($1::text, $2::uuid[], $3::integer[], $4::bigint[], $5::bigint[], $6::integer[], "
     "$7::timestamptz[], $8::timestamptz[], $9::integer[], $10::text[], $11::timestamptz)"},
    {"cursors",
     "SELECT store_webhook_cursors($1::text, $2::uuid[], $3::integer[], $4::integer[], $5::bigint[], $6::boolean[])"},
    {"states", "SELECT store_webhook_states($1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], "
               "$6::timestamptz[], "
               "$7::integer[], $8::text[])"},
    {"failing", "SELECT webhook_id FROM webhook_states WHERE webhook_id = ANY ($1::uuid[]) AND failures >= 20 "
                "AND first_failure_at <= $2::timestamptz"},
    {"disable", "SELECT disable_webhook($1::uuid, $2::text, $3::bytea)"},
};

static const struct pg_statement read_statements[] = {
    {"due", "SELECT d.webhook_id, d.partition, d.event_offset, d.attempts, d.event FROM webhook_deliveries d "
            "WHERE d.topic = $1::text AND d.partition = ANY ($2::integer[]) AND d.state = 'retrying' AND d.next_attempt_at "
            "<= $3::timestamptz AND d.webhook_id <> ALL ($5::uuid[]) "
            "AND EXISTS (SELECT FROM webhooks w WHERE w.id = d.webhook_id AND w.active) ORDER BY d.next_attempt_at LIMIT "
            "$4::bigint"},
    {"members", "SELECT user_id, org_id FROM webhook_memberships($1::bigint[])"},
    /* Of an owner's two at once, those of before and under way counted, so that none of them keeps the others' waiting. */
    {"pings",
     "UPDATE webhook_jobs SET state = 'running', started_at = now() WHERE id = ANY (ARRAY("
     "SELECT j.id FROM webhook_jobs j JOIN (SELECT o.id, row_number() OVER (PARTITION BY " OWNER " ORDER BY o.state DESC, "
     "o.created_at, o.id) AS turn FROM webhook_jobs o JOIN webhooks w ON w.id = o.webhook_id AND w.revision <= $1::bigint "
     "WHERE o.kind = 'ping' AND o.state IN ('queued', 'running')) AS t ON t.id = j.id WHERE t.turn <= 2 "
     "AND (j.state = 'queued' OR j.state = 'running' AND j.started_at < now() - interval '1 minute') "
     "ORDER BY t.turn, j.created_at LIMIT 8 FOR UPDATE OF j SKIP LOCKED)) RETURNING id, webhook_id"},
    {"end_ping",
     "UPDATE webhook_jobs SET state = CASE WHEN $3::text IS NULL THEN 'done' ELSE 'failed' END, ended_at = now(), "
     "delivered = ($3::text IS NULL)::integer, failed = ($3::text IS NOT NULL)::integer, status = $2::smallint, error = "
     "$3::text "
     "WHERE id = $1::uuid AND state = 'running'"},
    /* The oldest of the owner whose turn is behind $2's, and where it is in each partition. */
    {"replay",
     "SELECT j.id, j.webhook_id, (extract(epoch FROM j.from_time) * 1000)::bigint, coalesce(j.from_event, ''), "
     "(extract(epoch FROM j.to_time) * 1000)::bigint, j.triggers, j.delivered, j.failed, p.partition, p.next_offset, "
     "p.end_offset FROM (SELECT pg_try_advisory_lock(7215830125522) AS is_mine OFFSET 0) AS l CROSS JOIN LATERAL ("
     "SELECT o.* FROM webhook_jobs o JOIN webhooks w ON w.id = o.webhook_id AND w.revision <= $1::bigint "
     "WHERE o.kind = 'replay' AND o.state IN ('queued', 'running') "
     "ORDER BY " OWNER " <= $2::bigint, " OWNER ", o.created_at, o.id LIMIT 1) AS j "
     "LEFT JOIN webhook_job_positions p ON p.job_id = j.id AND p.topic = $3::text WHERE l.is_mine ORDER BY p.partition"},
    {"store_replay",
     "UPDATE webhook_jobs SET state = $2::text, started_at = coalesce(started_at, now()), delivered = $3::bigint, "
     "failed = $4::bigint, status = $5::smallint, error = $6::text, "
     "ended_at = CASE WHEN $2::text = 'running' THEN NULL ELSE now() END WHERE id = $1::uuid AND ended_at IS NULL"},
    {"store_places", "INSERT INTO webhook_job_positions (job_id, topic, partition, next_offset, end_offset) "
                     "SELECT $1::uuid, $2::text, u.* FROM unnest($3::integer[], $4::bigint[], $5::bigint[]) AS u "
                     "WHERE EXISTS (SELECT FROM webhook_jobs WHERE id = $1::uuid) "
                     "ON CONFLICT (job_id, topic, partition) DO UPDATE SET next_offset = excluded.next_offset, end_offset = "
                     "excluded.end_offset"},
    {"sweep", "SELECT mark_removed_webhooks(), sweep_webhooks(1000)"},
    {"sweep_removed",
     "SELECT published, swept_at FROM sweep_removed_webhooks($1::text, $2::text, $3::pg_lsn, $4::timestamptz)"},
};

/* ---- forgetting ---- */

static void free_list(struct webhook_sender *sender, struct delivery_list *list)
{
    for (struct delivery *delivery = list->first, *next; delivery != NULL; delivery = next) {
        next = delivery->next;
        delivery->chain = NULL;
        if (delivery->taken != NULL) sender_on_kept(sender, delivery);
        else sender_on_finished(sender, delivery);
    }
    *list = (struct delivery_list){0};
}

void sender_reset_endpoint(struct webhook_sender *sender, struct endpoint *endpoint)
{
    (void)sender_forget(sender, endpoint, NULL);
    sender_forget_chains(sender, endpoint, NULL);
    while (endpoint->lags != NULL) lag_remove(endpoint->lags);
    endpoint->is_disabling = endpoint->is_failing = false;
    endpoint->failures = 0;
    endpoint->rests_until_us = endpoint->rest_us = 0;
    endpoint->allowed = 1;
}

void sender_forget_everything(struct webhook_sender *sender)
{
    sender_release_staged(sender);
    free_list(sender, &sender->to_keep);
    free_list(sender, &sender->keeping);
    free_list(sender, &sender->to_finish);
    free_list(sender, &sender->finishing);
    for (struct endpoint *endpoint = endpoints_next(sender->endpoints, NULL); endpoint != NULL;
         endpoint = endpoints_next(sender->endpoints, endpoint)) {
        (void)sender_forget(sender, endpoint, NULL);
        sender_forget_chains(sender, endpoint, NULL);
        while (endpoint->lags != NULL) lag_remove(endpoint->lags);
    }
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        window_clear(&partition->head);
        window_clear(&partition->scan);
        if (partition->is_loaded) partition->unloaded_us = clock_wall_us();
        partition->is_loaded = partition->is_scanned = false;
        partition->is_head_outside = partition->is_scan_outside = false;
        partition->another_log_us = 0;
    }
    sender->has_failed = false;
    sender_assign_scans(sender);
}

void sender_start_over(struct webhook_sender *sender)
{
    LOG_WARN("webhooks: another sender has moved a partition, or memory is out: where it stands is read again");
    sender_forget_everything(sender);
    sender_load(sender);
}

/* ---- the tick ---- */

static void on_sweep_rows(void *ctx, const PGresult *rows, int statement)
{
    struct webhook_sender *sender = ctx;
    if (statement == 0 || PQntuples(rows) == 0) return;
    snprintf(sender->published, sizeof(sender->published), "%s", PQgetvalue(rows, 0, 0));
    snprintf(sender->swept_at, sizeof(sender->swept_at), "%s", PQgetvalue(rows, 0, 1));
}

static void on_swept(void *ctx, bool is_stored, const char *sqlstate)
{
    (void)ctx;
    (void)is_stored;
    (void)sqlstate;
}

static struct pg_param text_param(const char *text)
{
    return (struct pg_param){text[0] == '\0' ? NULL : text, (int)strlen(text), false};
}

/* What is kept for long enough, and endpoints whose owners are gone. */
static void sweep(struct webhook_sender *sender)
{
    static const struct webhook_db_ops ops = {on_sweep_rows, on_swept};
    if (!webhook_db_is_ready(sender->reads)) return;
    const struct pg_param params[] = {text_param(sender->config->topic), text_param(sender->config->slot),
                                      text_param(sender->published), text_param(sender->swept_at)};
    webhook_db_begin(sender->reads, &ops, sender);
    webhook_db_send(sender->reads, "sweep", NULL, 0);
    webhook_db_send(sender->reads, "sweep_removed", params, 4);
    webhook_db_end(sender->reads);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct webhook_sender *sender = ctx;
    (void)fd;
    (void)what;
    sender->ticks++;
    if (sender->is_done) return;
    if (sender->is_load_wanted && !sender->is_revoking) sender_load(sender);
    sender_mind_lags(sender);
    sender_store(sender);
    sender_mind_revoking(sender);
    if (sender->is_done || sender->is_revoking) return;
    if (sender->ticks % TICKS_POLL == 0) sender_poll_changes(sender);
    if (sender->ticks % TICKS_DUE == 3) sender_mind_ranges(sender);
    if (sender->ticks % TICKS_DUE == 5) sender_ask_due(sender);
    if (sender->ticks % TICKS_DUE == 7) sender_ask_pings(sender);
    sender_mind_replay(sender);
    if (sender->ticks % TICKS_SWEEP == 0) sweep(sender);
    sender_run(sender);
    sender_take(sender); /* in case a wake-up was lost, or a look-up failed */
}

/* ---- life cycle ---- */

static void on_ready(void *ctx)
{
    struct webhook_sender *sender = ctx;
    if (sender->is_load_wanted) sender_load(sender);
}

static const char *refuse(void *ctx, const struct sockaddr *address, bool is_https)
{
    const struct webhook_sender *sender = ctx;
    return address_rule_refusal(&sender->config->rule, address, is_https);
}

static struct pg_config pg_config_of(const struct webhook_sender_config *config, const char *name,
                                     const struct pg_statement *statements, size_t len)
{
    return (struct pg_config){.url = config->database_url,
                              .application_name = name,
                              .statements = statements,
                              .statements_len = len,
                              .keeps_plans = true,
                              .unit_timeout_ms = UNIT_TIMEOUT_MS};
}

static bool start(struct webhook_sender *sender)
{
    const struct webhook_sender_config *config = sender->config;
    sender->http_config = (struct http_client_config){.connections_kept = config->requests_max,
                                                      .ca_file = config->ca_file,
                                                      .user_agent = config->user_agent,
                                                      .refuse = refuse,
                                                      .ctx = sender};
    sender->pg_configs[0] = pg_config_of(config, "schedule-service webhooks", write_statements,
                                         sizeof(write_statements) / sizeof(write_statements[0]));
    sender->pg_configs[1] = pg_config_of(config, "schedule-service webhooks reads", read_statements,
                                         sizeof(read_statements) / sizeof(read_statements[0]));
    sender->partitions = calloc(SENDER_PARTITIONS_MAX, sizeof(*sender->partitions));
    sender->endpoints = endpoints_new();
    sender->http = http_client_new(sender->base, &sender->http_config);
    if (sender->partitions == NULL || sender->endpoints == NULL || sender->http == NULL) return false;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) sender->partitions[i].number = i;
    sender->writes = webhook_db_new(sender->base, &sender->pg_configs[0], on_ready, sender);
    sender->reads = webhook_db_new(sender->base, &sender->pg_configs[1], on_ready, sender);
    sender->tick = event_new(sender->base, -1, EV_PERSIST, on_tick, sender);
    if (sender->writes == NULL || sender->reads == NULL || sender->tick == NULL) return false;
    event_add(sender->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
    return sender_start_taking(sender) && sender_start_replay(sender);
}

struct webhook_sender *webhook_sender_new(struct event_base *base, const struct webhook_sender_config *config)
{
    struct webhook_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL) return NULL;
    sender->base = base;
    sender->config = config;
    sender->wake_fd = -1;
    if (start(sender)) {
        sender_metrics_register(sender);
        return sender;
    }
    webhook_sender_free(sender);
    return NULL;
}

void webhook_sender_free(struct webhook_sender *sender)
{
    if (sender == NULL) return;
    sender->is_done = sender->is_revoking = true;
    sender_break_off(sender);
    sender_drop_pings(sender);
    sender_stop_replay(sender);
    sender_stop_ranges(sender);
    if (sender->head != NULL) sender_forget_everything(sender);
    sender_stop_taking(sender);
    http_client_free(sender->http);
    webhook_db_free(sender->writes);
    webhook_db_free(sender->reads);
    sender_drop_outcomes(sender);
    sender_place_all(sender);
    if (sender->tick != NULL) event_free(sender->tick);
    endpoints_free(sender->endpoints);
    free(sender->memberships);
    free(sender->partitions);
    free(sender);
}

const char *webhook_sender_obstacle(const struct webhook_sender *sender, struct degraded *degraded)
{
    size_t lags = 0;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        for (const struct lag *lag = sender->partitions[i].lags; lag != NULL; lag = lag->next_of_partition) lags++;
    }
    if (lags > 0) degraded_add(degraded, "%zu positions of endpoints are behind the head", lags);
    if (sender->is_draining) return "the process is stopping";
    if (!webhook_db_is_ready(sender->writes)) return "the database cannot be reached";
    return NULL;
}
