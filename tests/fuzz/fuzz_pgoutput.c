/* A replication stream: payloads with their length in two bytes before each, decoded in turn, and of those that are this service's the
 * record. Whatever is borrowed lies inside the payload or, of an event made of a state, inside the scratch buffer. */
#include "driver/log.h"
#include "fuzz.h"
#include "core/lsn.h"
#include "relay/wal_record.h"

static bool lies_in(struct slice part, struct slice whole)
{
    return part.data == NULL || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void must_be_borrowed(const struct record *record, struct slice content, struct slice scratch)
{
    const struct slice parts[] = {record->key, record->value};
    for (size_t i = 0; i < 2; i++) MUST(lies_in(parts[i], content) || lies_in(parts[i], scratch));
    bool is_wrapped = record->topic == RECORD_DEAD_LETTER && record->headers_len == 1 && record->value.data == content.data;
    for (size_t i = 0; i < record->headers_len && !is_wrapped; i++) {
        struct slice value = record->headers[i].value;
        MUST(lies_in(value, content) || lies_in(value, scratch));
    }
}

/* Every message of this service becomes records, until nothing of it is left: what holds none is a dead letter. */
static void take_records(struct pgoutput *message, struct buf *scratch)
{
    static const struct event_context events = {SLICE("/fuzz"), false};
    struct record record;
    if (!wal_record_is_in(message)) return;
    while (message->content.len > 0) {
        struct slice content = message->content;
        enum status status = wal_record_take(message, &events, scratch, &record);
        MUST(status == STATUS_OK || status == STATUS_NO_MEMORY);
        if (status != STATUS_OK) return;
        MUST(message->content.len < content.len && lies_in(message->content, content));
        must_be_borrowed(&record, content, buf_slice(scratch));
    }
}

static void position(uint64_t lsn)
{
    char text[LSN_TEXT_MAX];
    uint64_t again;
    MUST(lsn_parse(slice_of(lsn_format(lsn, text)), &again) && again == lsn);
}

static void read_payload(struct slice bytes, struct buf *scratch)
{
    struct pgoutput message;
    uint64_t lsn;
    if (lsn_parse(bytes, &lsn)) position(lsn);
    if (!pgoutput_decode(bytes, &message)) return;
    MUST(lies_in(message.prefix, bytes) && lies_in(message.content, bytes));
    MUST(message.kind == PGOUTPUT_MESSAGE || (message.content.data == NULL && !message.transactional));
    position(message.end_lsn);
    take_records(&message, scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf scratch;
    log_configure(LOG_LEVEL_ERROR + 1, false);
    buf_init(&scratch, 32 << 20);
    for (size_t at = 0; at + 2 <= size;) {
        size_t len = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        if (len > size - at) len = size - at;
        read_payload(slice_of_input(data + at, len), &scratch);
        at += len;
    }
    buf_done(&scratch);
    return 0;
}
