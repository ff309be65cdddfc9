/* What Kafka's transactions cost events when nothing else is in the way: sends RATE records a second for SECONDS, as two transactional producers in
 * turn: whatever is due goes into the next transaction, which begins when the one before is committed. A latency counts from when the record
 * was due until its transaction is committed.
 *
 *   transaction_limit BROKERS TOPIC RATE SECONDS    prints the latencies */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/clock.h"
#include "kafka_client.h"
#include "latencies.h"

enum { PRODUCERS = 2, WARM_UPS = 20, WARM_UP_RECORDS = 100, ANSWER_MS = 30000, ORG = 1, FIRST_OWNER = 1 };

struct limit {
    rd_kafka_t *producers[PRODUCERS];
    const char *topic;
    int64_t rate;
    int64_t count;
    int64_t start_us;
    int64_t sent;
    struct latencies latencies;
};

static void check(rd_kafka_error_t *error)
{
    if (error == NULL) return;
    fprintf(stderr, "transaction_limit: %s\n", rd_kafka_error_string(error));
    exit(1);
}

/* The first transaction of a producer looks for the leaders of the topic's partitions. */
static void warm_up(const struct limit *limit, rd_kafka_t *producer)
{
    for (int turn = 0; turn < WARM_UPS; turn++) {
        check(rd_kafka_begin_transaction(producer));
        for (int64_t i = 0; i < WARM_UP_RECORDS; i++) producer_send(producer, limit->topic, i, ORG, FIRST_OWNER);
        check(rd_kafka_commit_transaction(producer, ANSWER_MS));
    }
}

static int64_t due_us(const struct limit *limit, int64_t i)
{
    return limit->start_us + i * 1000000 / limit->rate;
}

static int64_t due_now(const struct limit *limit)
{
    int64_t due = (clock_steady_us() - limit->start_us) * limit->rate / 1000000 + 1;
    return due < limit->count ? due : limit->count;
}

static void run_transaction(struct limit *limit, rd_kafka_t *producer)
{
    int64_t first = limit->sent;
    check(rd_kafka_begin_transaction(producer));
    for (int64_t due = due_now(limit); limit->sent < due; limit->sent++)
        producer_send(producer, limit->topic, limit->sent, ORG, FIRST_OWNER);
    check(rd_kafka_commit_transaction(producer, ANSWER_MS));
    int64_t now_us = clock_steady_us();
    for (int64_t i = first; i < limit->sent; i++) latencies_add(&limit->latencies, now_us - due_us(limit, i));
}

static void run(struct limit *limit)
{
    limit->start_us = clock_steady_us();
    for (int turn = 0; limit->sent < limit->count; turn++) {
        int64_t early_us = due_us(limit, limit->sent) - clock_steady_us();
        if (early_us > 0) usleep((useconds_t)early_us);
        run_transaction(limit, limit->producers[turn % PRODUCERS]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: transaction_limit BROKERS TOPIC RATE SECONDS\n");
        return 2;
    }
    struct limit limit = {.topic = argv[2], .rate = strtoll(argv[3], NULL, 10)};
    limit.count = limit.rate * strtoll(argv[4], NULL, 10);
    latencies_init(&limit.latencies, (size_t)limit.count);
    for (int i = 0; i < PRODUCERS; i++) {
        char id[256];
        snprintf(id, sizeof(id), "%s.limit.%d", limit.topic, i);
        limit.producers[i] = transactional_producer_new(argv[1], id);
        check(rd_kafka_init_transactions(limit.producers[i], ANSWER_MS));
        warm_up(&limit, limit.producers[i]);
    }
    run(&limit);
    latencies_print(&limit.latencies);
    for (int i = 0; i < PRODUCERS; i++) rd_kafka_destroy(limit.producers[i]);
    latencies_done(&limit.latencies);
    return 0;
}
