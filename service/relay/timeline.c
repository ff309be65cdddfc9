#include "relay/timeline.h"

#include <string.h>

#include "core/lsn.h"

static struct slice take_until(struct slice *rest, char end)
{
    const char *found = rest->len == 0 ? NULL : memchr(rest->data, end, rest->len);
    size_t len = found == NULL ? rest->len : (size_t)(found - rest->data);
    struct slice taken = {rest->data, len};
    size_t passed = found == NULL ? len : len + 1;
    *rest = (struct slice){rest->data + passed, rest->len - passed};
    return taken;
}

static bool parse_timeline(struct slice text, uint32_t *ret_timeline)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        number = number * 10 + (uint64_t)(text.data[i] - '0');
        if (number > UINT32_MAX) return false;
    }
    *ret_timeline = (uint32_t)number;
    return number > 0;
}

static void add(struct timeline_history *history, struct timeline_ancestor ancestor)
{
    if (history->ancestors_len == TIMELINE_ANCESTORS_MAX) {
        history->ancestors_len--;
        memmove(history->ancestors, history->ancestors + 1, history->ancestors_len * sizeof(ancestor));
    }
    history->ancestors[history->ancestors_len++] = ancestor;
}

/* "<timeline> TAB <switch> TAB <reason>"; lines that are empty or begin with # are comments. */
static bool read_line(struct slice line, struct timeline_history *history)
{
    struct timeline_ancestor ancestor;
    if (line.len == 0 || line.data[0] == '#') return true;
    if (!parse_timeline(take_until(&line, '\t'), &ancestor.timeline)) return false;
    if (!lsn_parse(take_until(&line, '\t'), &ancestor.end)) return false;
    add(history, ancestor);
    return true;
}

bool timeline_history_read(struct slice content, struct timeline_history *history)
{
    history->ancestors_len = 0;
    while (content.len > 0) {
        if (!read_line(take_until(&content, '\n'), history)) return false;
    }
    return true;
}

uint64_t timeline_end(const struct timeline_history *history, uint32_t timeline)
{
    if (timeline == history->timeline) return UINT64_MAX;
    for (size_t i = history->ancestors_len; i > 0; i--) {
        if (history->ancestors[i - 1].timeline == timeline) return history->ancestors[i - 1].end;
    }
    return 0;
}
