#include "codec/error_json.h"

#include "codec/schedule_json.h"
#include "core/instant.h"

enum { VALUE_BYTES_MAX = 200 }; /* of a text that is shown */

void rfc3339_ms_format(int64_t wall_us, char text[RFC3339_MS_SIZE])
{
    char seconds[INSTANT_TEXT_MAX];
    int ms = (int)(wall_us % 1000000 / 1000);
    size_t len = instant_format_utc(wall_us / 1000000, seconds).len - 1; /* without its Z */
    const char rest[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', '\0'};
    memcpy(text, seconds, len);
    memcpy(text + len, rest, sizeof(rest));
}

/* Everything up to the value of "details". */
static void write_head(struct buf *out, struct slice code, struct slice message, struct slice path, int64_t wall_us)
{
    char time[RFC3339_MS_SIZE];
    rfc3339_ms_format(wall_us, time);
    buf_printf(out, "{\"status\":\"error\",\"timestamp\":\"%s\",\"path\":", time);
    json_write_string(out, path);
    buf_printf(out, ",\"error\":{\"code\":");
    json_write_string(out, code);
    buf_printf(out, ",\"message\":");
    json_write_string(out, message);
    buf_printf(out, ",\"details\":");
}

void error_write_json(struct buf *out, int status_code, struct slice code, struct slice reason, struct slice message,
                      struct slice path, int64_t wall_us)
{
    write_head(out, code, message, path, wall_us);
    if (reason.len > 0) {
        buf_printf(out, "{\"message\":");
        json_write_string(out, message);
        buf_printf(out, ",\"error\":");
        json_write_string(out, reason);
        buf_printf(out, ",\"statusCode\":%d}}}", status_code);
    } else {
        json_write_string(out, message);
        buf_printf(out, "}}");
    }
}

/* The first segment of a path, cut off it. */
static struct slice take_segment(struct slice *path)
{
    const char *dot = memchr(path->data, '.', path->len);
    struct slice segment = {path->data, dot == NULL ? path->len : (size_t)(dot - path->data)};
    size_t used = dot == NULL ? path->len : segment.len + 1;
    *path = (struct slice){path->data + used, path->len - used};
    return segment;
}

/* The rest of a violation's path below depth segments; empty when it ends there. */
static struct slice below(struct slice path, int depth)
{
    for (int i = 0; i < depth; i++) take_segment(&path);
    return path;
}

static const json_t *member(const json_t *value, struct slice name)
{
    if (json_is_object(value)) return json_object_getn(value, name.data, name.len);
    size_t index = 0;
    for (size_t i = 0; i < name.len; i++) index = index * 10 + (size_t)(name.data[i] - '0');
    return json_array_get(value, index);
}

/* What was sent there, if that is a short leaf: nobody is helped by a whole list once more at each of its items. */
static void write_value(struct buf *out, const json_t *value)
{
    if (value == NULL || json_is_object(value) || json_is_array(value)) return;
    if (json_is_string(value) && json_string_length(value) > VALUE_BYTES_MAX) return;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text != NULL) buf_printf(out, "\"value\":%s,", text);
    else out->failed = true;
    free(text);
}

static void write_level(struct buf *out, const json_t *value, const struct violation *items, size_t len, int depth);

/* One property's object: the violations items[0..len) share the path down to it, which is depth + 1 segments. */
static void write_property(struct buf *out, const json_t *parent, const struct violation *items, size_t len, int depth)
{
    struct slice rest = below(items[0].property, depth);
    struct slice name = take_segment(&rest);
    const json_t *value = member(parent, name);
    size_t own = 0;
    while (own < len && below(items[own].property, depth + 1).len == 0) own++;
    buf_append_char(out, '{');
    write_value(out, value);
    buf_printf(out, "\"property\":");
    json_write_string(out, name);
    buf_printf(out, ",\"children\":");
    write_level(out, value, items + own, len - own, depth + 1);
    for (size_t i = 0; i < own; i++) {
        buf_printf(out, i == 0 ? ",\"constraints\":{" : ",");
        json_write_string(out, items[i].constraint);
        buf_append_char(out, ':');
        json_write_string(out, items[i].message);
    }
    buf_printf(out, own > 0 ? "}}" : "}");
}

/* An array with one object for each property at this depth. Violations of one property follow each other. */
static void write_level(struct buf *out, const json_t *value, const struct violation *items, size_t len, int depth)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < len;) {
        struct slice first = below(items[i].property, depth);
        struct slice name = take_segment(&first);
        size_t end = i + 1;
        for (; end < len; end++) {
            struct slice other = below(items[end].property, depth);
            if (!slice_equal(take_segment(&other), name)) break;
        }
        if (i > 0) buf_append_char(out, ',');
        write_property(out, value, items + i, end - i, depth);
        i = end;
    }
    buf_append_char(out, ']');
}

void validation_error_write_json(struct buf *out, const json_t *body, const struct violations *violations, struct slice path,
                                 int64_t wall_us)
{
    write_head(out, SLICE("BadRequestException"), SLICE("Bad Request Exception"), path, wall_us);
    buf_printf(out, "{\"errors\":");
    write_level(out, body, violations->items, violations->len, 0);
    buf_printf(out, "}}}");
}
