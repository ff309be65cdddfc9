#include "app/kafka_fixed.h"

#include <stddef.h>
#include <string.h>

#define OWN_VARIABLE(name_) "is set by " name_
#define ORDER "events of one owner keep their partition and their order by it"
#define EXACTLY_ONCE "no event may be lost or published twice"
#define COMMITTED "what a sender took back must not be carried out"
#define OFFSETS "offsets are stored in the database, with what they stand for"
#define OUTSIDE "a partition whose offset is outside of its log must stop, not skip"
#define PARTITIONS "partitions are taken and given up all at once"
#define TIME_OUTS "the deadlines of the relay and of the consumers rest on it"
#define MEMORY "the memory's maximum rests on it"
#define SIZES "what is too large is cut by it"
#define END "the end of a partition is known by it"
#define STAND_IN "a stand-in for Kafka keeps nothing"

/* With their other names, which librdkafka takes as well. */
static const struct {
    const char *name;
    const char *reason;
} fixed[] = {
    {"bootstrap.servers", OWN_VARIABLE("KAFKA_BROKERS")},
    {"metadata.broker.list", OWN_VARIABLE("KAFKA_BROKERS")},
    {"group.id", OWN_VARIABLE("CONSUMER_GROUP")},
    {"transactional.id", OWN_VARIABLE("TRANSACTIONAL_ID")},
    {"partitioner", ORDER},
    {"queuing.strategy", ORDER},
    {"max.in.flight.requests.per.connection", ORDER},
    {"max.in.flight", ORDER},
    {"enable.idempotence", EXACTLY_ONCE},
    {"acks", EXACTLY_ONCE},
    {"request.required.acks", EXACTLY_ONCE},
    {"message.send.max.retries", EXACTLY_ONCE},
    {"retries", EXACTLY_ONCE},
    {"delivery.report.only.error", EXACTLY_ONCE},
    {"isolation.level", COMMITTED},
    {"enable.auto.commit", OFFSETS},
    {"auto.commit.enable", OFFSETS},
    {"auto.commit.interval.ms", OFFSETS},
    {"enable.auto.offset.store", OFFSETS},
    {"offset.store.method", OFFSETS},
    {"auto.offset.reset", OUTSIDE},
    {"partition.assignment.strategy", PARTITIONS},
    {"group.protocol", PARTITIONS},
    {"transaction.timeout.ms", TIME_OUTS},
    {"message.timeout.ms", TIME_OUTS},
    {"delivery.timeout.ms", TIME_OUTS},
    {"request.timeout.ms", TIME_OUTS},
    {"socket.timeout.ms", TIME_OUTS},
    {"max.poll.interval.ms", TIME_OUTS},
    {"queued.min.messages", MEMORY},
    {"queued.max.messages.kbytes", MEMORY},
    {"fetch.max.bytes", MEMORY},
    {"fetch.message.max.bytes", MEMORY},
    {"max.partition.fetch.bytes", MEMORY},
    {"receive.message.max.bytes", MEMORY},
    {"queue.buffering.max.messages", MEMORY},
    {"queue.buffering.max.kbytes", MEMORY},
    {"message.max.bytes", SIZES},
    {"enable.partition.eof", END},
    {"test.mock.num.brokers", STAND_IN},
};

const char *kafka_fixed_reason(const char *name)
{
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (strcmp(fixed[i].name, name) == 0) return fixed[i].reason;
    }
    return NULL;
}
