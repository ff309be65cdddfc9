/* Structured logs on standard error: one line per event, logfmt or JSON, written with one write(2) so that lines of
 * different threads never mix. Safe from any thread after log_configure.
 *
 *     LOG_INFO("command rejected", LOG_UUID("command_id", &id), LOG_INT("partition", p), LOG_INT("offset", o));
 *
 * Never pass a secret: nothing here recognises one. */
#ifndef DRIVER_LOG_H
#define DRIVER_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/slice.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT } kind;
    struct slice text; /* borrowed during the call */
    int64_t number;
};

#define LOG_STR(key_, text_) ((struct log_field){.key = (key_), .kind = LOG_FIELD_TEXT, .text = slice_of(text_)})
#define LOG_SLICE(key_, slice_) ((struct log_field){.key = (key_), .kind = LOG_FIELD_TEXT, .text = (slice_)})
#define LOG_INT(key_, number_) ((struct log_field){.key = (key_), .kind = LOG_FIELD_INT, .number = (int64_t)(number_)})

/* Call once, before any thread starts. The default is logfmt at info. */
void log_configure(enum log_level least, bool json);

/* At any time, from any thread. */
void log_set_level(enum log_level least);

bool log_enabled(enum log_level level);

/* "debug" and the others; the level of another text is LOG_LEVEL_ERROR. */
const char *log_level_name(enum log_level level);
enum log_level log_level_of(const char *name);

/* Writes one line; fields_len may be 0. Lines over 4 KiB are cut. */
void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t fields_len);

/* The fields are evaluated only when the level is on. The first (empty) field lets a call have none. */
#define LOG_AT(level_, message_, ...)                                                                           \
    do {                                                                                                        \
        if (log_enabled(level_)) {                                                                              \
            const struct log_field log_fields_[] = {{0}, __VA_ARGS__};                                          \
            log_write((level_), (message_), log_fields_ + 1, sizeof(log_fields_) / sizeof(log_fields_[0]) - 1); \
        }                                                                                                       \
    } while (0)

#define LOG_DEBUG(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__, )
#define LOG_INFO(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__, )
#define LOG_WARN(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__, )
#define LOG_ERROR(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__, )

#endif
