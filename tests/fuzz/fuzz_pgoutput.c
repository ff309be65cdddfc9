/* The replication stream's payloads: whatever is borrowed lies inside the input. */
#include "fuzz.h"
#include "relay/pgoutput.h"

static void must_lie_in(struct slice part, struct slice whole)
{
    MUST(part.data == NULL || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgoutput message;
    struct slice bytes = slice_of_input(data, size);
    if (!pgoutput_decode(bytes, &message)) return 0;
    must_lie_in(message.prefix, bytes);
    must_lie_in(message.content, bytes);
    return 0;
}
