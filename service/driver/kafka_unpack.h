/* How much a consumer unpacks. librdkafka unpacks a compressed batch whole before its first message can be taken, and bounds only zstd: a
 * few kilobytes of a sender's become as many megabytes as he likes, for every partition of a fetch. Here each batch has a maximum, and so
 * have all together that are unpacked until the consumer has nothing more to give.
 *
 * Happy path: the functions of zlib, lz4 and zstd that librdkafka calls are found in this binary first, and hand on to the libraries'.
 * Failure modes: in the broker threads of a limited consumer, a batch beyond its maximum fails as one that is damaged does, for ever. One
 * for which there is no room just now fails alike, but only until room is made: such refusals are counted, so that the two can be told
 * apart. Snappy cannot be measured; it grows no more than 21-fold, and so its limit is that of a fetch. */
#ifndef DRIVER_KAFKA_UNPACK_H
#define DRIVER_KAFKA_UNPACK_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KAFKA_UNPACK_LEAST = 1 << 20, KAFKA_UNPACK_MOST = 700000000 };

/* One consumer's; outlives it. Written by its threads and by whoever takes its messages. */
struct kafka_unpack {
    size_t batch_max;
    size_t packed_max;            /* on the wire: a larger batch breaks the connection to its broker, again and again */
    _Atomic size_t waiting;       /* bytes unpacked, which are not known to be taken */
    size_t waited;                /* those of them that had been unpacked when last nothing was left to take */
    _Atomic uint64_t turned_away; /* batches that found no room */
};

/* Limits the consumer that is made of conf. batch_max is from KAFKA_UNPACK_LEAST to KAFKA_UNPACK_MOST. False when librdkafka refuses. */
bool kafka_unpack_limit(rd_kafka_conf_t *conf, struct kafka_unpack *unpack, size_t batch_max);

/* The consumer has nothing more to give: whatever was unpacked when that was so the last time is taken and freed. (What was unpacked
 * since may be on its way yet.) */
void kafka_unpack_drained(struct kafka_unpack *unpack);

/* Whether the error of a message says that a batch could not be read: it was turned away, is too large, is damaged, or is of a kind that
 * librdkafka does not know. */
bool kafka_is_unreadable(rd_kafka_resp_err_t error);

#endif
