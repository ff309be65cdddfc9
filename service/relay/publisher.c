#include "relay/publisher_state.h"

#include <unistd.h>

#include "codec/dead_letter.h"
#include "core/smaller.h"
#include "driver/clock.h"
#include "driver/failpoint.h"

enum {
    REST_MAX_US = 20000,
    DRAIN_RECORDS = 1000, /* a transaction of so many has more behind it */
    DRAIN_REST_US = 50000,
    DELIVER_TIMEOUT_US = 40000000, /* behind message.timeout.ms, which normally ends the wait */
    WINDOW_BYTES_MIN = 1 << 18,
    WINDOW_BYTES_MAX = 1 << 24,
    WINDOW_FAST_US = 500000,
    WINDOW_SLOW_US = 2000000,
};

_Static_assert((int)DEAD_LETTER_BYTES_MAX <= (int)PUBLISHER_RECORD_MAX, "a dead letter can be published");

/* ---- failing and waiting ---- */

static bool fail_as(struct publisher *publisher, enum error_kind kind, const char *doing, const char *text)
{
    if (!publisher->failed) {
        error_text_set(publisher->reason, "%s: %s", doing, text);
        publisher->reason->kind = kind;
    }
    publisher->failed = true;
    return false;
}

bool publisher_fail(struct publisher *publisher, const char *doing, const char *text)
{
    return fail_as(publisher, ERROR_FAILED, doing, text);
}

/* A record's size and form are its own and stay as they are. What else a broker refuses is a matter of its settings, its disks or a
 * clock, and would hit any record. */
static enum error_kind kind_of(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD: return ERROR_REFUSED;
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR: return ERROR_WAITS;
    default: return ERROR_FAILED;
    }
}

bool publisher_fail_by(struct publisher *publisher, const char *doing, rd_kafka_resp_err_t error)
{
    return fail_as(publisher, kind_of(error), doing, rd_kafka_err2str(error));
}

bool publisher_fail_with(struct publisher *publisher, const char *doing, rd_kafka_error_t *error)
{
    fail_as(publisher, kind_of(rd_kafka_error_code(error)), doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return false;
}

/* Called from within our own calls to rd_kafka_poll and _flush. Of a record of progress there is nothing less. */
void publisher_on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *ctx)
{
    (void)producer;
    struct publisher *publisher = ctx;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const char *topic = message->rkt == NULL ? "a record" : rd_kafka_topic_name(message->rkt);
    enum error_kind kind = kind_of(message->err);
    if (kind == ERROR_REFUSED && strcmp(topic, publisher->config.progress_topic) == 0) kind = ERROR_WAITS;
    fail_as(publisher, kind, topic, rd_kafka_err2str(message->err));
}

bool publisher_wait(struct publisher *publisher, int64_t deadline_us, const char *doing)
{
    if (publisher->failed) return false;
    if (clock_steady_us() >= deadline_us) return publisher_fail(publisher, doing, "Kafka did not answer in time");
    return publisher->config.on_wait(publisher->config.ctx) || publisher_fail(publisher, doing, "interrupted");
}

/* ---- transactions ---- */

/* As long as the last transaction took: what one costs Kafka and librdkafka hardly depends on how much it carries. In a drain only throughput
 * counts. */
static void start_rest(struct publisher *publisher)
{
    int64_t now_us = clock_steady_us();
    int64_t took_us = now_us - publisher->begin_us;
    int64_t rest_us = took_us < REST_MAX_US ? took_us : REST_MAX_US;
    publisher->rest_end_us = now_us + (publisher->records < DRAIN_RECORDS ? rest_us : DRAIN_REST_US);
}

static void rest(const struct publisher *publisher)
{
    int64_t left_us = publisher->rest_end_us - clock_steady_us();
    if (left_us > 0) usleep((useconds_t)left_us);
}

bool publisher_begin_transaction(struct publisher *publisher)
{
    if (publisher->failed) return false;
    if (publisher->turn->in_transaction) return true;
    rest(publisher);
    rd_kafka_error_t *error = rd_kafka_begin_transaction(publisher->turn->client);
    if (error != NULL) return publisher_fail_with(publisher, "beginning a transaction", error);
    publisher->turn->in_transaction = true;
    publisher->begin_us = clock_steady_us();
    publisher->records = 0;
    if (publisher->is_final) publisher->closed_before = atomic_load(&publisher->connections_closed);
    publisher->is_final = false;
    return true;
}

bool publisher_has_stayed_connected(struct publisher *publisher)
{
    if (atomic_load(&publisher->connections_closed) == publisher->closed_before) return true;
    return publisher_fail(publisher, "the last transactions",
                          "a connection to Kafka was closed meanwhile, so it is not known what became of them");
}

bool publisher_deliver(struct publisher *publisher)
{
    int64_t deadline_us = clock_steady_us() + DELIVER_TIMEOUT_US;
    while (rd_kafka_flush(publisher->turn->client, PUBLISHER_SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!publisher_wait(publisher, deadline_us, "delivering")) return false;
    }
    return !publisher->failed;
}

void publisher_take_turns(struct publisher *publisher)
{
    size_t number = (size_t)(publisher->turn - publisher->producers);
    publisher->turn = &publisher->producers[(number + 1) % PUBLISHER_PRODUCERS];
}

/* ---- publishing ---- */

static bool add_headers(rd_kafka_headers_t *headers, const struct record *record)
{
    for (size_t i = 0; i < record->headers_len; i++) {
        const struct record_header *header = &record->headers[i];
        if (rd_kafka_header_add(headers, header->name.data, (ssize_t)header->name.len, header->value.data,
                                (ssize_t)header->value.len) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return false;
        }
    }
    return true;
}

/* Waits while the queue is full; takes the headers in every case. A record that the empty queue has no room for is too large. */
static bool enqueue(struct publisher *publisher, rd_kafka_topic_t *topic, struct slice key, struct slice value,
                    rd_kafka_headers_t *headers)
{
    int64_t deadline_us = clock_steady_us() + DELIVER_TIMEOUT_US;
    bool is_empty = false;
    rd_kafka_resp_err_t error;
    while (
        (error = rd_kafka_producev(publisher->turn->client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                   RD_KAFKA_V_KEY(key.data, key.len), RD_KAFKA_V_VALUE((void *)value.data, value.len),
                                   RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        if (is_empty) error = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        if (is_empty || !publisher_wait(publisher, deadline_us, "queueing a record")) break;
        rd_kafka_poll(publisher->turn->client, PUBLISHER_SLICE_MS);
        is_empty = rd_kafka_outq_len(publisher->turn->client) == 0;
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    rd_kafka_headers_destroy(headers);
    rd_kafka_poll(publisher->turn->client, PUBLISHER_SLICE_MS); /* a delivery that failed says more */
    return publisher_fail_by(publisher, rd_kafka_topic_name(topic), error);
}

static bool send_to(struct publisher *publisher, rd_kafka_topic_t *topic, const struct record *record)
{
    if (!publisher_begin_transaction(publisher)) return false;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->headers_len);
    if (!add_headers(headers, record)) {
        rd_kafka_headers_destroy(headers);
        return publisher_fail(publisher, rd_kafka_topic_name(topic), "a header was refused");
    }
    return enqueue(publisher, topic, record->key, record->value, headers);
}

bool publisher_begin(struct publisher *publisher, struct slice progress_key, const struct progress *progress)
{
    char text[PROGRESS_TEXT_MAX];
    struct record record;
    progress_encode(progress, progress_key, text, &record);
    return send_to(publisher, publisher->turn->progress, &record);
}

/* The slower Kafka is, the less is queued: what a transaction has queued when it is to end must be delivered before Kafka gives it up. */
static bool deliver_window(struct publisher *publisher)
{
    if (!publisher_deliver(publisher)) return false;
    int64_t took_us = clock_steady_us() - publisher->queued_us;
    if (took_us < WINDOW_FAST_US && publisher->window_bytes < WINDOW_BYTES_MAX) publisher->window_bytes *= 2;
    if (took_us > WINDOW_SLOW_US && publisher->window_bytes > WINDOW_BYTES_MIN) publisher->window_bytes /= 2;
    publisher->queued_bytes = 0;
    return true;
}

bool publisher_send(struct publisher *publisher, const struct record *record)
{
    if (publisher->queued_bytes >= publisher->window_bytes && !deliver_window(publisher)) return false;
    if (publisher->queued_bytes == 0) publisher->queued_us = clock_steady_us();
    publisher->queued_bytes += record_wire_bytes(record);
    publisher->records++;
    const struct producer *turn = publisher->turn;
    return send_to(publisher, record->topic == RECORD_EVENT ? turn->events : turn->dead_letters, record);
}

size_t publisher_room(const struct publisher *publisher, enum record_topic topic)
{
    return topic == RECORD_EVENT ? publisher->events_room : publisher->dead_letters_room;
}

/* With a new producer, as with librdkafka 2.0.2 a refused record leaves a gap in the numbers by which the broker knows the next ones. */
static bool drop_transaction(struct publisher *publisher)
{
    struct error_text refusal = *publisher->reason;
    if (!publisher_has_stayed_connected(publisher)) return false;
    publisher_leave(publisher);
    if (!publisher_take_over(publisher)) return false;
    *publisher->reason = refusal;
    return true;
}

bool publisher_send_alone(struct publisher *publisher, const struct record *record, bool *ret_is_refused)
{
    bool is_delivered = publisher_send(publisher, record) && publisher_deliver(publisher);
    *ret_is_refused = !is_delivered && publisher->reason->kind == ERROR_REFUSED;
    return is_delivered || (*ret_is_refused && drop_transaction(publisher));
}

/* The next transaction is another producer's: Kafka still writes the markers of this one, and refuses partitions that join it meanwhile,
 * which librdkafka asks for again only 20 ms later. Nothing of it is sent before this one is known to be committed, so its
 * records are behind these in every partition. */
bool publisher_commit(struct publisher *publisher, struct slice progress_key, const struct progress *progress)
{
    if (!publisher_begin(publisher, progress_key, progress)) return false;
    if (!publisher_deliver(publisher) || !publisher_has_stayed_connected(publisher)) return false;
    FAILPOINT("relay.after_produce");
    rd_kafka_error_t *error = rd_kafka_commit_transaction(publisher->turn->client, PUBLISHER_COMMIT_TIMEOUT_MS);
    if (error != NULL) return publisher_fail_with(publisher, "committing a transaction", error);
    FAILPOINT("relay.after_end_txn");
    publisher->turn->in_transaction = false;
    publisher->is_final = progress_is_final(progress);
    publisher->queued_bytes = 0;
    start_rest(publisher);
    publisher_take_turns(publisher);
    return publisher_has_stayed_connected(publisher);
}

static bool tend(struct publisher *publisher, const struct producer *producer)
{
    char text[200];
    rd_kafka_poll(producer->client, 0);
    if (rd_kafka_fatal_error(producer->client, text, sizeof(text)) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return publisher_fail(publisher, "the producer", text);
    return !publisher->failed;
}

bool publisher_tend(struct publisher *publisher)
{
    bool ok = true;
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) ok = tend(publisher, &publisher->producers[i]) && ok;
    return ok;
}
