/* The relay's thread: connect, take the slot, take over the producer, read progress, loop; and after any failure all of it
 * again. Only relay_enter moves the state that others see.
 *
 * Happy path: run_once, which ends when the relay is stopped or drained.
 * Failure modes: the slot is in use (ask again each second), gone (say so, look again every few seconds), a server away or
 * anything doubtful (start again after a pause that doubles from 0.1 to 5 s and is jittered). Kafka refuses whatever is published: say so,
 * ask again every few seconds. It refuses one record for good: start again at once, in smaller batches (relay_loop.h). */
#include "relay/relay.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "driver/thread.h"
#include "core/lsn.h"
#include "relay/relay_loop.h"
#include "relay/relay_metrics.h"
#include "relay/takeover.h"
#include "relay/topic_reader.h"

enum {
    BUSY_PAUSE_MS = 1000,
    LOST_PAUSE_MS = 3000,
    WAITS_PAUSE_MS = 2000,
    FAILED_PAUSE_MIN_MS = 100,
    FAILED_PAUSE_MAX_MS = 5000
};

/* How one run ended. */
enum outcome { OUTCOME_ENDED, OUTCOME_BUSY, OUTCOME_LOST, OUTCOME_FAILED };

struct relay {
    struct relay_config config;
    struct interruptible_wait wait_state;
    pthread_t thread;
    _Atomic int state; /* enum relay_state */
    _Atomic int64_t lag_bytes;
    atomic_bool is_done;
    _Atomic int failures; /* in a row */

    /* Of the thread alone. */
    struct error_text reason;
    enum outcome last_outcome;
    bool has_outcome;
    bool is_ahead;           /* the last run found progress ahead of the WAL */
    struct error_text waits; /* what Kafka's operator has to mend, as it was logged; no text: nothing */
    unsigned int seed;
    struct wal_source source;
    struct relay_loop loop; /* of this run */
};

/* ---- state ---- */

static const char *const state_names[] = {"standby", "active", "slot_lost"};

static void relay_enter(struct relay *relay, enum relay_state next, const char *reason)
{
    enum relay_state before = relay_state(relay);
    atomic_store(&relay->state, (int)next);
    relay_metrics_state(next == RELAY_ACTIVE, next == RELAY_SLOT_LOST);
    if (before == next) return;
    LOG_INFO("relay state", LOG_STR("from", state_names[before]), LOG_STR("to", state_names[next]),
             LOG_STR("reason", reason));
}

static void set_lag(struct relay *relay, int64_t bytes)
{
    atomic_store_explicit(&relay->lag_bytes, bytes, memory_order_relaxed);
    relay_metrics_lag_bytes(bytes);
}

/* ---- one run ---- */

/* While Kafka is waited for, the server must go on hearing from us. */
static bool on_wait(void *ctx)
{
    struct relay *relay = ctx;
    return !interruptible_wait_is_stopping(&relay->wait_state) && wal_stream_tend(relay->loop.stream);
}

static int64_t lag_of(const struct wal_source *source)
{
    return source->server_end > source->confirmed ? (int64_t)(source->server_end - source->confirmed) : 0;
}

static enum outcome open_stream(struct relay *relay)
{
    const struct relay_config *config = &relay->config;
    enum wal_result opened = wal_stream_open(config->database_url, config->slot, &relay->wait_state, &relay->reason,
                                             &relay->source, &relay->loop.stream);
    if (opened != WAL_FAILED) set_lag(relay, opened == WAL_OK ? lag_of(&relay->source) : 0);
    switch (opened) {
    case WAL_OK: return OUTCOME_ENDED;
    case WAL_BUSY: return OUTCOME_BUSY;
    case WAL_LOST: return OUTCOME_LOST;
    default: return OUTCOME_FAILED;
    }
}

static void note_waiting(struct relay *relay)
{
    relay_metrics_waiting(true);
    if (strcmp(relay->waits.text, relay->reason.text) == 0) return;
    relay->waits = relay->reason;
    LOG_ERROR("relay waits: Kafka refuses the records until its configuration is corrected",
              LOG_STR("reason", relay->reason.text));
}

/* With the slot in hand: no other relay would fare better. */
static bool wait_for_operator(struct relay *relay)
{
    int64_t end_us = clock_steady_us() + (int64_t)WAITS_PAUSE_MS * 1000;
    note_waiting(relay);
    while (clock_steady_us() < end_us) {
        if (!on_wait(relay)) return false;
        interruptible_wait_sleep(&relay->wait_state, -1, 0, FAILED_PAUSE_MIN_MS);
    }
    return true;
}

static bool open_publisher(struct relay *relay)
{
    const struct publisher_config config = {
        .kafka = relay->config.kafka,
        .transactional_id = relay->config.transactional_id,
        .events_topic = relay->config.events_topic,
        .dead_letter_topic = relay->config.dead_letter_topic,
        .progress_topic = relay->config.progress_topic,
        .on_wait = on_wait,
        .ctx = relay,
    };
    do relay->loop.publisher = publisher_open(&config, &relay->reason);
    while (relay->loop.publisher == NULL && relay->reason.kind == ERROR_WAITS && wait_for_operator(relay));
    return relay->loop.publisher != NULL;
}

static enum outcome take_over(struct relay *relay, rd_kafka_t *client)
{
    struct takeover takeover = {.config = &relay->config,
                                .source = &relay->source,
                                .client = client,
                                .wait_state = &relay->wait_state,
                                .reason = &relay->reason,
                                .on_wait = on_wait,
                                .ctx = relay,
                                .was_ahead = relay->is_ahead};
    if (!takeover_hasten(&takeover) || !open_publisher(relay)) return OUTCOME_FAILED;
    struct takeover_point point = {0};
    enum takeover_end end = takeover_finish(&takeover, relay->loop.publisher, &point);
    relay->is_ahead = takeover.is_ahead;
    relay->loop.progress = point.progress;
    relay->loop.told = point.told;
    relay->loop.overlap = point.overlap;
    if (end == TAKEOVER_REFUSED) return OUTCOME_LOST;
    return end == TAKEOVER_DONE ? OUTCOME_ENDED : OUTCOME_FAILED;
}

static enum outcome relay_loop_until_end(struct relay *relay)
{
    char progress[LSN_TEXT_MAX];
    relay->loop.server_end = relay->source.server_end;
    relay->loop.seen = relay->source.confirmed;
    LOG_INFO("relay publishes", LOG_STR("source", relay->source.name), LOG_INT("timeline", relay->source.history.timeline),
             LOG_STR("progress", lsn_format(relay->loop.progress.lsn, progress)));
    relay_enter(relay, RELAY_ACTIVE, "took over");
    enum relay_loop_end end = relay_loop_run(&relay->loop);
    if (relay->loop.has_published) relay->failures = 0;
    if (relay->loop.has_published || relay->loop.was_idle) relay->waits.text[0] = '\0';
    if (end == RELAY_LOOP_LOST) return OUTCOME_LOST;
    return end == RELAY_LOOP_FAILED ? OUTCOME_FAILED : OUTCOME_ENDED;
}

/* A stream that has ended meanwhile says better why than what failed for it. */
static enum outcome outcome_of_failure(struct relay *relay)
{
    struct pgoutput message;
    struct error_text reason;
    enum wal_result result = wal_stream_read(relay->loop.stream, 0, &message, &reason);
    if (result == WAL_OK || result == WAL_NOTHING) return OUTCOME_FAILED;
    relay->reason = reason;
    return result == WAL_LOST ? OUTCOME_LOST : OUTCOME_FAILED;
}

/* The order matters: the slot first (whoever had it is gone or going), then the producer, which fences what that one still
 * has in flight, and only then progress, which nobody else can move any more. What reads progress connects meanwhile, but for a standby that
 * asks for the slot each second. */
static enum outcome open_and_take_over(struct relay *relay)
{
    rd_kafka_t *client = relay->last_outcome == OUTCOME_BUSY ? NULL : topic_client_new(relay->config.kafka);
    enum outcome outcome = open_stream(relay);
    if (outcome == OUTCOME_ENDED) {
        if (client == NULL) client = topic_client_new(relay->config.kafka);
        outcome = take_over(relay, client);
    }
    if (client != NULL) rd_kafka_destroy(client);
    return outcome;
}

static enum outcome run_once(struct relay *relay)
{
    relay->loop = (struct relay_loop){.wait_state = &relay->wait_state,
                                      .reason = &relay->reason,
                                      .database_url = relay->config.database_url,
                                      .progress_key = relay->source.name,
                                      .care = relay->loop.care,
                                      .events = &relay->config.events,
                                      .lag_bytes = &relay->lag_bytes};
    enum outcome outcome = open_and_take_over(relay);
    if (outcome == OUTCOME_ENDED) outcome = relay_loop_until_end(relay);
    else if (outcome == OUTCOME_FAILED && relay->loop.stream != NULL) outcome = outcome_of_failure(relay);
    overlap_done(&relay->loop.overlap);
    publisher_close(relay->loop.publisher);
    wal_stream_close(relay->loop.stream);
    return outcome;
}

/* ---- what follows a run ---- */

static int failed_pause_ms(struct relay *relay)
{
    int doublings = relay->failures < 6 ? relay->failures : 6;
    int pause_ms = FAILED_PAUSE_MIN_MS << doublings;
    if (pause_ms > FAILED_PAUSE_MAX_MS) pause_ms = FAILED_PAUSE_MAX_MS;
    relay->failures++;
    return pause_ms / 2 + rand_r(&relay->seed) % (pause_ms / 2);
}

static int on_busy(struct relay *relay)
{
    if (!relay->has_outcome || relay->last_outcome != OUTCOME_BUSY) {
        LOG_INFO("relay waits: the slot is in use", LOG_STR("reason", relay->reason.text));
    }
    relay->failures = 0;
    relay->is_ahead = false;
    relay_metrics_behind_since(0);
    relay_enter(relay, RELAY_STANDBY, "another relay works");
    return BUSY_PAUSE_MS;
}

static int on_lost(struct relay *relay)
{
    if (!relay->has_outcome || relay->last_outcome != OUTCOME_LOST) {
        LOG_ERROR("relay: THE REPLICATION SLOT IS LOST, events are not published. `schedule-service rebuild` creates the "
                  "slot and publishes events from the rows",
                  LOG_STR("slot", relay->config.slot), LOG_STR("reason", relay->reason.text));
    }
    relay_enter(relay, RELAY_SLOT_LOST, relay->reason.text);
    return LOST_PAUSE_MS;
}

static int on_failed(struct relay *relay)
{
    if (relay->reason.kind == ERROR_REFUSED) {
        LOG_WARN("relay: Kafka refuses a batch; its records are sent in smaller ones", LOG_STR("reason", relay->reason.text),
                 LOG_INT("records", relay->loop.care.records), LOG_INT("batch", relay->loop.care.batch));
        return 0;
    }
    if (relay->reason.kind == ERROR_SETUP) {
        LOG_DEBUG("relay waits for the database to be set up", LOG_STR("reason", relay->reason.text));
        relay_enter(relay, RELAY_STANDBY, relay->reason.text);
        return LOST_PAUSE_MS;
    }
    if (relay->reason.kind == ERROR_WAITS) {
        note_waiting(relay);
        relay_enter(relay, RELAY_STANDBY, relay->reason.text);
        return WAITS_PAUSE_MS;
    }
    int pause_ms = failed_pause_ms(relay);
    relay_metrics_restarted();
    LOG_WARN("relay restarts", LOG_STR("reason", relay->reason.text), LOG_INT("pause_ms", pause_ms));
    relay_enter(relay, RELAY_STANDBY, relay->reason.text);
    return pause_ms;
}

/* How long to wait before the next run. */
static int pause_after(struct relay *relay, enum outcome outcome)
{
    int pause_ms = 0;
    if (outcome == OUTCOME_BUSY) pause_ms = on_busy(relay);
    if (outcome == OUTCOME_LOST) pause_ms = on_lost(relay);
    if (outcome == OUTCOME_FAILED) pause_ms = on_failed(relay);
    relay->last_outcome = outcome;
    relay->has_outcome = true;
    return pause_ms;
}

/* Drained, or there is nothing that this relay could drain. */
static bool is_over(struct relay *relay, enum outcome outcome)
{
    if (interruptible_wait_is_stopping(&relay->wait_state) || outcome == OUTCOME_ENDED) return true;
    return interruptible_wait_is_draining(&relay->wait_state) && outcome != OUTCOME_FAILED;
}

static void pause_for(struct relay *relay, int pause_ms)
{
    int64_t end_us = clock_steady_us() + (int64_t)pause_ms * 1000;
    int64_t left_us = (int64_t)pause_ms * 1000;
    while (left_us > 0 && !interruptible_wait_is_stopping(&relay->wait_state) &&
           !interruptible_wait_is_draining(&relay->wait_state)) {
        interruptible_wait_sleep(&relay->wait_state, -1, 0, (int)(left_us / 1000) + 1);
        left_us = end_us - clock_steady_us();
    }
    if (interruptible_wait_is_draining(&relay->wait_state))
        interruptible_wait_sleep(&relay->wait_state, -1, 0, FAILED_PAUSE_MIN_MS);
}

static void *run(void *ctx)
{
    struct relay *relay = ctx;
    for (;;) {
        enum outcome outcome = run_once(relay);
        if (is_over(relay, outcome)) break;
        pause_for(relay, pause_after(relay, outcome));
    }
    relay_enter(relay, RELAY_STANDBY, "ended");
    atomic_store(&relay->is_done, true);
    return NULL;
}

/* ---- life cycle, from other threads ---- */

struct relay *relay_start(const struct relay_config *config)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL) return NULL;
    relay->config = *config;
    relay->seed = (unsigned int)clock_wall_us();
    atomic_init(&relay->state, RELAY_STANDBY);
    if (!interruptible_wait_init(&relay->wait_state)) {
        free(relay);
        return NULL;
    }
    if (thread_start(&relay->thread, run, relay)) return relay;
    interruptible_wait_done(&relay->wait_state);
    free(relay);
    return NULL;
}

enum relay_state relay_state(const struct relay *relay)
{
    return (enum relay_state)atomic_load(&relay->state);
}

int64_t relay_lag_bytes(const struct relay *relay)
{
    return atomic_load_explicit(&relay->lag_bytes, memory_order_relaxed);
}

void relay_degraded(const struct relay *relay, struct degraded *degraded)
{
    enum relay_state state = relay_state(relay);
    int64_t lag_us = relay_metrics_lag_us();
    if (state == RELAY_STANDBY && relay->failures > 0) {
        degraded_add(degraded, "the relay failed and restarts; the log has the cause");
    }
    if (state == RELAY_ACTIVE && lag_us >= degraded_after_us) {
        degraded_add(degraded, "the relay makes no progress: its oldest event waits for %" PRId64 " s", lag_us / 1000000);
    }
}

void relay_drain(struct relay *relay)
{
    interruptible_wait_drain(&relay->wait_state);
}

bool relay_is_done(const struct relay *relay)
{
    return atomic_load(&relay->is_done);
}

void relay_free(struct relay *relay)
{
    if (relay == NULL) return;
    interruptible_wait_stop(&relay->wait_state);
    pthread_join(relay->thread, NULL);
    interruptible_wait_done(&relay->wait_state);
    free(relay);
}
