#include "driver/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static enum log_level least_level = LOG_LEVEL_INFO;
static bool as_json;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_configure(enum log_level least, bool json)
{
    least_level = least;
    as_json = json;
}

bool log_enabled(enum log_level level)
{
    return level >= least_level;
}

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

/* Leaves room for the closing brace and the newline. */
static void put(struct line *line, const char *data, size_t len)
{
    size_t room = LINE_MAX_BYTES - 3 - line->len;
    if (len > room) len = room;
    memcpy(line->text + line->len, data, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_quoted(struct line *line, struct slice text)
{
    put(line, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        char escaped[8];
        if (c == '"' || c == '\\') {
            put(line, (char[]){'\\', (char)c}, 2);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
            put_text(line, escaped);
        } else {
            put(line, (const char *)&text.data[i], 1);
        }
    }
    put(line, "\"", 1);
}

static bool needs_quotes(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
    }
    return text.len == 0;
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

static void put_field(struct line *line, const char *key, struct slice text)
{
    put_key(line, key);
    if (as_json || needs_quotes(text)) {
        put_quoted(line, text);
    } else {
        put(line, text.data, text.len);
    }
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
    put_time(&line);
    put_field(&line, "level", slice_of(level_names[level]));
    put_field(&line, "msg", slice_of(message));
    for (size_t i = 0; i < fields_len; i++) {
        if (fields[i].kind == LOG_FIELD_TEXT) {
            put_field(&line, fields[i].key, fields[i].text);
        } else {
            char number[24];
            snprintf(number, sizeof(number), "%" PRId64, fields[i].number);
            put_key(&line, fields[i].key);
            put_text(&line, number);
        }
    }
    if (as_json) line.text[line.len++] = '}';
    line.text[line.len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line.text, line.len);
    (void)written; /* there is nowhere left to tell */
}
