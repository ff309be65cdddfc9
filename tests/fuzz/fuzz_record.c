/* Packed records: what can be unpacked packs to the same bytes. */
#include "codec/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record record;
    struct slice bytes = slice_of_input(data, size);
    if (!record_unpack(bytes, &record)) return 0;
    struct buf again;
    buf_init(&again, size + 1);
    record_pack(&again, &record);
    MUST(!again.failed && slice_equal(buf_slice(&again), bytes));
    buf_done(&again);
    return 0;
}
