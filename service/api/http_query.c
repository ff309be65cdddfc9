#include "api/http_query.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/http_path.h"

enum { DIGITS_MAX = 309 }; /* of the largest double */

/* What stands behind the path's "?". */
static struct slice query_of(struct slice target)
{
    size_t start = target_path(target).len;
    if (start == target.len || target.data[start] != '?') return (struct slice){NULL, 0};
    struct slice query = {target.data + start + 1, target.len - start - 1};
    const char *fragment = memchr(query.data, '#', query.len);
    if (fragment != NULL) query.len = (size_t)(fragment - query.data);
    return query;
}

/* Takes what stands before the separator off the front, and the separator. */
static struct slice take_until(struct slice *rest, char separator)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->data, separator, rest->len);
    struct slice taken = {rest->data, end == NULL ? rest->len : (size_t)(end - rest->data)};
    size_t used = end == NULL ? taken.len : taken.len + 1;
    *rest = (struct slice){rest->data + used, rest->len - used};
    return taken;
}

static struct slice form_decode(struct slice raw, struct arena *arena)
{
    char *text = arena_alloc(arena, raw.len);
    size_t len = 0;
    if (text == NULL) return (struct slice){NULL, 0};
    for (size_t i = 0; i < raw.len; i++) {
        int byte = percent_byte(raw, i);
        text[len++] = byte >= 0 ? (char)byte : (char)(raw.data[i] == '+' ? ' ' : raw.data[i]);
        if (byte >= 0) i += 2;
    }
    return (struct slice){text, len};
}

/* The first parameter whose key is_it; data of both is NULL when there is none. False when the arena is full. */
static bool find_parameter(struct slice target, struct slice name, bool (*is_it)(struct slice key, struct slice name),
                           struct arena *arena, struct slice *ret_key, struct slice *ret_value)
{
    struct slice rest = query_of(target);
    *ret_key = *ret_value = (struct slice){NULL, 0};
    while (rest.len > 0) {
        struct slice raw = take_until(&rest, '&');
        struct slice key = form_decode(take_until(&raw, '='), arena);
        if (key.data == NULL) return false;
        if (!is_it(key, name)) continue;
        *ret_key = key;
        *ret_value = form_decode(raw, arena);
        return ret_value->data != NULL;
    }
    return true;
}

bool query_value(struct slice target, struct slice name, struct arena *arena, struct slice *ret_value)
{
    struct slice key;
    return find_parameter(target, name, slice_equal, arena, &key, ret_value);
}

struct slice query_without(struct slice target, struct slice name, struct arena *arena)
{
    struct slice path = target_path(target);
    struct slice rest = query_of(target);
    char *text = arena_alloc(arena, target.len + 1);
    size_t len = path.len;
    if (text == NULL) return (struct slice){NULL, 0};
    memcpy(text, path.data, path.len);
    while (rest.len > 0) {
        struct slice part = take_until(&rest, '&');
        struct slice raw = part;
        struct slice key = form_decode(take_until(&raw, '='), arena);
        if (key.data == NULL) return key;
        if (slice_equal(key, name)) continue;
        text[len] = len == path.len ? '?' : '&';
        memcpy(text + len + 1, part.data, part.len);
        len += 1 + part.len;
    }
    text[len] = '\0';
    return (struct slice){text, len};
}

static size_t span(struct slice text, size_t from, const char *set)
{
    size_t end = from;
    while (end < text.len && text.data[end] != '\0' && strchr(set, text.data[end]) != NULL) end++;
    return end - from;
}

double query_number(struct slice text)
{
    char digits[DIGITS_MAX + 2];
    size_t sign = span(text, 0, " \t\n\v\f\r");
    size_t first = sign < text.len && (text.data[sign] == '-' || text.data[sign] == '+') ? sign + 1 : sign;
    size_t zeros = span(text, first, "0");
    size_t len = span(text, first + zeros, "0123456789");
    if (zeros + len == 0) return NAN;
    double value = INFINITY;
    if (len <= DIGITS_MAX) {
        snprintf(digits, sizeof(digits), "0%.*s", (int)len, text.data + first + zeros);
        value = strtod(digits, NULL);
    }
    return text.data[sign] == '-' ? -value : value;
}

/* ---- pages ---- */

struct number_rule {
    struct slice name;
    int64_t absent; /* stands for one that is absent or empty */
    int64_t least;
    int64_t most;
};

static const struct number_rule take_rule = {{"take", 4}, PAGE_TAKE_MAX, 1, PAGE_TAKE_MAX};
static const struct number_rule skip_rule = {{"skip", 4}, 0, 0, PAGE_SKIP_MAX};

/* The constraints in reverse order of declaration, as everywhere in the envelope. A number that is none breaks all. */
static bool check_number(const struct number_rule *rule, double number, struct arena *arena, struct violations *violations)
{
    const char *name = rule->name.data;
    bool breaks_most = !(number <= (double)rule->most);
    bool breaks_least = !(number >= (double)rule->least);
    if (breaks_most) {
        violations_add(violations, arena, rule->name, SLICE("max"),
                       arena_printf(arena, "%s must not be greater than %lld", name, (long long)rule->most));
    }
    if (breaks_least) {
        violations_add(violations, arena, rule->name, SLICE("min"),
                       arena_printf(arena, "%s must not be less than %lld", name, (long long)rule->least));
    }
    if (!isfinite(number)) {
        violations_add(violations, arena, rule->name, SLICE("isNumber"),
                       arena_printf(arena, "%s must be a number conforming to the specified constraints", name));
    }
    return !breaks_most && !breaks_least && isfinite(number);
}

/* Beyond 2^53 a double has no fraction to lose. */
static json_t *json_of(double number)
{
    const double exact_max = 9007199254740992;
    if (!isfinite(number)) return json_null();
    return fabs(number) <= exact_max ? json_integer((json_int_t)number) : json_real(number);
}

static int64_t int_of(double number)
{
    return number >= (double)INT64_MAX ? INT64_MAX : (int64_t)number;
}

/* A key that is the name, or begins a list or an object of that name: "name[]", "name[key]". */
static bool is_of_name(struct slice key, struct slice name)
{
    if (key.len < name.len || memcmp(key.data, name.data, name.len) != 0) return false;
    return key.len == name.len || key.data[name.len] == '[';
}

/* Of such keys, what is no object: the name, or an item of a list, "name[]" and "name[0]". */
static bool is_item(struct slice key, struct slice name)
{
    if (key.len == name.len) return true;
    if (key.data[key.len - 1] != ']') return false;
    for (size_t i = name.len + 1; i < key.len - 1; i++) {
        if (key.data[i] < '0' || key.data[i] > '9') return false;
    }
    return true;
}

/* The first parameter of that name, as query_value; of one that is an object no number can be read. */
static bool read_parameter(struct slice target, struct slice name, struct arena *arena, struct slice *ret_value)
{
    struct slice key;
    if (!find_parameter(target, name, is_of_name, arena, &key, ret_value)) return false;
    if (key.data != NULL && !is_item(key, name)) *ret_value = SLICE("[object Object]");
    return true;
}

static enum status read_rule(const struct number_rule *rule, struct slice target, struct arena *arena, int64_t *ret_number,
                             json_t *values, struct violations *violations)
{
    struct slice text;
    if (!read_parameter(target, rule->name, arena, &text)) return arena_failure(arena);
    if (text.len == 0) {
        *ret_number = rule->absent;
        return STATUS_OK;
    }
    double number = query_number(text);
    if (json_object_set_new(values, rule->name.data, json_of(number)) != 0) return STATUS_NO_MEMORY;
    if (!check_number(rule, number, arena, violations)) return STATUS_INVALID;
    *ret_number = int_of(number);
    return STATUS_OK;
}

/* An id, as the last item of a page has it. */
static enum status read_cursor(struct slice target, struct arena *arena, int64_t *ret_id, struct violations *violations)
{
    struct slice text;
    *ret_id = 0;
    if (!read_parameter(target, SLICE("cursor"), arena, &text)) return arena_failure(arena);
    if (text.len == 0 || (path_int(text, ret_id) && *ret_id > 0)) return STATUS_OK;
    violations_add(violations, arena, SLICE("cursor"), SLICE("isCursor"), SLICE("cursor must be one that an answer gave"));
    return STATUS_INVALID;
}

bool query_names(struct slice target, struct slice name, struct arena *arena, bool *ret_is_named)
{
    struct slice value;
    if (!read_parameter(target, name, arena, &value)) return false;
    *ret_is_named = value.data != NULL;
    return true;
}

enum status query_page(struct slice target, struct arena *arena, struct page *ret_page, json_t **ret_values,
                       struct violations *violations)
{
    struct page page;
    *ret_values = json_object();
    if (*ret_values == NULL) return STATUS_NO_MEMORY;
    enum status take = read_rule(&take_rule, target, arena, &page.take, *ret_values, violations);
    enum status skip = read_rule(&skip_rule, target, arena, &page.skip, *ret_values, violations);
    enum status cursor = read_cursor(target, arena, &page.cursor, violations);
    if (violations->out_of_memory) return arena_failure(arena);
    if (cursor != STATUS_OK && cursor != STATUS_INVALID) return cursor;
    if (take != STATUS_OK && take != STATUS_INVALID) return take;
    if (skip != STATUS_OK && skip != STATUS_INVALID) return skip;
    if (take != STATUS_OK || skip != STATUS_OK || cursor != STATUS_OK) return STATUS_INVALID;
    *ret_page = page;
    return STATUS_OK;
}
