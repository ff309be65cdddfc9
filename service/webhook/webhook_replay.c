/* Events once more: jobs of the kind `replay`, outside of the order, one at a time of all senders (an advisory lock says whose), and one request at
 * a time, so that they are slower than what is new. Owners take turns, so that nobody waits for one whose endpoint takes its time.
 *
 * Happy path: a job is taken -> where it begins and ends is looked up by time in each partition -> each event in between that the endpoint wants is
 * sent once -> where it is, is stored once a second -> at the ends of all partitions it is done. A job that begins at an event first looks for that one
 * from the beginning of the topic, for its time; where it is looked for is stored in the same way.
 *
 * Failure modes: an attempt that fails is counted, and the next event is sent; five in a row end the job. A sender that ends leaves the job to the next one,
 * which goes on from where it was stored. An endpoint that is gone ends it, and so does a topic that was made again since the job has begun. */
#include <stdlib.h>

#include "driver/background.h"
#include "driver/clock.h"
#include "driver/kafka.h"
#include "webhook/webhook_parameters.h"
#include "webhook/webhook_placing.h"
#include "webhook/webhook_replay_job.h"

enum { FAILURES_MAX = 5, STORE_EVERY_US = 1000000, TURN_US = 10000000, MESSAGES_EACH = 200, TICKS_ASK = 20 };

struct replay {
    struct webhook_sender *sender;
    rd_kafka_t *client;
    struct replay_job job;
    struct webhook_event *event; /* at hand, and where it stands */
    int32_t event_partition;
    int64_t event_offset;
    struct http_client_request *request;
    int failures; /* in a row */
    int64_t stored_us;
    int64_t turn_until_us;
    int64_t owner; /* whose turn it was last: a user, or an organization's number below 0 */
    bool is_asking;
    bool is_storing;
    bool is_storing_last;          /* what is on its way is the last of this turn */
    bool is_leaving;               /* the turn is over: it is forgotten once that is stored */
    struct background *background; /* at work on placing; NULL: it is not */
    struct placing placing;
    bool is_member; /* the owner of the event at hand is one of the endpoint's organization */
};

static void go_on(struct replay *replay);
static void ask_job(struct replay *replay);

/* ---- storing ---- */

static void forget_job(struct replay *replay)
{
    if (replay->request != NULL) http_client_cancel(replay->request);
    replay->request = NULL;
    webhook_event_release(replay->event);
    replay->event = NULL;
    if (replay->job.endpoint != NULL) endpoint_release(replay->job.endpoint);
    replay->job.endpoint = NULL;
    if (replay->client != NULL) kafka_assign(replay->client, NULL);
}

static void on_stored(void *ctx, bool is_stored, const char *sqlstate)
{
    struct replay *replay = ctx;
    (void)sqlstate;
    replay->is_storing = false;
    if (!is_stored || !replay->is_storing_last) return;
    forget_job(replay);
    ask_job(replay);
}

static void store(struct replay *replay)
{
    static const struct webhook_db_ops ops = {NULL, on_stored};
    struct webhook_db *db = replay->sender->reads;
    if (replay->is_storing || !webhook_db_is_ready(db)) return;
    replay->is_storing = true;
    replay->is_storing_last = replay->is_leaving;
    replay->stored_us = clock_steady_us();
    webhook_db_begin(db, &ops, replay);
    replay_job_send(replay->sender, &replay->job);
    webhook_db_end(db);
}

static void leave(struct replay *replay)
{
    replay->is_leaving = true;
    store(replay);
}

/* error: why it has failed; NULL: it has not. */
static void end(struct replay *replay, const char *error)
{
    if (replay->job.is_ended) return;
    replay->job.is_ended = true;
    replay->job.has_failed = error != NULL;
    if (error != NULL) replay->job.error = error;
    leave(replay);
}

/* ---- where it begins and ends ---- */

static void assign(struct replay *replay)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(replay->job.places_len);
    for (int32_t i = 0; i < replay->job.places_len; i++) {
        if (replay->job.places[i].next >= replay->job.places[i].end) continue;
        rd_kafka_topic_partition_list_add(list, replay->sender->config->topic, i)->offset =
            replay->job.places[i].next == 0 ? RD_KAFKA_OFFSET_BEGINNING : replay->job.places[i].next;
    }
    kafka_assign(replay->client, list->cnt == 0 ? NULL : list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void look_up(void *ctx)
{
    placing_look_up(&((struct replay *)ctx)->placing);
}

/* Kafka away: the job is taken again. */
static void on_placed(void *ctx)
{
    struct replay *replay = ctx;
    const struct placing *placing = &replay->placing;
    if (!placing->ok) {
        forget_job(replay);
        return;
    }
    for (int32_t i = 0; i < placing->len; i++) {
        int64_t searched = i < replay->job.places_len ? replay->job.places[i].next : 0;
        replay->job.places[i] = (struct replay_place){placing->is_from_asked ? placing->from[i] : searched, placing->to[i]};
    }
    replay->job.places_len = placing->len;
    assign(replay);
}

static void place(struct replay *replay)
{
    struct placing *placing = &replay->placing;
    *placing = (struct placing){.client = replay->client,
                                .topic = replay->sender->config->topic,
                                .is_from_asked = !replay_job_is_searching(&replay->job),
                                .from_ms = replay->job.from_ms,
                                .to_ms = replay->job.to_ms};
    background_start(&replay->background, replay->sender->base, look_up, on_placed, replay);
    if (replay->background == NULL) forget_job(replay);
}

/* ---- events ---- */

/* It is sent, or not wanted after all. */
static void finish_event(struct replay *replay)
{
    webhook_event_release(replay->event);
    replay->event = NULL;
    replay->job.places[replay->event_partition].next = replay->event_offset + 1;
}

static void on_answer(void *ctx, const struct http_client_answer *answer)
{
    struct replay *replay = ctx;
    bool is_success = answer->error == NULL && answer->status >= 200 && answer->status < 300;
    sender_count_attempt(answer);
    replay->request = NULL;
    replay->job.delivered += is_success;
    replay->job.failed += !is_success;
    replay->failures = is_success ? 0 : replay->failures + 1;
    replay->job.status = answer->status;
    replay->job.error = is_success ? NULL : answer->error == NULL ? "status" : answer->error;
    finish_event(replay);
    if (replay->failures >= FAILURES_MAX) end(replay, replay->job.error);
    go_on(replay);
}

static void send_event(struct replay *replay)
{
    const char *error = NULL;
    const struct webhook_message message = {
        .id = replay->event->id,
        .traceparent = replay->event->traceparent,
        .replay = {replay->job.id, UUID_TEXT_LEN},
        .body = webhook_event_body(replay->event, replay->job.endpoint->format),
    };
    if (message.body.data == NULL) error = "memory";
    else if (webhook_post(replay->sender, replay->job.endpoint, &message, on_answer, replay, &replay->request, &error))
        return;
    on_answer(replay, &(struct http_client_answer){.error = error == NULL ? "memory" : error});
}

static void on_members(void *ctx, const PGresult *rows, int statement)
{
    struct replay *replay = ctx;
    (void)statement;
    for (int row = 0; row < PQntuples(rows); row++) {
        if (strtoll(PQgetvalue(rows, row, 1), NULL, 10) == replay->job.endpoint->owner_id) replay->is_member = true;
    }
}

static void on_members_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct replay *replay = ctx;
    (void)sqlstate;
    replay->is_asking = false;
    if (replay->event == NULL) return;
    if (!is_stored) {
        forget_job(replay); /* it is taken again, from where it was stored */
        return;
    }
    if (replay->is_member) {
        send_event(replay);
        return;
    }
    finish_event(replay);
    go_on(replay);
}

static void ask_members(struct replay *replay)
{
    static const struct webhook_db_ops ops = {on_members, on_members_asked};
    static const enum pg_oid types[] = {PG_OID_INT8};
    struct webhook_db *db = replay->sender->reads;
    struct webhook_parameters users;
    if (!webhook_db_is_ready(db)) {
        forget_job(replay);
        return;
    }
    webhook_parameters_start(&users, types, 1);
    pg_array_add_int8(&users.arrays[0], replay->event->owner_id);
    replay->is_asking = true;
    replay->is_member = false;
    webhook_db_begin(db, &ops, replay);
    webhook_parameters_send(db, "members", NULL, &users, 0);
    webhook_db_end(db);
}

/* Takes the event when the endpoint's owner may see it, as far as that is known without asking. */
static bool is_wanted(const struct replay *replay, const struct webhook_event *event)
{
    const struct endpoint *endpoint = replay->job.endpoint;
    if (!(replay->job.triggers & 1U << event->type)) return false;
    if (endpoint->is_of_user) return event->owner_id == endpoint->owner_id;
    return event->org_id == 0 || event->org_id == endpoint->owner_id;
}

/* The event that the job begins with: from its time on, all is sent. */
static void on_found(struct replay *replay, int64_t at_ms)
{
    replay->job.from_event[0] = '\0';
    replay->job.from_ms = at_ms;
    place(replay);
}

static void on_message(struct replay *replay, const rd_kafka_message_t *message)
{
    struct record record;
    rd_kafka_timestamp_type_t type;
    struct webhook_event *event = NULL;
    if (message->payload == NULL) return;
    webhook_read_record(message, &record);
    if (replay_job_is_searching(&replay->job)) {
        if (slice_equal(record_header(&record, SLICE("ce_id")), slice_of(replay->job.from_event))) {
            on_found(replay, rd_kafka_message_timestamp(message, &type));
        }
        return;
    }
    if (!webhook_event_is_wanted(&record) || webhook_event_new(&record, &event) != STATUS_OK) return;
    if (!is_wanted(replay, event)) {
        webhook_event_release(event);
        return;
    }
    replay->event = event;
    replay->event_partition = message->partition;
    replay->event_offset = replay->job.places[message->partition].next = message->offset;
}

static bool is_over(const struct replay *replay)
{
    for (int32_t i = 0; i < replay->job.places_len; i++) {
        if (replay->job.places[i].next < replay->job.places[i].end) return false;
    }
    return true;
}

static void take(struct replay *replay, const rd_kafka_message_t *message)
{
    struct replay_place *at = message->partition >= 0 && message->partition < replay->job.places_len
                                  ? &replay->job.places[message->partition]
                                  : NULL;
    if (at == NULL || at->next >= at->end) return;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && message->offset < at->next) {
        end(replay, "topic made again"); /* it ends before where this has been */
    } else if (message->offset < at->next) {
        return;
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        at->next = message->offset > at->end ? message->offset : at->end; /* what comes later is not of it */
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset >= at->end) {
        at->next = at->end;
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        at->next = message->offset + 1;
        on_message(replay, message);
    }
}

/* Failures in a row are counted to their end. */
static bool is_turn_over(const struct replay *replay)
{
    return replay->failures == 0 && clock_steady_us() >= replay->turn_until_us;
}

/* Up to the next event that is sent, or as far as there is something now. */
static void go_on(struct replay *replay)
{
    if (replay->job.endpoint == NULL || replay->request != NULL || replay->is_asking || replay->background != NULL ||
        replay->is_leaving)
        return;
    if (is_turn_over(replay)) {
        leave(replay);
        return;
    }
    for (int i = 0; i < MESSAGES_EACH && replay->event == NULL && replay->background == NULL && !replay->job.is_ended; i++) {
        if (replay->job.endpoint->is_gone || is_over(replay)) {
            end(replay, replay_job_is_searching(&replay->job) ? "event not found" : NULL);
            return;
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(replay->client, 0);
        if (message == NULL) return;
        take(replay, message);
        rd_kafka_message_destroy(message);
    }
    if (replay->event == NULL) return;
    bool is_personal = !replay->job.endpoint->is_of_user && replay->event->org_id == 0;
    if (is_personal) ask_members(replay);
    else send_event(replay);
}

/* ---- taking a job ---- */

static void on_job_rows(void *ctx, const PGresult *rows, int statement)
{
    struct replay *replay = ctx;
    (void)statement;
    replay_job_read(&replay->job, replay->sender, rows);
}

static void begin_turn(struct replay *replay)
{
    const struct endpoint *endpoint = replay->job.endpoint;
    replay->owner = endpoint->is_of_user ? endpoint->owner_id : -endpoint->owner_id;
    replay->turn_until_us = clock_steady_us() + TURN_US;
    replay->failures = 0;
    replay->is_leaving = false;
    if (replay->job.places_len == 0 || replay_job_is_searching(&replay->job)) place(replay);
    else assign(replay);
}

static void on_job_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct replay *replay = ctx;
    (void)sqlstate;
    replay->is_asking = false;
    if (replay->job.endpoint == NULL) return;
    if (is_stored) begin_turn(replay);
    else forget_job(replay); /* it is taken again */
}

static void ask_job(struct replay *replay)
{
    static const struct webhook_db_ops ops = {on_job_rows, on_job_asked};
    struct webhook_sender *sender = replay->sender;
    if (!sender->are_endpoints_known || !webhook_db_is_ready(sender->reads)) return;
    replay->is_asking = true;
    webhook_db_begin(sender->reads, &ops, replay);
    replay_job_ask(sender, replay->owner);
    webhook_db_end(sender->reads);
}

void sender_mind_replay(struct webhook_sender *sender)
{
    struct replay *replay = sender->replay;
    if (replay->is_asking || replay->background != NULL) return;
    if (replay->job.endpoint == NULL) {
        if (sender->ticks % TICKS_ASK == 0) ask_job(replay);
        return;
    }
    if (replay->is_leaving || clock_steady_us() - replay->stored_us >= STORE_EVERY_US) store(replay);
    go_on(replay);
}

bool sender_start_replay(struct webhook_sender *sender)
{
    sender->replay = calloc(1, sizeof(*sender->replay));
    if (sender->replay == NULL) return false;
    sender->replay->sender = sender;
    sender->replay->client = sender_consumer_new(sender, "earliest");
    return sender->replay->client != NULL;
}

void sender_stop_replay(struct webhook_sender *sender)
{
    struct replay *replay = sender->replay;
    if (replay == NULL) return;
    background_free(replay->background);
    forget_job(replay);
    if (replay->client != NULL) {
        rd_kafka_consumer_close(replay->client);
        rd_kafka_destroy(replay->client);
    }
    free(replay);
}
