/* Events once more: jobs of the kind `replay`, outside of the order, one at a time of all senders (an advisory lock says whose), and one request at
 * a time, so that they are slower than what is new. Owners take turns, so that nobody waits for one whose endpoint takes its time.
 *
 * Happy path: a job is taken -> where it begins and ends is looked up by time in each partition -> each event in between that the endpoint wants is
 * sent once -> where it is, is stored once a second -> at the ends of all partitions it is done. A job that begins at an event first looks for that one
 * from the beginning of the topic, for its time; where it is looked for is stored in the same way.
 *
 * Failure modes: an attempt that fails is counted, and the next event is sent; five in a row end the job. A sender that ends leaves the job to the next one,
 * which goes on from where it was stored. An endpoint that is gone ends it, and so does a topic that was made again since the job has begun. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/background.h"
#include "driver/clock.h"
#include "driver/kafka.h"
#include "driver/log.h"
#include "driver/pg_array.h"
#include "webhook/webhook_sender_state.h"

enum {
    FAILURES_MAX = 5,
    ASK_MS = 2000,
    STORE_EVERY_US = 1000000,
    TURN_US = 10000000,
    ARRAY_BYTES_MAX = 1 << 20,
    NUMBER_SIZE = 24,
    EVENT_ID_SIZE = 136,
    MESSAGES_EACH = 200,
    TICKS_ASK = 20
};

enum { END_SEARCHING = -1 }; /* of stored places: it looks for the event that it begins with */

struct place {
    int64_t next;
    int64_t end;
};

/* Where a job begins and ends in each partition. Kafka is asked by a thread, as that blocks. */
struct placing {
    rd_kafka_t *client;
    const char *topic;
    bool is_searching; /* for an event: from anywhere */
    int64_t from_ms;
    int64_t to_ms;
    bool ok;
    int32_t len;
    int64_t from[SENDER_PARTITIONS_MAX];
    int64_t to[SENDER_PARTITIONS_MAX];
};

struct replay {
    struct webhook_sender *sender;
    rd_kafka_t *client;
    struct endpoint *endpoint; /* NULL: there is no job */
    char job[UUID_TEXT_LEN + 1];
    char from_event[EVENT_ID_SIZE]; /* empty: its time is known */
    int64_t from_ms;
    int64_t to_ms;
    unsigned triggers;
    struct place places[SENDER_PARTITIONS_MAX];
    int32_t places_len;          /* partitions of the topic */
    struct webhook_event *event; /* at hand, and where it stands */
    int32_t event_partition;
    int64_t event_offset;
    struct http_client_request *request;
    int64_t delivered;
    int64_t failed;
    int failures; /* in a row */
    int status;
    const char *error;
    int64_t stored_us;
    int64_t turn_until_us;
    int64_t owner; /* whose turn it was last: a user, or an organization's number below 0 */
    bool is_asking;
    bool is_storing;
    bool is_storing_last; /* what is on its way is the last of this turn */
    bool is_leaving;      /* the turn is over: it is forgotten once that is stored */
    bool is_ended;
    bool has_failed;
    struct background *background; /* at work on placing; NULL: it is not */
    struct placing placing;
    bool is_member; /* the owner of the event at hand is one of the endpoint's organization */
};

static void go_on(struct replay *replay);
static void ask_job(struct replay *replay);

/* For the event that it begins with. */
static bool is_searching(const struct replay *replay)
{
    return replay->from_event[0] != '\0';
}

/* ---- storing ---- */

static void forget_job(struct replay *replay)
{
    if (replay->request != NULL) http_client_cancel(replay->request);
    replay->request = NULL;
    webhook_event_release(replay->event);
    replay->event = NULL;
    if (replay->endpoint != NULL) endpoint_release(replay->endpoint);
    replay->endpoint = NULL;
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
    struct webhook_sender *sender = replay->sender;
    struct pg_array arrays[3];
    char numbers[3][NUMBER_SIZE];
    static const enum pg_oid types[] = {PG_OID_INT4, PG_OID_INT8, PG_OID_INT8};
    if (replay->is_storing || !webhook_db_is_ready(sender->reads)) return;
    for (int i = 0; i < 3; i++) {
        buf_init(&arrays[i].bytes, ARRAY_BYTES_MAX);
        pg_array_start(&arrays[i], types[i]);
    }
    for (int32_t i = 0; i < replay->places_len; i++) {
        pg_array_add_int4(&arrays[0], i);
        bool is_at_hand = replay->event != NULL && i == replay->event_partition;
        pg_array_add_int8(&arrays[1], is_at_hand ? replay->event_offset : replay->places[i].next);
        pg_array_add_int8(&arrays[2], is_searching(replay) ? END_SEARCHING : replay->places[i].end);
    }
    snprintf(numbers[0], NUMBER_SIZE, "%" PRId64, replay->delivered);
    snprintf(numbers[1], NUMBER_SIZE, "%" PRId64, replay->failed);
    snprintf(numbers[2], NUMBER_SIZE, "%d", replay->status);
    const char *state = !replay->is_ended ? "running" : replay->has_failed ? "failed" : "done";
    const char *error = replay->error;
    const struct pg_param params[] = {
        {replay->job, UUID_TEXT_LEN, false},
        {state, (int)strlen(state), false},
        {numbers[0], (int)strlen(numbers[0]), false},
        {numbers[1], (int)strlen(numbers[1]), false},
        {replay->status == 0 ? NULL : numbers[2], (int)strlen(numbers[2]), false},
        {error, error == NULL ? 0 : (int)strlen(error), false},
        {sender->config->topic, (int)strlen(sender->config->topic), false},
        pg_array_param(&arrays[0]),
        pg_array_param(&arrays[1]),
        pg_array_param(&arrays[2]),
    };
    replay->is_storing = true;
    replay->is_storing_last = replay->is_leaving;
    replay->stored_us = clock_steady_us();
    webhook_db_begin(sender->reads, &ops, replay);
    webhook_db_send(sender->reads, "store_replay", params, 6);
    webhook_db_send(sender->reads, "store_places",
                    (struct pg_param[]){params[0], params[6], params[7], params[8], params[9]}, 5);
    webhook_db_end(sender->reads);
    for (int i = 0; i < 3; i++) buf_done(&arrays[i].bytes);
}

static void leave(struct replay *replay)
{
    replay->is_leaving = true;
    store(replay);
}

/* error: why it has failed; NULL: it has not. */
static void end(struct replay *replay, const char *error)
{
    if (replay->is_ended) return;
    replay->is_ended = true;
    replay->has_failed = error != NULL;
    if (error != NULL) replay->error = error;
    leave(replay);
}

/* ---- where it begins and ends ---- */

static bool count_partitions(struct placing *placing)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(placing->client, placing->topic, NULL);
    if (topic == NULL) return false;
    bool ok = rd_kafka_metadata(placing->client, 0, topic, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR &&
              metadata->topic_cnt == 1;
    if (ok)
        placing->len = metadata->topics[0].partition_cnt < SENDER_PARTITIONS_MAX ? metadata->topics[0].partition_cnt
                                                                                 : SENDER_PARTITIONS_MAX;
    if (metadata != NULL) rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    return ok && placing->len > 0;
}

/* The offsets of a time: of the first message that is not older; the end of the partition where there is none. */
static bool offsets_at(const struct placing *placing, int64_t at_ms, int64_t *ret_offsets)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(placing->len);
    for (int32_t i = 0; i < placing->len; i++) rd_kafka_topic_partition_list_add(list, placing->topic, i)->offset = at_ms;
    bool ok = rd_kafka_offsets_for_times(placing->client, list, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int32_t i = 0; ok && i < placing->len; i++) {
        int64_t low = 0;
        int64_t high = list->elems[i].offset;
        if (high < 0) {
            ok = rd_kafka_query_watermark_offsets(placing->client, placing->topic, i, &low, &high, ASK_MS) ==
                 RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        ret_offsets[i] = high;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

static void look_up(void *ctx)
{
    struct placing *placing = &((struct replay *)ctx)->placing;
    placing->ok = count_partitions(placing) && offsets_at(placing, placing->to_ms, placing->to) &&
                  (placing->is_searching || offsets_at(placing, placing->from_ms, placing->from));
}

static void assign(struct replay *replay)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(replay->places_len);
    for (int32_t i = 0; i < replay->places_len; i++) {
        if (replay->places[i].next >= replay->places[i].end) continue;
        rd_kafka_topic_partition_list_add(list, replay->sender->config->topic, i)->offset =
            replay->places[i].next == 0 ? RD_KAFKA_OFFSET_BEGINNING : replay->places[i].next;
    }
    kafka_assign(replay->client, list->cnt == 0 ? NULL : list);
    rd_kafka_topic_partition_list_destroy(list);
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
        int64_t searched = i < replay->places_len ? replay->places[i].next : 0;
        replay->places[i] = (struct place){placing->is_searching ? searched : placing->from[i], placing->to[i]};
    }
    replay->places_len = placing->len;
    assign(replay);
}

static void place(struct replay *replay)
{
    struct placing *placing = &replay->placing;
    *placing = (struct placing){.client = replay->client,
                                .topic = replay->sender->config->topic,
                                .is_searching = is_searching(replay),
                                .from_ms = replay->from_ms,
                                .to_ms = replay->to_ms};
    background_start(&replay->background, replay->sender->base, look_up, on_placed, replay);
    if (replay->background == NULL) forget_job(replay);
}

/* ---- events ---- */

static void on_answer(void *ctx, const struct http_client_answer *answer)
{
    struct replay *replay = ctx;
    bool is_success = answer->error == NULL && answer->status >= 200 && answer->status < 300;
    sender_count_attempt(answer);
    replay->request = NULL;
    replay->delivered += is_success;
    replay->failed += !is_success;
    replay->failures = is_success ? 0 : replay->failures + 1;
    replay->status = answer->status;
    replay->error = is_success ? NULL : answer->error == NULL ? "status" : answer->error;
    webhook_event_release(replay->event);
    replay->event = NULL;
    if (replay->failures >= FAILURES_MAX) end(replay, replay->error);
    go_on(replay);
}

static void send_event(struct replay *replay)
{
    const char *error = NULL;
    const struct webhook_message message = {
        .id = replay->event->id,
        .traceparent = replay->event->traceparent,
        .replay = {replay->job, UUID_TEXT_LEN},
        .body = webhook_event_body(replay->event, replay->endpoint->format),
    };
    if (message.body.data == NULL) error = "memory";
    else if (webhook_post(replay->sender, replay->endpoint, &message, on_answer, replay, &replay->request, &error)) return;
    on_answer(replay, &(struct http_client_answer){.error = error == NULL ? "memory" : error});
}

static void on_members(void *ctx, const PGresult *rows, int statement)
{
    struct replay *replay = ctx;
    (void)statement;
    for (int row = 0; row < PQntuples(rows); row++) {
        if (strtoll(PQgetvalue(rows, row, 1), NULL, 10) == replay->endpoint->owner_id) replay->is_member = true;
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
    webhook_event_release(replay->event);
    replay->event = NULL;
    go_on(replay);
}

static void ask_members(struct replay *replay)
{
    static const struct webhook_db_ops ops = {on_members, on_members_asked};
    struct webhook_sender *sender = replay->sender;
    struct pg_array users;
    if (!webhook_db_is_ready(sender->reads)) {
        forget_job(replay);
        return;
    }
    buf_init(&users.bytes, ARRAY_BYTES_MAX);
    pg_array_start(&users, PG_OID_INT8);
    pg_array_add_int8(&users, replay->event->owner_id);
    replay->is_asking = true;
    replay->is_member = false;
    const struct pg_param params[] = {pg_array_param(&users)};
    webhook_db_begin(sender->reads, &ops, replay);
    webhook_db_send(sender->reads, "members", params, 1);
    webhook_db_end(sender->reads);
    buf_done(&users.bytes);
}

/* Takes the event when the endpoint's owner may see it, as far as that is known without asking. */
static bool is_wanted(const struct replay *replay, const struct webhook_event *event)
{
    const struct endpoint *endpoint = replay->endpoint;
    if (!(replay->triggers & 1U << event->type)) return false;
    if (endpoint->is_of_user) return event->owner_id == endpoint->owner_id;
    return event->org_id == 0 || event->org_id == endpoint->owner_id;
}

/* The event that the job begins with: from its time on, all is sent. */
static void on_found(struct replay *replay, int64_t at_ms)
{
    replay->from_event[0] = '\0';
    replay->from_ms = at_ms;
    place(replay);
}

static void on_message(struct replay *replay, const rd_kafka_message_t *message)
{
    struct record record;
    rd_kafka_timestamp_type_t type;
    struct webhook_event *event = NULL;
    if (message->payload == NULL) return;
    webhook_read_record(message, &record);
    if (is_searching(replay)) {
        if (slice_equal(record_header(&record, SLICE("ce_id")), slice_of(replay->from_event))) {
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
    replay->event_offset = message->offset;
}

static bool is_over(const struct replay *replay)
{
    for (int32_t i = 0; i < replay->places_len; i++) {
        if (replay->places[i].next < replay->places[i].end) return false;
    }
    return true;
}

static void take(struct replay *replay, const rd_kafka_message_t *message)
{
    struct place *at =
        message->partition >= 0 && message->partition < replay->places_len ? &replay->places[message->partition] : NULL;
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
    if (replay->endpoint == NULL || replay->request != NULL || replay->is_asking || replay->background != NULL ||
        replay->is_leaving)
        return;
    if (is_turn_over(replay)) {
        leave(replay);
        return;
    }
    for (int i = 0; i < MESSAGES_EACH && replay->event == NULL && replay->background == NULL && !replay->is_ended; i++) {
        if (replay->endpoint->is_gone || is_over(replay)) {
            end(replay, is_searching(replay) ? "event not found" : NULL);
            return;
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(replay->client, 0);
        if (message == NULL) return;
        take(replay, message);
        rd_kafka_message_destroy(message);
    }
    if (replay->event == NULL) return;
    bool is_personal = !replay->endpoint->is_of_user && replay->event->org_id == 0;
    if (is_personal) ask_members(replay);
    else send_event(replay);
}

/* ---- taking a job ---- */

enum {
    JOB_ID,
    JOB_WEBHOOK,
    JOB_FROM,
    JOB_EVENT,
    JOB_TO,
    JOB_TRIGGERS,
    JOB_DELIVERED,
    JOB_FAILED,
    JOB_PARTITION,
    JOB_NEXT,
    JOB_END
};

static void on_job(struct replay *replay, const PGresult *rows)
{
    struct uuid id;
    if (PQntuples(rows) == 0 || !webhook_db_uuid(rows, 0, JOB_WEBHOOK, &id)) return;
    struct endpoint *endpoint = endpoints_find(replay->sender->endpoints, &id);
    if (endpoint == NULL) return;
    replay->endpoint = endpoint;
    endpoint->references++;
    snprintf(replay->job, sizeof(replay->job), "%s", PQgetvalue(rows, 0, JOB_ID));
    snprintf(replay->from_event, sizeof(replay->from_event), "%s", PQgetvalue(rows, 0, JOB_EVENT));
    replay->from_ms = webhook_db_number(rows, 0, JOB_FROM);
    replay->to_ms = webhook_db_number(rows, 0, JOB_TO);
    replay->triggers =
        PQgetisnull(rows, 0, JOB_TRIGGERS) ? endpoint->triggers : webhook_triggers_of(PQgetvalue(rows, 0, JOB_TRIGGERS));
    replay->delivered = webhook_db_number(rows, 0, JOB_DELIVERED);
    replay->failed = webhook_db_number(rows, 0, JOB_FAILED);
    replay->failures = replay->status = 0;
    replay->error = NULL;
    replay->is_ended = replay->has_failed = replay->is_leaving = false;
    replay->places_len = 0;
    replay->owner = endpoint->is_of_user ? endpoint->owner_id : -endpoint->owner_id;
    replay->turn_until_us = clock_steady_us() + TURN_US;
}

/* Where the turn before this one ended. */
static void on_places(struct replay *replay, const PGresult *rows)
{
    bool is_found = webhook_db_number(rows, 0, JOB_END) != END_SEARCHING;
    for (int row = 0; row < PQntuples(rows); row++) {
        int64_t partition = webhook_db_number(rows, row, JOB_PARTITION);
        if (partition < 0 || partition >= SENDER_PARTITIONS_MAX) continue;
        replay->places[partition] =
            (struct place){webhook_db_number(rows, row, JOB_NEXT), webhook_db_number(rows, row, JOB_END)};
        if (partition >= replay->places_len) replay->places_len = (int32_t)partition + 1;
    }
    if (!is_found) return;
    replay->from_event[0] = '\0';
    assign(replay);
}

static void on_job_rows(void *ctx, const PGresult *rows, int statement)
{
    struct replay *replay = ctx;
    (void)statement;
    on_job(replay, rows);
    if (replay->endpoint != NULL && !PQgetisnull(rows, 0, JOB_PARTITION)) on_places(replay, rows);
}

static void on_job_asked(void *ctx, bool is_stored, const char *sqlstate)
{
    struct replay *replay = ctx;
    (void)sqlstate;
    replay->is_asking = false;
    if (replay->endpoint == NULL) return;
    if (!is_stored) forget_job(replay); /* it is taken again */
    else if (replay->places_len == 0 || is_searching(replay)) place(replay);
}

static void ask_job(struct replay *replay)
{
    static const struct webhook_db_ops ops = {on_job_rows, on_job_asked};
    struct webhook_sender *sender = replay->sender;
    char revision[NUMBER_SIZE];
    char owner[NUMBER_SIZE];
    if (!sender->are_endpoints_known || !webhook_db_is_ready(sender->reads)) return;
    snprintf(revision, sizeof(revision), "%" PRId64, sender->revision);
    snprintf(owner, sizeof(owner), "%" PRId64, replay->owner);
    const struct pg_param params[] = {webhook_db_text_param(revision), webhook_db_text_param(owner),
                                      webhook_db_text_param(sender->config->topic)};
    replay->is_asking = true;
    webhook_db_begin(sender->reads, &ops, replay);
    webhook_db_send(sender->reads, "replay", params, 3);
    webhook_db_end(sender->reads);
}

void sender_mind_replay(struct webhook_sender *sender)
{
    struct replay *replay = sender->replay;
    if (replay->is_asking || replay->background != NULL) return;
    if (replay->endpoint == NULL) {
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
