#include "relay/publisher.h"

#include <stdlib.h>
#include <unistd.h>

#include "driver/clock.h"
#include "driver/failpoint.h"

enum {
    REST_FACTOR = 2, /* times what the last commit took */
    REST_MIN_US = 5000,
    REST_MAX_US = 20000,
    SLICE_MS = 100,
    INIT_SLICE_MS = 500,
    INIT_TIMEOUT_US = 30000000,
    DELIVER_TIMEOUT_US = 40000000, /* behind message.timeout.ms, which normally ends the wait */
    METADATA_TIMEOUT_MS = 2000,
    ABANDON_TIMEOUT_MS = 500,
    COMMIT_TIMEOUT_MS = 5000, /* EndTxn alone: everything is delivered before. The longest that stopping can take. */
};

struct publisher {
    struct publisher_config config;
    struct reason *reason;
    rd_kafka_t *producer;
    rd_kafka_topic_t *events;
    rd_kafka_topic_t *dead_letters;
    rd_kafka_topic_t *progress;
    int64_t committed_us; /* when the last transaction ended; 0: none has */
    int64_t commit_took_us;
    bool in_transaction;
    bool failed;
};

static bool fail(struct publisher *publisher, const char *doing, const char *text)
{
    if (!publisher->failed) reason_set(publisher->reason, "%s: %s", doing, text);
    publisher->failed = true;
    return false;
}

static bool fail_with(struct publisher *publisher, const char *doing, rd_kafka_error_t *error)
{
    fail(publisher, doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return false;
}

/* Called from within our own calls to rd_kafka_poll and _flush. */
static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *ctx)
{
    (void)producer;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    fail(ctx, message->rkt == NULL ? "a record" : rd_kafka_topic_name(message->rkt), rd_kafka_err2str(message->err));
}

static bool wait_on(struct publisher *publisher, int64_t deadline_us, const char *doing)
{
    if (publisher->failed) return false;
    if (clock_steady_us() >= deadline_us) return fail(publisher, doing, "Kafka did not answer in time");
    return publisher->config.on_wait(publisher->config.ctx) || fail(publisher, doing, "interrupted");
}

/* ---- opening ---- */

static rd_kafka_t *make_producer(struct publisher *publisher)
{
    const struct kafka_property properties[] = {
        {"transactional.id", publisher->config.transactional_id},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"transaction.timeout.ms", "60000"},
        {"message.timeout.ms", "30000"},
        {"socket.timeout.ms", "15000"},
        {"linger.ms", "5"}, /* costs no time: each batch ends with a flush */
        {"compression.type", "lz4"},
        {"partitioner", "murmur2_random"},
        {"queue.buffering.max.kbytes", "16384"},
        {"queue.buffering.max.messages", "50000"},
        {"message.max.bytes", "16000000"},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(publisher->config.kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return NULL;
    rd_kafka_conf_set_opaque(conf, publisher);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client_new(RD_KAFKA_PRODUCER, conf);
}

/* Resumes until it is done: a time-out of this call means "still going on". */
static bool init_transactions(struct publisher *publisher)
{
    static const char *const doing = "taking over the transactional id";
    int64_t deadline_us = clock_steady_us() + INIT_TIMEOUT_US;
    rd_kafka_error_t *error;
    while ((error = rd_kafka_init_transactions(publisher->producer, INIT_SLICE_MS)) != NULL) {
        if (!rd_kafka_error_is_retriable(error)) return fail_with(publisher, doing, error);
        rd_kafka_error_destroy(error);
        if (!wait_on(publisher, deadline_us, doing)) return false;
    }
    return true;
}

/* Between two transactions Kafka is spared: the slower it is, the more each must carry. It also still writes the markers of the last one,
 * and refuses partitions that join meanwhile, which librdkafka asks for again only 20 ms later. */
static void rest(const struct publisher *publisher)
{
    int64_t rest_us = publisher->commit_took_us * REST_FACTOR;
    if (rest_us < REST_MIN_US) rest_us = REST_MIN_US;
    if (rest_us > REST_MAX_US) rest_us = REST_MAX_US;
    int64_t left_us = publisher->committed_us + rest_us - clock_steady_us();
    if (left_us > 0) usleep((useconds_t)left_us);
}

static bool begin(struct publisher *publisher)
{
    if (publisher->failed) return false;
    if (publisher->in_transaction) return true;
    rest(publisher);
    rd_kafka_error_t *error = rd_kafka_begin_transaction(publisher->producer);
    if (error != NULL) return fail_with(publisher, "beginning a transaction", error);
    publisher->in_transaction = true;
    return true;
}

static bool deliver_all(struct publisher *publisher)
{
    int64_t deadline_us = clock_steady_us() + DELIVER_TIMEOUT_US;
    while (rd_kafka_flush(publisher->producer, SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!wait_on(publisher, deadline_us, "delivering")) return false;
    }
    return !publisher->failed;
}

/* One record for each partition, in the transaction that is going to be aborted. */
static rd_kafka_resp_err_t touch_partitions(struct publisher *publisher, rd_kafka_topic_t *topic, int32_t count)
{
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int32_t partition = 0; partition < count && error == RD_KAFKA_RESP_ERR_NO_ERROR; partition++) {
        error = rd_kafka_producev(publisher->producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY("takeover", 8),
                                  RD_KAFKA_V_VALUE("", 0), RD_KAFKA_V_END);
    }
    return error;
}

/* Fetches the topic's metadata now, so that the first record need not wait for it, and takes part in each of its partitions. */
static rd_kafka_topic_t *open_topic(struct publisher *publisher, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(publisher->producer, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (topic != NULL) error = rd_kafka_metadata(publisher->producer, 0, topic, &metadata, METADATA_TIMEOUT_MS);
    if (metadata != NULL) {
        error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            error = touch_partitions(publisher, topic, metadata->topics[0].partition_cnt);
        }
        rd_kafka_metadata_destroy(metadata);
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(publisher, name, rd_kafka_err2str(error));
    return topic;
}

static bool abort_leftovers(struct publisher *publisher)
{
    if (!deliver_all(publisher)) return false;
    rd_kafka_error_t *error = rd_kafka_abort_transaction(publisher->producer, COMMIT_TIMEOUT_MS);
    if (error != NULL) return fail_with(publisher, "aborting leftovers", error);
    publisher->in_transaction = false;
    return true;
}

/* A broker that was killed may have forgotten the transaction that was under way: its records then stay open, and the first
 * commit of the new epoch would commit them too, beside their repetition. So the first transaction takes part in every partition
 * and is aborted, which ends whatever is open there of this producer id. */
static bool open_all(struct publisher *publisher)
{
    publisher->producer = make_producer(publisher);
    if (publisher->producer == NULL) return fail(publisher, "making the producer", "see the line before");
    if (!init_transactions(publisher) || !begin(publisher)) return false;
    publisher->events = open_topic(publisher, publisher->config.events_topic);
    publisher->dead_letters = open_topic(publisher, publisher->config.dead_letter_topic);
    publisher->progress = open_topic(publisher, publisher->config.progress_topic);
    return !publisher->failed && abort_leftovers(publisher);
}

struct publisher *publisher_open(const struct publisher_config *config, struct reason *reason)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL) {
        reason_set(reason, "out of memory");
        return NULL;
    }
    publisher->config = *config;
    publisher->reason = reason;
    if (open_all(publisher)) return publisher;
    publisher_close(publisher);
    return NULL;
}

/* Leaves an open transaction. Whether the broker hears of it does not matter, as the next producer's init_transactions ends
 * it. But librdkafka 2.0.2 aborts the process when it is destroyed while it is about to register partitions (the assertion
 * txn_req_cnt > 0 in rdkafka_txnmgr.c), and once an abort was called it never is. */
static void abandon_transaction(struct publisher *publisher)
{
    rd_kafka_error_t *error = rd_kafka_abort_transaction(publisher->producer, ABANDON_TIMEOUT_MS);
    if (error != NULL) rd_kafka_error_destroy(error);
}

void publisher_close(struct publisher *publisher)
{
    if (publisher == NULL) return;
    if (publisher->progress != NULL) rd_kafka_topic_destroy(publisher->progress);
    if (publisher->dead_letters != NULL) rd_kafka_topic_destroy(publisher->dead_letters);
    if (publisher->events != NULL) rd_kafka_topic_destroy(publisher->events);
    if (publisher->producer != NULL) {
        publisher->failed = true; /* what fails from here on is no news */
        if (publisher->in_transaction) abandon_transaction(publisher);
        rd_kafka_destroy(publisher->producer);
    }
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

/* Waits while the queue is full; takes the headers in every case. */
static bool enqueue(struct publisher *publisher, rd_kafka_topic_t *topic, struct slice key, struct slice value,
                    rd_kafka_headers_t *headers)
{
    int64_t deadline_us = clock_steady_us() + DELIVER_TIMEOUT_US;
    rd_kafka_resp_err_t error;
    while ((error = rd_kafka_producev(publisher->producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                      RD_KAFKA_V_KEY(key.data, key.len), RD_KAFKA_V_VALUE((void *)value.data, value.len),
                                      RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(publisher->producer, SLICE_MS);
        if (!wait_on(publisher, deadline_us, "queueing a record")) break;
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    rd_kafka_headers_destroy(headers);
    return fail(publisher, rd_kafka_topic_name(topic), rd_kafka_err2str(error));
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
    return send_to(publisher, publisher->progress, &record);
}

bool publisher_send(struct publisher *publisher, const struct record *record)
{
    return send_to(publisher, record->topic == RECORD_EVENT ? publisher->events : publisher->dead_letters, record);
}

bool publisher_commit(struct publisher *publisher, struct slice progress_key, const struct progress *progress)
{
    int64_t start_us = clock_steady_us();
    if (!publisher_begin(publisher, progress_key, progress)) return false;
    if (!deliver_all(publisher)) return false;
    FAILPOINT("relay.after_produce");
    rd_kafka_error_t *error = rd_kafka_commit_transaction(publisher->producer, COMMIT_TIMEOUT_MS);
    if (error != NULL) return fail_with(publisher, "committing a transaction", error);
    FAILPOINT("relay.after_end_txn");
    publisher->in_transaction = false;
    publisher->committed_us = clock_steady_us();
    publisher->commit_took_us = publisher->committed_us - start_us;
    return true;
}

bool publisher_tend(struct publisher *publisher)
{
    char text[200];
    rd_kafka_poll(publisher->producer, 0);
    if (rd_kafka_fatal_error(publisher->producer, text, sizeof(text)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(publisher, "the producer", text);
    }
    return !publisher->failed;
}
