#include "core/commit_position.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/lsn.h"

struct slice commit_position_format(const struct commit_position *position, char text[COMMIT_POSITION_TEXT_MAX])
{
    char lsn[LSN_TEXT_MAX];
    int len = snprintf(text, COMMIT_POSITION_TEXT_MAX, "%" PRIu32 ":%s", position->timeline, lsn_format(position->lsn, lsn));
    return (struct slice){text, (size_t)len};
}

bool commit_position_parse(struct slice text, struct commit_position *ret_position)
{
    struct commit_position position;
    uint64_t timeline = 0;
    size_t i = 0;
    for (; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        timeline = timeline * 10 + (uint64_t)(text.data[i] - '0');
        if (timeline > UINT32_MAX) return false;
    }
    if (timeline == 0 || i == text.len || text.data[i] != ':') return false;
    position.timeline = (uint32_t)timeline;
    if (!lsn_parse((struct slice){text.data + i + 1, text.len - i - 1}, &position.lsn)) return false;
    *ret_position = position;
    return true;
}
