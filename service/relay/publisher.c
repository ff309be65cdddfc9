#include "relay/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/dead_letter.h"
#include "core/smaller.h"
#include "driver/clock.h"
#include "driver/failpoint.h"
#include "driver/kafka_limit.h"

static const char taking_over[] = "taking over the transactional ids";

enum {
    REST_RECORD_US = 20,
    REST_MAX_US = 20000,
    SLICE_MS = 100,
    INIT_TIMEOUT_US = 30000000,
    DELIVER_TIMEOUT_US = 40000000, /* behind message.timeout.ms, which normally ends the wait */
    METADATA_TIMEOUT_MS = 2000,
    BATCH_BYTES_MAX = 1000000, /* librdkafka's default */
    WINDOW_BYTES_MIN = 1 << 18,
    WINDOW_BYTES_FIRST = 1 << 20,
    WINDOW_BYTES_MAX = 1 << 24,
    WINDOW_FAST_US = 500000,
    WINDOW_SLOW_US = 2000000,
    ABANDON_TIMEOUT_MS = 500,
    COMMIT_TIMEOUT_MS = 5000, /* EndTxn alone: everything is delivered before. The longest that stopping can take. */
};

_Static_assert((int)DEAD_LETTER_BYTES_MAX <= (int)PUBLISHER_RECORD_MAX, "a dead letter can be published");

struct producer {
    rd_kafka_t *client;
    rd_kafka_topic_t *events;
    rd_kafka_topic_t *dead_letters;
    rd_kafka_topic_t *progress;
    bool is_ready; /* all earlier ones of its id are fenced */
    bool in_transaction;
};

struct publisher {
    struct publisher_config config;
    struct error_text *reason;
    struct producer producers[PUBLISHER_PRODUCERS];
    struct producer *turn; /* whose transaction is open, or the next one */
    size_t events_room;    /* bytes of a record that each topic surely takes */
    size_t dead_letters_room;
    size_t batch_bytes;
    size_t window_bytes; /* may be queued before all of it has to be delivered */
    size_t queued_bytes; /* since all was */
    int64_t queued_us;   /* since when */
    size_t records;      /* since the transaction began */
    int64_t rest_end_us; /* when the next one may begin */
    bool failed;
};

static bool fail_as(struct publisher *publisher, enum error_kind kind, const char *doing, const char *text)
{
    if (!publisher->failed) {
        error_text_set(publisher->reason, "%s: %s", doing, text);
        publisher->reason->kind = kind;
    }
    publisher->failed = true;
    return false;
}

static bool fail(struct publisher *publisher, const char *doing, const char *text)
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

static bool fail_by(struct publisher *publisher, const char *doing, rd_kafka_resp_err_t error)
{
    return fail_as(publisher, kind_of(error), doing, rd_kafka_err2str(error));
}

static bool fail_with(struct publisher *publisher, const char *doing, rd_kafka_error_t *error)
{
    fail_as(publisher, kind_of(rd_kafka_error_code(error)), doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return false;
}

/* Called from within our own calls to rd_kafka_poll and _flush. Of a record of progress there is nothing less. */
static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *ctx)
{
    (void)producer;
    struct publisher *publisher = ctx;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const char *topic = message->rkt == NULL ? "a record" : rd_kafka_topic_name(message->rkt);
    enum error_kind kind = kind_of(message->err);
    if (kind == ERROR_REFUSED && strcmp(topic, publisher->config.progress_topic) == 0) kind = ERROR_WAITS;
    fail_as(publisher, kind, topic, rd_kafka_err2str(message->err));
}

static bool wait_on(struct publisher *publisher, int64_t deadline_us, const char *doing)
{
    if (publisher->failed) return false;
    if (clock_steady_us() >= deadline_us) return fail(publisher, doing, "Kafka did not answer in time");
    return publisher->config.on_wait(publisher->config.ctx) || fail(publisher, doing, "interrupted");
}

/* ---- opening ---- */

/* The first one has the configured id itself, as the only one of earlier versions had. The caller frees it. */
static char *transactional_id(const struct publisher *publisher, size_t number)
{
    const char *configured = publisher->config.transactional_id;
    size_t size = strlen(configured) + sizeof(".18446744073709551615");
    char *id = malloc(size);
    if (id != NULL) snprintf(id, size, number == 0 ? "%s" : "%s.%zu", configured, number);
    return id;
}

static rd_kafka_t *make_client(struct publisher *publisher, const char *id)
{
    char batch_bytes[24];
    char record_max[24];
    snprintf(batch_bytes, sizeof(batch_bytes), "%zu", publisher->batch_bytes);
    snprintf(record_max, sizeof(record_max), "%d", PUBLISHER_RECORD_MAX);
    const struct kafka_property properties[] = {
        {"transactional.id", id},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"transaction.timeout.ms", "60000"},
        {"message.timeout.ms", "30000"},
        {"socket.timeout.ms", "15000"},
        {"linger.ms", "5"}, /* costs no time: each batch ends with a flush */
        {"partitioner", "murmur2_random"},
        {"queue.buffering.max.kbytes", "16384"},
        {"queue.buffering.max.messages", "20000"},
        {"message.max.bytes", record_max},
        {"batch.size", batch_bytes},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(publisher->config.kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return NULL;
    rd_kafka_conf_set_opaque(conf, publisher);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client_new(RD_KAFKA_PRODUCER, conf);
}

static bool make_producers(struct publisher *publisher)
{
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) {
        char *id = transactional_id(publisher, i);
        if (id != NULL) publisher->producers[i].client = make_client(publisher, id);
        free(id);
        if (publisher->producers[i].client == NULL) return fail(publisher, "making a producer", "see the line before");
    }
    return true;
}

/* A time-out of this call means "still going on", and the next one resumes it. */
static bool continue_init(struct publisher *publisher, struct producer *producer)
{
    rd_kafka_error_t *error = rd_kafka_init_transactions(producer->client, SLICE_MS);
    producer->is_ready = error == NULL;
    if (error == NULL) return true;
    if (!rd_kafka_error_is_retriable(error)) return fail_with(publisher, taking_over, error);
    rd_kafka_error_destroy(error);
    return true;
}

/* All at the same time. */
static bool init_transactions(struct publisher *publisher)
{
    int64_t deadline_us = clock_steady_us() + INIT_TIMEOUT_US;
    size_t ready = 0;
    while (ready < PUBLISHER_PRODUCERS) {
        ready = 0;
        for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) {
            struct producer *producer = &publisher->producers[i];
            if (!producer->is_ready && !continue_init(publisher, producer)) return false;
            ready += producer->is_ready;
        }
        if (!wait_on(publisher, deadline_us, taking_over)) return false;
    }
    return true;
}

/* The more there is to publish, the more each transaction is to carry: what it costs Kafka and librdkafka does not depend on how much
 * that is. */
static void rest(const struct publisher *publisher)
{
    int64_t left_us = publisher->rest_end_us - clock_steady_us();
    if (left_us > 0) usleep((useconds_t)left_us);
}

static bool begin(struct publisher *publisher)
{
    if (publisher->failed) return false;
    if (publisher->turn->in_transaction) return true;
    rest(publisher);
    rd_kafka_error_t *error = rd_kafka_begin_transaction(publisher->turn->client);
    if (error != NULL) return fail_with(publisher, "beginning a transaction", error);
    publisher->turn->in_transaction = true;
    publisher->records = 0;
    return true;
}

static bool deliver_all(struct publisher *publisher)
{
    int64_t deadline_us = clock_steady_us() + DELIVER_TIMEOUT_US;
    while (rd_kafka_flush(publisher->turn->client, SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!wait_on(publisher, deadline_us, "delivering")) return false;
    }
    return !publisher->failed;
}

/* One record for each partition, in the transaction that is going to be aborted. */
static rd_kafka_resp_err_t touch_partitions(struct publisher *publisher, rd_kafka_topic_t *topic, int32_t count)
{
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int32_t partition = 0; partition < count && error == RD_KAFKA_RESP_ERR_NO_ERROR; partition++) {
        error = rd_kafka_producev(publisher->turn->client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY("takeover", 8),
                                  RD_KAFKA_V_VALUE("", 0), RD_KAFKA_V_END);
    }
    return error;
}

/* Fetches the topic's metadata now, so that the first record need not wait for it, and takes part in each of its partitions. */
static rd_kafka_topic_t *open_topic(struct publisher *publisher, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(publisher->turn->client, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (topic != NULL) error = rd_kafka_metadata(publisher->turn->client, 0, topic, &metadata, METADATA_TIMEOUT_MS);
    if (metadata != NULL) {
        error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            error = touch_partitions(publisher, topic, metadata->topics[0].partition_cnt);
        }
        rd_kafka_metadata_destroy(metadata);
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail_by(publisher, name, error);
    return topic;
}

static bool abort_transaction(struct publisher *publisher)
{
    if (!deliver_all(publisher)) return false;
    rd_kafka_error_t *error = rd_kafka_abort_transaction(publisher->turn->client, COMMIT_TIMEOUT_MS);
    if (error != NULL) return fail_with(publisher, "aborting leftovers", error);
    publisher->turn->in_transaction = false;
    return true;
}

/* A broker that was killed may have forgotten the transaction that was under way: its records then stay open, and the first
 * commit of the new epoch would commit them too, beside their repetition. So the first transaction takes part in every partition
 * and is aborted, which ends whatever is open there of this producer id. */
static bool abort_leftovers(struct publisher *publisher)
{
    struct producer *turn = publisher->turn;
    if (!begin(publisher)) return false;
    turn->events = open_topic(publisher, publisher->config.events_topic);
    turn->dead_letters = open_topic(publisher, publisher->config.dead_letter_topic);
    turn->progress = open_topic(publisher, publisher->config.progress_topic);
    return !publisher->failed && abort_transaction(publisher);
}

static void take_turns(struct publisher *publisher)
{
    size_t number = (size_t)(publisher->turn - publisher->producers);
    publisher->turn = &publisher->producers[(number + 1) % PUBLISHER_PRODUCERS];
}

static bool open_all(struct publisher *publisher)
{
    publisher->failed = false;
    publisher->turn = publisher->producers;
    if (!make_producers(publisher) || !init_transactions(publisher)) return false;
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++, take_turns(publisher)) {
        if (!abort_leftovers(publisher)) return false;
    }
    return true;
}

/* Leaves an open transaction. Whether the broker hears of it does not matter, as the next producer's init_transactions ends
 * it. But librdkafka 2.0.2 aborts the process when it is destroyed while it is about to register partitions (the assertion
 * txn_req_cnt > 0 in rdkafka_txnmgr.c), and once an abort was called it never is. */
static void abandon_transaction(const struct producer *producer)
{
    rd_kafka_error_t *error = rd_kafka_abort_transaction(producer->client, ABANDON_TIMEOUT_MS);
    if (error != NULL) rd_kafka_error_destroy(error);
}

static void forget_topic(rd_kafka_topic_t **topic)
{
    if (*topic != NULL) rd_kafka_topic_destroy(*topic);
    *topic = NULL;
}

static void close_producer(struct producer *producer)
{
    forget_topic(&producer->progress);
    forget_topic(&producer->dead_letters);
    forget_topic(&producer->events);
    if (producer->client == NULL) return;
    if (producer->in_transaction) abandon_transaction(producer);
    rd_kafka_destroy(producer->client);
    *producer = (struct producer){0};
}

static void close_all(struct publisher *publisher)
{
    publisher->failed = true; /* what fails from here on is no news */
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) close_producer(&publisher->producers[i]);
}

/* A property of the producer, as the operator may have set it. */
static size_t number_property(const struct publisher *publisher, const char *name)
{
    char text[32];
    size_t size = sizeof(text);
    if (rd_kafka_conf_get(rd_kafka_conf(publisher->turn->client), name, text, &size) != RD_KAFKA_CONF_OK) return 0;
    return (size_t)strtoull(text, NULL, 10);
}

/* What a topic takes, and this producer. */
static bool read_room(struct publisher *publisher, const char *topic, size_t *ret_room)
{
    size_t own = smaller(number_property(publisher, "message.max.bytes"),
                         number_property(publisher, "queue.buffering.max.kbytes") * 1024);
    int64_t deadline_us = clock_steady_us() + INIT_TIMEOUT_US;
    struct kafka_limit *limit = kafka_limit_new(publisher->turn->client, topic);
    if (limit == NULL) return fail(publisher, topic, "out of memory");
    while (kafka_limit_is_open(limit) && wait_on(publisher, deadline_us, topic)) usleep(1000);
    *ret_room = smaller(own, kafka_limit_bytes(limit, DEAD_LETTER_BYTES_UNKNOWN));
    kafka_limit_free(limit);
    return !publisher->failed;
}

/* No batch of several records is larger than what both topics take, so that none is refused for its size. */
static bool read_rooms(struct publisher *publisher, size_t *ret_batch_bytes)
{
    if (!read_room(publisher, publisher->config.events_topic, &publisher->events_room)) return false;
    if (!read_room(publisher, publisher->config.dead_letter_topic, &publisher->dead_letters_room)) return false;
    *ret_batch_bytes = smaller(BATCH_BYTES_MAX, smaller(publisher->events_room, publisher->dead_letters_room));
    return true;
}

/* Again when the batches have to be smaller than the last producer's. What is refused here is no record that could be replaced. */
static bool open_fitting(struct publisher *publisher)
{
    size_t batch_bytes = publisher->batch_bytes;
    bool opened = open_all(publisher) && read_rooms(publisher, &batch_bytes);
    if (opened && batch_bytes != publisher->batch_bytes) {
        publisher->batch_bytes = batch_bytes;
        close_all(publisher);
        opened = open_all(publisher);
    }
    if (!opened && publisher->reason->kind == ERROR_REFUSED) publisher->reason->kind = ERROR_WAITS;
    return opened;
}

struct publisher *publisher_open(const struct publisher_config *config, struct error_text *reason)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL) {
        error_text_set(reason, "out of memory");
        return NULL;
    }
    publisher->config = *config;
    publisher->reason = reason;
    publisher->batch_bytes = BATCH_BYTES_MAX;
    publisher->window_bytes = WINDOW_BYTES_FIRST;
    if (open_fitting(publisher)) return publisher;
    publisher_close(publisher);
    return NULL;
}

void publisher_close(struct publisher *publisher)
{
    if (publisher == NULL) return;
    close_all(publisher);
    free(publisher);
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
        if (is_empty || !wait_on(publisher, deadline_us, "queueing a record")) break;
        rd_kafka_poll(publisher->turn->client, SLICE_MS);
        is_empty = rd_kafka_outq_len(publisher->turn->client) == 0;
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    rd_kafka_headers_destroy(headers);
    rd_kafka_poll(publisher->turn->client, SLICE_MS); /* a delivery that failed says more */
    return fail_by(publisher, rd_kafka_topic_name(topic), error);
}

static bool send_to(struct publisher *publisher, rd_kafka_topic_t *topic, const struct record *record)
{
    if (!begin(publisher)) return false;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->headers_len);
    if (!add_headers(headers, record)) {
        rd_kafka_headers_destroy(headers);
        return fail(publisher, rd_kafka_topic_name(topic), "a header was refused");
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
    if (!deliver_all(publisher)) return false;
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
    close_all(publisher);
    if (!open_fitting(publisher)) return false;
    *publisher->reason = refusal;
    return true;
}

bool publisher_send_alone(struct publisher *publisher, const struct record *record, bool *ret_is_refused)
{
    bool is_delivered = publisher_send(publisher, record) && deliver_all(publisher);
    *ret_is_refused = !is_delivered && publisher->reason->kind == ERROR_REFUSED;
    return is_delivered || (*ret_is_refused && drop_transaction(publisher));
}

/* The next transaction is another producer's: Kafka still writes the markers of this one, and refuses partitions that join it meanwhile,
 * which librdkafka asks for again only 20 ms later. Nothing of it is sent before this one is known to be committed, so its
 * records are behind these in every partition. */
bool publisher_commit(struct publisher *publisher, struct slice progress_key, const struct progress *progress)
{
    if (!publisher_begin(publisher, progress_key, progress)) return false;
    if (!deliver_all(publisher)) return false;
    FAILPOINT("relay.after_produce");
    rd_kafka_error_t *error = rd_kafka_commit_transaction(publisher->turn->client, COMMIT_TIMEOUT_MS);
    if (error != NULL) return fail_with(publisher, "committing a transaction", error);
    FAILPOINT("relay.after_end_txn");
    publisher->turn->in_transaction = false;
    publisher->queued_bytes = 0;
    publisher->rest_end_us = clock_steady_us() + (int64_t)smaller(publisher->records * REST_RECORD_US, REST_MAX_US);
    take_turns(publisher);
    return true;
}

static bool tend(struct publisher *publisher, const struct producer *producer)
{
    char text[200];
    rd_kafka_poll(producer->client, 0);
    if (rd_kafka_fatal_error(producer->client, text, sizeof(text)) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail(publisher, "the producer", text);
    return !publisher->failed;
}

bool publisher_tend(struct publisher *publisher)
{
    bool ok = true;
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) ok = tend(publisher, &publisher->producers[i]) && ok;
    return ok;
}
