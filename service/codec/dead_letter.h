/* Dead letters: messages that could not be used, kept for those who can use them. One takes no more room than its sinks have: what is longer
 * is cut, and its headers say so. The headers that this module writes begin with "dead-letter-":
 *
 *   -reason, -topic, -partition, -offset   why, and where the message is
 *   -cut                                   which of "key,headers,value" are not whole; not there when all are
 *   -value-bytes, -value-sha256            of the whole value, when that was cut: its first bytes are there
 *   -key-bytes, -key-sha256                of the whole key, likewise
 *   -headers-left-out                      how many of the message's headers are not there */
#ifndef CODEC_DEAD_LETTER_H
#define CODEC_DEAD_LETTER_H

#include "codec/record.h"

enum {
    /* Whatever the topic takes: so much the relay's producer does (relay/publisher.h). */
    DEAD_LETTER_BYTES_MAX = 16000000,
    /* What is taken for the room of a topic whose max.message.bytes is not known. */
    DEAD_LETTER_BYTES_UNKNOWN = 1000000,
    /* A reason's bytes; a longer one ends there. */
    DEAD_LETTER_REASON_MAX = 4096,
    /* Any message can be cut to this: the headers above, at their longest. */
    DEAD_LETTER_BYTES_LEAST = 6144,
};

/* The texts of a dead letter's own headers, which its record borrows. */
struct dead_letter_texts {
    char partition[12];
    char offset[24];
    char cut[24];
    char value_bytes[24];
    char value_sha256[65];
    char key_bytes[24];
    char key_sha256[65];
    char headers_left_out[24];
};

/* Appends the packed dead letter of a message, whose topic does not matter and whose list of headers is changed: those of the names
 * above are replaced. It takes at most bytes_max (record_wire_bytes), or DEAD_LETTER_BYTES_LEAST where that is less. Without memory
 * out fails. */
void dead_letter_pack(struct buf *out, struct record *message, struct slice reason, const struct record_origin *origin,
                      size_t bytes_max);

/* Cuts a record in place, if need be, until it takes at most bytes_max (record_wire_bytes), and notes what was cut in its headers: for a
 * record that was refused for its size. What an earlier cut noted stays true. First the value loses its end, but a long key and long headers
 * are left no more than a quarter of the room each. Headers of the names above stay; with them alone a record may still be longer than
 * bytes_max, and then false comes back. The texts are borrowed by the record. */
bool dead_letter_cut(struct record *record, size_t bytes_max, struct dead_letter_texts *texts);

#endif
