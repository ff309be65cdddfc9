#include "driver/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/utf8.h"

enum { LINE_MAX_BYTES = 4096 };

static _Atomic enum log_level least_level = LOG_LEVEL_INFO;
static bool as_json;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_configure(enum log_level least, bool json)
{
    log_set_level(least);
    as_json = json;
}

void log_set_level(enum log_level least)
{
    atomic_store_explicit(&least_level, least, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

enum log_level log_level_of(const char *name)
{
    enum log_level level = LOG_LEVEL_DEBUG;
    while (level < LOG_LEVEL_ERROR && strcmp(level_names[level], name) != 0) level++;
    return level;
}

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool full;
};

/* What closes a line that is full: a quote, the brace and the newline. */
enum { CLOSING_BYTES = 3 };

/* Puts all of it, or nothing from the first piece on that does not fit. */
static void put(struct line *line, const char *data, size_t len)
{
    line->full = line->full || line->len + len > LINE_MAX_BYTES - CLOSING_BYTES;
    if (line->full) return;
    memcpy(line->text + line->len, data, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Bytes that are not UTF-8 are shown as escapes too: a line is text whatever a sender wrote. */
static void put_escaped(struct line *line, struct slice text, bool utf8)
{
    for (size_t i = 0; i < text.len && !line->full; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\') {
            put(line, (char[]){'\\', (char)c}, 2);
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
            char escaped[8];
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
            put_text(line, escaped);
        } else {
            size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
            put(line, text.data + i, len);
            i += len - 1;
        }
    }
}

static bool needs_quotes(struct slice text, bool utf8)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
    }
    return text.len == 0 || !utf8;
}

static void put_key(struct line *line, const char *key)
{
    if (as_json) {
        put_text(line, line->len == 0 ? "{\"" : ",\"");
        put_text(line, key);
        put_text(line, "\":");
    } else {
        if (line->len > 0) put(line, " ", 1);
        put_text(line, key);
        put(line, "=", 1);
    }
}

/* A field that does not fit is cut inside its text or left out. */
static void put_field(struct line *line, const char *key, struct slice text)
{
    size_t before = line->len;
    bool utf8 = utf8_is_valid(text);
    bool quoted = as_json || needs_quotes(text, utf8);
    put_key(line, key);
    if (quoted) put(line, "\"", 1);
    if (line->full) {
        line->len = before;
        return;
    }
    put_escaped(line, text, utf8);
    if (quoted) line->text[line->len++] = '"';
}

static void put_number(struct line *line, const char *key, int64_t value)
{
    size_t before = line->len;
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, value);
    put_key(line, key);
    put_text(line, number);
    if (line->full) line->len = before;
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, sizeof(text) - len, ".%03ldZ", now.tv_nsec / 1000000);
    put_field(line, "time", slice_of(text));
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t fields_len)
{
    struct line line;
    line.len = 0;
    line.full = false;
    put_time(&line);
    put_field(&line, "level", slice_of(level_names[level]));
    put_field(&line, "msg", slice_of(message));
    for (size_t i = 0; i < fields_len; i++) {
        if (fields[i].kind == LOG_FIELD_TEXT) {
            put_field(&line, fields[i].key, fields[i].text);
        } else {
            put_number(&line, fields[i].key, fields[i].number);
        }
    }
    if (as_json) line.text[line.len++] = '}';
    line.text[line.len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line.text, line.len);
    (void)written; /* there is nowhere left to tell */
}
