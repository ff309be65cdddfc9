/* Packed records: what can be taken packs to the same bytes, and can be cut to any size that holds a dead letter's own headers. */
#include "codec/dead_letter.h"
#include "fuzz.h"

static void cut(struct record *record, size_t bytes_max, struct dead_letter_texts *texts)
{
    struct buf packed;
    const size_t before = record_wire_bytes(record);
    const bool fits = dead_letter_cut(record, bytes_max, texts);
    MUST(fits == (record_wire_bytes(record) <= bytes_max));
    MUST(record->headers_len <= RECORD_HEADERS_MAX);
    if (before <= bytes_max) MUST(record_wire_bytes(record) == before);
    buf_init(&packed, 1 << 20);
    record_pack(&packed, record);
    MUST(!packed.failed);
    buf_done(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record record;
    struct dead_letter_texts texts; /* of both cuts: the record borrows them */
    struct slice bytes = slice_of_input(data, size);
    struct slice rest = bytes;
    struct buf again;
    buf_init(&again, size + 1);
    while (record_take(&rest, &record)) {
        record_pack(&again, &record);
        cut(&record, size / 2, &texts);
        cut(&record, size / 4, &texts);
    }
    buf_append_slice(&again, rest);
    MUST(!again.failed && slice_equal(buf_slice(&again), bytes));
    buf_done(&again);
    return 0;
}
