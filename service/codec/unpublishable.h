/* What is published in place of a record that Kafka refuses for good: less of the same.
 *
 * A dead letter is cut (codec/dead_letter.h). Where it has no key it gets its message's place as one, as a compacted topic takes none
 * without. A rejection keeps its first violations, and one more says how many are left out. An event, and a rejection that is too large to
 * be read, becomes schedules.v1.EventUnpublishable with the same key and ce_ headers, but for ce_type. */
#ifndef CODEC_UNPUBLISHABLE_H
#define CODEC_UNPUBLISHABLE_H

#include "codec/dead_letter.h"
#include "codec/record.h"
#include "core/buf.h"
#include "core/status.h"

enum unpublishable_kind { UNPUBLISHABLE_EVENT, UNPUBLISHABLE_REJECTION, UNPUBLISHABLE_DEAD_LETTER };

/* One record that was refused, and what the records that take its place borrow. */
struct unpublishable {
    enum unpublishable_kind kind;
    bool is_replaced;
    struct dead_letter_texts texts;
    struct buf key;
    struct buf value;
};

void unpublishable_init(struct unpublishable *unpublishable, const struct record *record);
void unpublishable_done(struct unpublishable *unpublishable);

/* Turns the record into what takes its place. It may be refused again, and be reduced again. bytes_max is what the topic is known to take
 * (record_wire_bytes), reason what Kafka said. STATUS_OK; STATUS_TOO_LARGE: there is nothing less; STATUS_NO_MEMORY. Then the record is as it
 * was. */
enum status unpublishable_reduce(struct unpublishable *unpublishable, struct record *record, size_t bytes_max,
                                 struct slice reason);

#endif
