#include "source/kafka_message.h"

#include <stdlib.h>

#include "codec/dead_letter.h"
#include "codec/json_text.h"
#include "core/traceparent.h"
#include "driver/log.h"

enum { ARENA_MAX_BYTES = 16 << 20, RECORD_MAX_BYTES = 32 << 20 };

struct record_origin kafka_message_origin(const struct kafka_message *message)
{
    const rd_kafka_message_t *raw = message->raw;
    return (struct record_origin){slice_of(rd_kafka_topic_name(raw->rkt)), raw->partition, raw->offset};
}

struct slice kafka_message_header(const struct kafka_message *message, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t len = 0;
    if (rd_kafka_message_headers(message->raw, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return (struct slice){NULL, 0};
    if (rd_kafka_header_get_last(headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR) return (struct slice){NULL, 0};
    return (struct slice){value, len};
}

bool kafka_message_is_json(const struct kafka_message *message)
{
    return json_text_is_type(kafka_message_header(message, "content-type"));
}

void kafka_message_emit(struct kafka_message *message, enum kafka_verdict verdict)
{
    message->verdict = verdict;
    message->write.kind = WRITE_RECORD;
    message->write.record = buf_slice(&message->text);
}

static void copy_headers(const rd_kafka_message_t *raw, struct record *record)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name = NULL;
    const void *value = NULL;
    size_t len = 0;
    if (rd_kafka_message_headers(raw, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        record_add_header(record, slice_of(name), (struct slice){value, len});
    }
}

/* Until nothing can fail any more the write borrows from what there is. */
bool kafka_message_bury(struct kafka_message *message, struct slice reason)
{
    const rd_kafka_message_t *raw = message->raw;
    struct record_origin origin = kafka_message_origin(message);
    struct record record;
    record_start(&record, RECORD_DEAD_LETTER, (struct slice){raw->key, raw->key_len},
                 (struct slice){raw->payload, raw->len});
    copy_headers(raw, &record);
    struct buf text;
    buf_init(&text, RECORD_MAX_BYTES);
    dead_letter_pack(&text, &record, reason, &origin, DEAD_LETTER_BYTES_UNKNOWN);
    if (text.failed) {
        buf_done(&text);
        return false;
    }
    buf_done(&message->text);
    message->text = text;
    kafka_message_emit(message, VERDICT_DEAD_LETTER);
    LOG_WARN("message is a dead letter", LOG_SLICE("reason", reason), LOG_SLICE("topic", origin.topic),
             LOG_INT("partition", origin.partition), LOG_INT("offset", origin.offset), LOG_INT("bytes", raw->len));
    return true;
}

bool kafka_message_is_elsewhere(const struct kafka_message *message, enum status status)
{
    return status == STATUS_OFFSET_MOVED || (status == STATUS_DUPLICATE && message->write.schedule_id == 0);
}

struct kafka_message *kafka_message_new(rd_kafka_message_t *raw, const struct kafka_kind *kind,
                                        const struct time_zones *zones, const struct event_context *events,
                                        struct partition *partition)
{
    struct kafka_message *message = calloc(1, sizeof(*message));
    if (message == NULL) return NULL;
    message->kind = kind;
    message->events = events;
    message->raw = raw;
    message->arena = arena_new(ARENA_MAX_BYTES);
    buf_init(&message->text, RECORD_MAX_BYTES);
    message->write.partition = partition;
    message->write.offset = raw->offset;
    message->write.traceparent = traceparent_of(kafka_message_header(message, "traceparent"));
    if (message->arena == NULL || !kind->judge(message, zones)) {
        message->raw = NULL; /* stays the caller's */
        kafka_message_free(message);
        return NULL;
    }
    return message;
}

void kafka_message_free(struct kafka_message *message)
{
    if (message == NULL) return;
    if (message->raw != NULL) rd_kafka_message_destroy(message->raw);
    buf_done(&message->text);
    arena_free(message->arena);
    free(message);
}
