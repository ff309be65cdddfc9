#include "codec/schedule_json.h"

#include "codec/json_text.h"

/* JSON null is an absent value. */
static bool is_absent(const json_t *value)
{
    return value == NULL || json_is_null(value);
}

struct input_text input_text_from_json(const json_t *value)
{
    if (json_is_string(value)) {
        return (struct input_text){INPUT_GIVEN, {json_string_value(value), json_string_length(value)}};
    }
    return (struct input_text){is_absent(value) ? INPUT_ABSENT : INPUT_OTHER, {NULL, 0}};
}

/* A member that must not be taken away: null is a value, of a wrong type. */
static struct input_text kept_text_from_json(const json_t *value)
{
    struct input_text text = input_text_from_json(value);
    if (json_is_null(value)) text.kind = INPUT_OTHER;
    return text;
}

static bool read_days(const json_t *value, struct arena *arena, struct input_days *days)
{
    days->kind = json_is_array(value) ? INPUT_GIVEN : is_absent(value) ? INPUT_ABSENT : INPUT_OTHER;
    days->all_valid = json_is_array(value) || weekday_parse(input_text_from_json(value).text) != WEEKDAY_NONE;
    if (days->kind != INPUT_GIVEN) return true;
    days->len = json_array_size(value);
    uint8_t *items = arena_alloc(arena, days->len);
    if (items == NULL) return false;
    for (size_t i = 0; i < days->len; i++) {
        struct input_text name = input_text_from_json(json_array_get(value, i));
        items[i] = (uint8_t)weekday_parse(name.text);
        if (items[i] == WEEKDAY_NONE) days->all_valid = false;
    }
    days->items = items;
    return true;
}

static bool read_item(const json_t *value, struct arena *arena, struct input_item *item)
{
    item->is_object = json_is_object(value);
    if (!item->is_object) return true;
    item->date = input_text_from_json(json_object_get(value, "date"));
    item->start_time = input_text_from_json(json_object_get(value, "startTime"));
    item->end_time = input_text_from_json(json_object_get(value, "endTime"));
    return read_days(json_object_get(value, "days"), arena, &item->days);
}

/* max bounds the items that are read; a longer list is refused by its length alone. */
static bool read_list(const json_t *value, struct arena *arena, size_t max, struct input_list *list)
{
    if (is_absent(value)) return true;
    list->kind = json_is_array(value) ? INPUT_GIVEN : INPUT_OTHER;
    list->is_object = json_is_object(value);
    list->len = list->kind == INPUT_GIVEN ? json_array_size(value) : list->is_object;
    size_t len = list->len < max ? list->len : max;
    struct input_item *items = arena_calloc(arena, len, sizeof(*items));
    if (items == NULL) return false;
    for (size_t i = 0; i < len; i++) {
        if (!read_item(list->is_object ? value : json_array_get(value, i), arena, &items[i])) return false;
    }
    list->items = items;
    return true;
}

bool schedule_input_from_json(const json_t *body, struct arena *arena, struct schedule_input *ret_input)
{
    *ret_input = (struct schedule_input){0};
    const json_t *is_default = json_object_get(body, "isDefault");
    for (size_t i = 0; i < SCHEDULE_UNSERVED_FIELDS; i++) {
        ret_input->has_unserved[i] = !is_absent(json_object_get(body, schedule_unserved_field(i).data));
    }
    ret_input->name = kept_text_from_json(json_object_get(body, "name"));
    ret_input->time_zone = kept_text_from_json(json_object_get(body, "timeZone"));
    ret_input->is_default.kind = json_is_boolean(is_default) ? INPUT_GIVEN
                                 : is_absent(is_default)     ? INPUT_ABSENT
                                                             : INPUT_OTHER;
    ret_input->is_default.value = json_is_true(is_default);
    return read_list(json_object_get(body, "availability"), arena, SCHEDULE_WINDOWS_MAX, &ret_input->availability) &&
           read_list(json_object_get(body, "overrides"), arena, SCHEDULE_OVERRIDES_MAX, &ret_input->overrides);
}

void json_write_string(struct buf *out, struct slice text)
{
    static const char hex[] = "0123456789abcdef";
    buf_append_char(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        buf_append(out, text.data + start, i - start);
        start = i + 1;
        const char *shorts = "\"\\\b\f\n\r\t";
        const char *at = c == 0 ? NULL : strchr(shorts, c);
        if (at != NULL) {
            buf_append(out, (char[]){'\\', "\"\\bfnrt"[at - shorts]}, 2);
        } else {
            buf_append(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        }
    }
    if (start < text.len) buf_append(out, text.data + start, text.len - start);
    buf_append_char(out, '"');
}

static void write_text(struct buf *out, const char *text)
{
    buf_append(out, text, strlen(text));
}

/* Items are written into room for the longest, of which what they do not take is given back. */
enum { WEEKDAY_ROOM = sizeof("\"Wednesday\","), ITEM_ROOM = 128 };

static char *put(char *to, struct slice text)
{
    memcpy(to, text.data, text.len);
    return to + text.len;
}

static char *put_time(char *to, uint16_t minute)
{
    time_format(minute, to);
    return to + TIME_TEXT_LEN;
}

/* `"startTime":"09:00","endTime":"17:00"}` */
static char *put_times(char *to, uint16_t start_minute, uint16_t end_minute)
{
    to = put_time(put(to, SLICE("\"startTime\":\"")), start_minute);
    to = put_time(put(to, SLICE("\",\"endTime\":\"")), end_minute);
    return put(to, SLICE("\"}"));
}

static void write_window(struct buf *out, const struct availability_window *window)
{
    char *to = buf_extend(out, ITEM_ROOM + window->days_len * WEEKDAY_ROOM);
    if (to == NULL) return;
    to = put(to, SLICE("{\"days\":["));
    for (size_t i = 0; i < window->days_len; i++) {
        to = put(to, i == 0 ? SLICE("\"") : SLICE(",\""));
        to = put(put(to, weekday_name((enum weekday)window->days[i])), SLICE("\""));
    }
    to = put(to, SLICE("],"));
    buf_end_at(out, put_times(to, window->start_minute, window->end_minute));
}

static void write_override(struct buf *out, const struct date_override *override)
{
    char *to = buf_extend(out, ITEM_ROOM);
    if (to == NULL) return;
    to = put(to, SLICE("{\"date\":\""));
    date_format(override->date, to);
    to = put(to + DATE_TEXT_LEN, SLICE("\","));
    buf_end_at(out, put_times(to, override->start_minute, override->end_minute));
}

void availability_write_json(struct buf *out, const struct schedule *schedule)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < schedule->windows_len; i++) {
        if (i > 0) buf_append_char(out, ',');
        write_window(out, &schedule->windows[i]);
    }
    buf_append_char(out, ']');
}

void overrides_write_json(struct buf *out, const struct schedule *schedule)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < schedule->overrides_len; i++) {
        if (i > 0) buf_append_char(out, ',');
        write_override(out, &schedule->overrides[i]);
    }
    buf_append_char(out, ']');
}

struct schedule_row schedule_row_of(const struct stored_schedule *stored, struct buf *availability, struct buf *overrides)
{
    availability_write_json(availability, &stored->schedule);
    overrides_write_json(overrides, &stored->schedule);
    return (struct schedule_row){
        .id = stored->id,
        .owner_id = stored->owner_id,
        .org_id = stored->org_id,
        .name = stored->schedule.name,
        .time_zone = stored->schedule.time_zone,
        .availability_json = buf_slice(availability),
        .overrides_json = buf_slice(overrides),
        .is_default = stored->schedule.is_default,
        .version = stored->version,
    };
}

void schedule_write_json(struct buf *out, const struct schedule_row *row)
{
    write_text(out, "{\"id\":");
    buf_append_int(out, row->id);
    write_text(out, ",\"ownerId\":");
    buf_append_int(out, row->owner_id);
    write_text(out, ",\"name\":");
    json_write_string(out, row->name);
    write_text(out, ",\"timeZone\":");
    json_write_string(out, row->time_zone);
    write_text(out, ",\"availability\":");
    buf_append_slice(out, row->availability_json);
    write_text(out, row->is_default ? ",\"isDefault\":true,\"overrides\":" : ",\"isDefault\":false,\"overrides\":");
    buf_append_slice(out, row->overrides_json);
    buf_append_char(out, '}');
}

static enum status read_column(struct slice text, size_t max, struct arena *arena, json_t **value,
                               struct input_list *ret_list)
{
    struct json_fault fault;
    enum status status = json_text_parse_stored(text, value, &fault);
    if (status != STATUS_OK) return status;
    return read_list(*value, arena, max, ret_list) ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status schedule_of_row(const struct schedule_row *row, struct arena *arena, struct schedule *ret_schedule)
{
    struct violations violations = {0};
    json_t *windows = NULL;
    json_t *overrides = NULL;
    struct schedule_input input = {
        .name = {INPUT_GIVEN, row->name},
        .time_zone = {INPUT_GIVEN, row->time_zone},
        .is_default = {INPUT_GIVEN, row->is_default},
    };
    enum status status = read_column(row->availability_json, SCHEDULE_WINDOWS_MAX, arena, &windows, &input.availability);
    if (status == STATUS_OK) {
        status = read_column(row->overrides_json, SCHEDULE_OVERRIDES_MAX, arena, &overrides, &input.overrides);
    }
    if (status == STATUS_OK) status = schedule_check(&input, SCHEDULE_NEW, NULL, arena, ret_schedule, &violations);
    json_decref(windows);
    json_decref(overrides);
    return status == STATUS_INVALID ? STATUS_UNDECODABLE : status;
}
