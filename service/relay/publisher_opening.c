/* How a publisher takes over from those before it: a producer for each transactional id, whose leftovers are aborted. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "codec/dead_letter.h"
#include "core/smaller.h"
#include "driver/clock.h"
#include "driver/kafka_limit.h"
#include "relay/publisher_state.h"

static const char taking_over[] = "taking over the transactional ids";

enum {
    INIT_TIMEOUT_US = 30000000,
    INIT_BEGIN_MS = 1,
    TRANSACTION_MS = 60000, /* transaction.timeout.ms */
    METADATA_TIMEOUT_MS = 2000,
    ABANDON_TIMEOUT_MS = 500,
    WINDOW_BYTES_FIRST = 1 << 20,
};

/* The first one has the configured id itself, as the only one of earlier versions had. The caller frees it. */
static char *transactional_id(const struct publisher *publisher, size_t number)
{
    const char *configured = publisher->config.transactional_id;
    size_t size = strlen(configured) + sizeof(".18446744073709551615");
    char *id = malloc(size);
    if (id != NULL) snprintf(id, size, number == 0 ? "%s" : "%s.%zu", configured, number);
    return id;
}

/* Nothing of a transaction was on a connection that the broker ends for being idle, or that was never made. */
static bool is_in_use(int socket)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || info.tcpi_last_data_sent < TRANSACTION_MS;
}

static int on_close(int socket, void *ctx)
{
    struct publisher *publisher = ctx;
    if (is_in_use(socket)) atomic_fetch_add(&publisher->connections_closed, 1);
    return close(socket);
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
    rd_kafka_conf_set_dr_msg_cb(conf, publisher_on_delivery);
    rd_kafka_conf_set_closesocket_cb(conf, on_close);
    return kafka_client_new(RD_KAFKA_PRODUCER, conf);
}

static bool make_producers(struct publisher *publisher)
{
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) {
        char *id = transactional_id(publisher, i);
        if (id != NULL) publisher->producers[i].client = make_client(publisher, id);
        free(id);
        if (publisher->producers[i].client == NULL)
            return publisher_fail(publisher, "making a producer", "see the line before");
    }
    return true;
}

/* A time-out of this call means "still going on", and the next one resumes it. */
static bool continue_init(struct publisher *publisher, struct producer *producer, int timeout_ms)
{
    rd_kafka_error_t *error = rd_kafka_init_transactions(producer->client, timeout_ms);
    producer->is_ready = error == NULL;
    if (error == NULL) return true;
    if (!rd_kafka_error_is_retriable(error)) return publisher_fail_with(publisher, taking_over, error);
    rd_kafka_error_destroy(error);
    return true;
}

/* All at the same time. */
static bool init_transactions(struct publisher *publisher)
{
    int64_t deadline_us = clock_steady_us() + INIT_TIMEOUT_US;
    size_t ready = 0;
    for (int timeout_ms = INIT_BEGIN_MS; ready < PUBLISHER_PRODUCERS; timeout_ms = PUBLISHER_SLICE_MS) {
        ready = 0;
        for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) {
            struct producer *producer = &publisher->producers[i];
            if (!producer->is_ready && !continue_init(publisher, producer, timeout_ms)) return false;
            ready += producer->is_ready;
        }
        if (!publisher_wait(publisher, deadline_us, taking_over)) return false;
    }
    return true;
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

static rd_kafka_resp_err_t take_part(struct publisher *publisher, rd_kafka_topic_t *topic,
                                     const struct rd_kafka_metadata *metadata)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *told = &metadata->topics[i];
        if (strcmp(told->topic, rd_kafka_topic_name(topic)) != 0) continue;
        return told->err != RD_KAFKA_RESP_ERR_NO_ERROR ? told->err : touch_partitions(publisher, topic, told->partition_cnt);
    }
    return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/* Fetches the topics' metadata now, so that the first record need not wait for it, and takes part in each of their partitions. */
static bool open_topics(struct publisher *publisher)
{
    const struct publisher_config *config = &publisher->config;
    struct producer *turn = publisher->turn;
    const char *const names[] = {config->events_topic, config->dead_letter_topic, config->progress_topic};
    rd_kafka_topic_t **const topics[] = {&turn->events, &turn->dead_letters, &turn->progress};
    enum { TOPICS = sizeof(names) / sizeof(names[0]) };
    const struct rd_kafka_metadata *metadata = NULL;
    for (int i = 0; i < TOPICS; i++) {
        *topics[i] = rd_kafka_topic_new(turn->client, names[i], NULL);
        if (*topics[i] == NULL) return publisher_fail_by(publisher, names[i], rd_kafka_last_error());
    }
    rd_kafka_resp_err_t error = rd_kafka_metadata(turn->client, 0, NULL, &metadata, METADATA_TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return publisher_fail_by(publisher, "looking up the topics", error);
    for (int i = 0; i < TOPICS && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        error = take_part(publisher, *topics[i], metadata);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) publisher_fail_by(publisher, names[i], error);
    }
    rd_kafka_metadata_destroy(metadata);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool join_partitions(struct publisher *publisher)
{
    return publisher_begin_transaction(publisher) && open_topics(publisher);
}

static bool abort_transaction(struct publisher *publisher)
{
    if (!publisher_deliver(publisher)) return false;
    rd_kafka_error_t *error = rd_kafka_abort_transaction(publisher->turn->client, PUBLISHER_COMMIT_TIMEOUT_MS);
    if (error != NULL) return publisher_fail_with(publisher, "aborting leftovers", error);
    publisher->turn->in_transaction = false;
    return publisher_has_stayed_connected(publisher);
}

/* For each producer, as long as they can. */
static bool do_by_turns(struct publisher *publisher, bool (*work)(struct publisher *publisher))
{
    bool ok = true;
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++, publisher_take_turns(publisher)) ok = ok && work(publisher);
    return ok;
}

/* A broker that was killed may leave out the ends of the transaction that was under way (ADR 37): its records then stay open, and the first
 * commit of the new epoch would commit them too, beside their repetition. So the first transaction takes part in every partition
 * and is aborted, which ends whatever is open there of this producer id. All producers' records are on their way at the same time. */
static bool abort_leftovers(struct publisher *publisher)
{
    return do_by_turns(publisher, join_partitions) && do_by_turns(publisher, abort_transaction);
}

static bool open_all(struct publisher *publisher)
{
    publisher->failed = false;
    publisher->turn = publisher->producers;
    return make_producers(publisher) && init_transactions(publisher) && abort_leftovers(publisher);
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

/* The connections that are closed here are not lost. */
void publisher_leave(struct publisher *publisher)
{
    unsigned lost = atomic_load(&publisher->connections_closed);
    publisher->failed = true; /* what fails from here on is no news */
    for (size_t i = 0; i < PUBLISHER_PRODUCERS; i++) close_producer(&publisher->producers[i]);
    atomic_store(&publisher->connections_closed, lost);
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
    if (limit == NULL) return publisher_fail(publisher, topic, "out of memory");
    while (kafka_limit_is_open(limit) && publisher_wait(publisher, deadline_us, topic)) usleep(1000);
    *ret_room = smaller(own, kafka_limit_bytes(limit, DEAD_LETTER_BYTES_UNKNOWN));
    kafka_limit_free(limit);
    return !publisher->failed;
}

/* No batch of several records is larger than what both topics take, so that none is refused for its size. */
static bool read_rooms(struct publisher *publisher, size_t *ret_batch_bytes)
{
    if (!read_room(publisher, publisher->config.events_topic, &publisher->events_room)) return false;
    if (!read_room(publisher, publisher->config.dead_letter_topic, &publisher->dead_letters_room)) return false;
    *ret_batch_bytes = smaller(PUBLISHER_BATCH_BYTES_MAX, smaller(publisher->events_room, publisher->dead_letters_room));
    return true;
}

/* Again when the batches have to be smaller than the last producer's. What is refused here is no record that could be replaced. */
bool publisher_take_over(struct publisher *publisher)
{
    size_t batch_bytes = publisher->batch_bytes;
    bool opened = open_all(publisher) && read_rooms(publisher, &batch_bytes);
    if (opened && batch_bytes != publisher->batch_bytes) {
        publisher->batch_bytes = batch_bytes;
        publisher_leave(publisher);
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
    publisher->batch_bytes = PUBLISHER_BATCH_BYTES_MAX;
    publisher->window_bytes = WINDOW_BYTES_FIRST;
    publisher->is_final = true;
    if (publisher_take_over(publisher)) return publisher;
    publisher_close(publisher);
    return NULL;
}

void publisher_close(struct publisher *publisher)
{
    if (publisher == NULL) return;
    publisher_leave(publisher);
    free(publisher);
}
