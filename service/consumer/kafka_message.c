#include "consumer/kafka_message.h"

#include <stdlib.h>
#include <string.h>

#include "codec/dead_letter.h"
#include "codec/json_text.h"
#include "core/traceparent.h"
#include "driver/log.h"

enum { ARENA_MAX_BYTES = 16 << 20, RECORD_MAX_BYTES = 32 << 20 };

struct record_origin kafka_message_origin(const struct kafka_message *message)
{
    const struct partition *partition = message->pending_write.partition;
    return (struct record_origin){slice_of(partition->topic), partition->number, message->pending_write.offset};
}

struct slice kafka_message_header(const struct kafka_message *message, const char *name)
{
    const void *value = NULL;
    size_t len = 0;
    if (message->headers == NULL) return (struct slice){NULL, 0};
    if (rd_kafka_header_get_last(message->headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return (struct slice){NULL, 0};
    }
    return (struct slice){value, len};
}

bool kafka_message_is_json(const struct kafka_message *message)
{
    return json_text_is_type(kafka_message_header(message, "content-type"));
}

void kafka_message_emit(struct kafka_message *message, enum kafka_verdict verdict)
{
    message->verdict = verdict;
    message->pending_write.kind = WRITE_RECORD;
    message->pending_write.record = buf_slice(&message->text);
}

static void add_headers(const rd_kafka_headers_t *headers, struct record *record)
{
    const char *name = NULL;
    const void *value = NULL;
    size_t len = 0;
    if (headers == NULL) return;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        record_add_header(record, slice_of(name), (struct slice){value, len});
    }
}

/* Until nothing can fail any more the write borrows from what there is. */
bool kafka_message_make_dead_letter(struct kafka_message *message, struct slice reason)
{
    struct record_origin origin = kafka_message_origin(message);
    struct record record;
    record_start(&record, RECORD_DEAD_LETTER, message->key, message->value);
    add_headers(message->headers, &record);
    struct buf text;
    buf_init(&text, RECORD_MAX_BYTES);
    dead_letter_pack(&text, &record, reason, &origin, message->context->dead_letter_bytes_max);
    if (text.failed) {
        buf_done(&text);
        return false;
    }
    buf_done(&message->text);
    message->text = text;
    kafka_message_emit(message, VERDICT_DEAD_LETTER);
    LOG_WARN("message is a dead letter", LOG_SLICE("reason", reason), LOG_SLICE("topic", origin.topic),
             LOG_INT("partition", origin.partition), LOG_INT("offset", origin.offset), LOG_INT("bytes", message->value.len));
    return true;
}

bool kafka_message_is_elsewhere(const struct kafka_message *message, enum status status)
{
    return status == STATUS_OFFSET_MOVED || (status == STATUS_DUPLICATE && message->pending_write.schedule_id == 0);
}

static struct slice copy_or_null(struct kafka_message *message, struct slice bytes)
{
    return bytes.data == NULL ? bytes : arena_copy(message->arena, bytes);
}

/* What is carried out may still be refused. What does not fit beside all that was decoded is a dead letter now. False when memory is out. */
static bool keep_original(struct kafka_message *message, rd_kafka_message_t *raw)
{
    struct slice key = copy_or_null(message, message->key);
    struct slice value = copy_or_null(message, message->value);
    enum status status = arena_failure(message->arena);
    if (status == STATUS_TOO_LARGE) return kafka_message_make_dead_letter(message, slice_of(status_text(status)));
    if (status != STATUS_OK) return false;
    message->is_kept = true;
    message->key = key;
    message->value = value;
    message->headers = NULL;
    (void)rd_kafka_message_detach_headers(raw, &message->headers); /* fails when there are none */
    message->bytes = key.len + value.len;
    return true;
}

static void forget_original(struct kafka_message *message)
{
    message->key = message->value = message->pending_write.traceparent = (struct slice){NULL, 0};
    message->headers = NULL;
}

static struct kafka_message *message_new(const struct kafka_context *context)
{
    struct arena *arena = arena_pool_take(context->arenas, ARENA_MAX_BYTES);
    struct kafka_message *message = arena == NULL ? NULL : arena_calloc(arena, 1, sizeof(*message));
    if (message == NULL) {
        arena_free(arena);
        return NULL;
    }
    message->arena = arena;
    message->context = context;
    buf_init(&message->text, RECORD_MAX_BYTES);
    return message;
}

struct kafka_message *kafka_message_new(rd_kafka_message_t *raw, const struct kafka_context *context,
                                        struct partition *partition)
{
    struct kafka_message *message = message_new(context);
    if (message == NULL) return NULL;
    message->key = (struct slice){raw->key, raw->key_len};
    message->value = (struct slice){raw->payload, raw->len};
    (void)rd_kafka_message_headers(raw, &message->headers);
    message->pending_write.partition = partition;
    message->pending_write.offset = raw->offset;
    message->pending_write.traceparent = traceparent_of(kafka_message_header(message, "traceparent"));
    bool ok = context->handler->decode_and_validate(message, *context->zones);
    if (ok && message->verdict == VERDICT_WRITE) ok = keep_original(message, raw);
    if (!ok) {
        kafka_message_free(message);
        return NULL;
    }
    if (message->verdict != VERDICT_WRITE) forget_original(message);
    message->bytes += message->text.len;
    return message;
}

void kafka_message_free(struct kafka_message *message)
{
    if (message == NULL) return;
    if (message->is_kept && message->headers != NULL) rd_kafka_headers_destroy(message->headers);
    buf_done(&message->text);
    arena_free(message->arena);
}
