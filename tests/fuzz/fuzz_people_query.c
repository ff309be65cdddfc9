/* A question about several people: a target, a line break, and a body. What is read keeps every limit. */
#include "codec/error_json.h"
#include "codec/json_text.h"
#include "fuzz.h"
#include "api/http_people_query.h"

static bool is_among(const int64_t *ids, size_t len, int64_t id)
{
    for (size_t i = 0; i < len; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

static void check(const struct people_query *query)
{
    int64_t days = hours_query_days(&query->hours);
    MUST(days >= 1 && days <= HOURS_DAYS_MAX && days * (int64_t)query->users_len <= PEOPLE_DAYS_MAX);
    MUST((query->team_id > 0) != (query->users_len > 0) && query->users_len <= PEOPLE_MAX);
    for (size_t i = 0; i < query->users_len; i++) {
        MUST(query->users[i] > 0 && query->schedules[i] >= 0 && !is_among(query->users, i, query->users[i]));
    }
    MUST((query->combine == PEOPLE_AT_LEAST) == (query->at_least > 0) && query->at_least <= PEOPLE_MAX);
    MUST((query->combine == PEOPLE_GROUPS) == (query->groups_len > 0) && query->groups_len <= PEOPLE_GROUPS_MAX);
    for (size_t i = 0; i < query->groups_len; i++) {
        const struct people_group *group = &query->groups[i];
        MUST(group->users_len >= 1 && group->at_least >= 1 && group->at_least <= (int64_t)group->users_len);
        for (size_t j = 0; j < group->users_len; j++) {
            MUST(query->team_id > 0 || is_among(query->users, query->users_len, group->users[j]));
        }
    }
}

static void read_query(struct slice target, const json_t *body, const struct time_zones *names, struct arena *arena)
{
    struct people_query query;
    struct violations violations = {0};
    enum status status = people_query_read(body, target, names, arena, &query, &violations);
    MUST((status == STATUS_INVALID) == (violations.len > 0) || status == STATUS_NO_MEMORY);
    if (status == STATUS_OK) check(&query);
    if (status != STATUS_INVALID) return;
    struct buf envelope;
    buf_init(&envelope, 256 << 20);
    validation_error_write_json(&envelope, body, &violations, target, 1700000000000000);
    MUST(!envelope.failed);
    buf_done(&envelope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct time_zones *names;
    if (names == NULL) names = time_zones_new(SLICE(FUZZ_ZONES));
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t target_len = end == NULL ? size : (size_t)(end - data);
    struct arena *arena = arena_new(2 << 20);
    struct json_fault fault;
    json_t *body = NULL;
    struct slice text = slice_of_input(data + target_len, size - target_len);
    if (names != NULL && arena != NULL && json_text_parse(text, &body, &fault) == STATUS_OK && json_is_object(body)) {
        read_query(slice_of_input(data, target_len), body, names, arena);
    }
    json_decref(body);
    arena_free(arena);
    return 0;
}
