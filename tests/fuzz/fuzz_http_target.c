/* The target of a request: rewritten, cut into path and query, matched, and its numbers read. */
#include <math.h>

#include "fuzz.h"
#include "api/http_path.h"
#include "api/http_query.h"

static void must_lie_in(struct slice part, struct slice whole)
{
    MUST(part.data == NULL || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

static void must_be_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) MUST(text.data[i] > ' ' && text.data[i] < 0x7f);
}

/* The pattern with the parameters put in is the path again, but for the slash that may end it. */
static void match(const char *pattern, struct slice path)
{
    struct path_params params;
    struct buf again;
    if (!path_match(pattern, path, &params)) return;
    buf_init(&again, path.len + 1);
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '{') {
            buf_append_char(&again, *p);
            continue;
        }
        struct slice name = {p + 1, strcspn(p, "}") - 1};
        for (size_t i = 0; i < params.len; i++) {
            if (slice_equal(params.items[i].name, name)) buf_append_slice(&again, params.items[i].value);
        }
        p += name.len + 1;
    }
    for (size_t i = 0; i < params.len; i++) {
        MUST(params.items[i].value.len > 0);
        must_lie_in(params.items[i].value, path);
    }
    if (again.len < path.len) buf_append_char(&again, '/');
    MUST(!again.failed && slice_equal(buf_slice(&again), path));
    buf_done(&again);
}

/* A number reads the same when it is written out, and as the query reads it where nothing is encoded. */
static void number(struct slice raw)
{
    int64_t value;
    int64_t again;
    struct buf text;
    if (!path_int(raw, &value)) return;
    buf_init(&text, 32);
    buf_append_int(&text, value);
    MUST(path_int(buf_slice(&text), &again) && again == value);
    if (memchr(raw.data, '%', raw.len) == NULL) MUST(query_number(raw) == (double)value);
    buf_done(&text);
}

static void page(struct slice target, struct arena *arena)
{
    struct page page;
    struct violations violations = {0};
    json_t *values = NULL;
    enum status status = query_page(target, arena, &page, &values, &violations);
    MUST(status == STATUS_OK        ? violations.len == 0 && page.take >= 1 && page.take <= PAGE_TAKE_MAX && page.skip >= 0
         : status == STATUS_INVALID ? violations.len > 0
                                    : status == STATUS_NO_MEMORY);
    if (status != STATUS_NO_MEMORY) {
        char *text = json_dumps(values, JSON_COMPACT);
        MUST(text != NULL);
        free(text);
    }
    json_decref(values);
}

static void query(struct slice target, struct arena *arena)
{
    struct slice value;
    if (!query_value(target, SLICE("take"), arena, &value)) return;
    MUST(value.len <= target.len);
    double number = query_number(value);
    MUST(isnan(number) || isinf(number) || number == trunc(number));
    page(target, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice raw = slice_of_input(data, size);
    struct arena *arena = arena_new(1 << 20);
    struct slice target = target_rewrite(raw, arena);
    if (target.data != NULL) {
        must_be_printable(target);
        struct slice path = target_path(target);
        MUST(path.data == target.data && path.len <= target.len);
        match("/v2/organizations/{orgId}/users/{userId}/schedules/{scheduleId}", path);
        match("/v2/schedules/{scheduleId}", path);
        match("/v2/schedules", path);
        query(target, arena);
    }
    number(raw);
    arena_free(arena);
    return 0;
}
