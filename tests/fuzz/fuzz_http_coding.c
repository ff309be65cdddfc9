/* A coded body, the first byte of the input saying of which coding it is: it becomes at most the maximum. */
#include "api/http_coding.h"
#include "fuzz.h"

enum { BODY_MAX = 100 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text;
    if (size == 0) return 0;
    buf_init(&text, BODY_MAX);
    enum http_coding coding = data[0] & 1 ? HTTP_CODING_GZIP : HTTP_CODING_DEFLATE;
    enum status status = http_decode(slice_of_input(data + 1, size - 1), coding, &text);
    MUST(status == STATUS_OK || status == STATUS_UNDECODABLE || status == STATUS_TOO_LARGE);
    MUST(text.len <= BODY_MAX && (status != STATUS_OK || !text.failed));
    buf_done(&text);
    return 0;
}
