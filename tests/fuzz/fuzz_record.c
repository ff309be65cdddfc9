/* Packed records: what can be taken packs to the same bytes. */
#include "codec/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record record;
    struct slice bytes = slice_of_input(data, size);
    struct slice rest = bytes;
    struct buf again;
    buf_init(&again, size + 1);
    while (record_take(&rest, &record)) record_pack(&again, &record);
    buf_append_slice(&again, rest);
    MUST(!again.failed && slice_equal(buf_slice(&again), bytes));
    buf_done(&again);
    return 0;
}
