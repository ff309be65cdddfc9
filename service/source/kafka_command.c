#include "source/kafka_command.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "codec/command_codec.h"
#include "core/traceparent.h"
#include "driver/clock.h"
#include "driver/log.h"

enum { ARENA_MAX_BYTES = 16 << 20, RECORD_MAX_BYTES = 32 << 20 };

static struct event_origin origin_of(const struct kafka_command *command)
{
    const rd_kafka_message_t *message = command->message;
    return (struct event_origin){slice_of(rd_kafka_topic_name(message->rkt)), message->partition, message->offset};
}

/* The last header of that name; empty when there is none. */
static struct slice header_of(const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t len = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return (struct slice){NULL, 0};
    if (rd_kafka_header_get_last(headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR) return (struct slice){NULL, 0};
    return (struct slice){value, len};
}

/* "application/json", with or without parameters, in any case. */
static bool is_json(struct slice content_type)
{
    static const char json[] = "application/json";
    size_t len = sizeof(json) - 1;
    if (content_type.len < len || strncasecmp(content_type.data, json, len) != 0) return false;
    return content_type.len == len || content_type.data[len] == ';' || content_type.data[len] == ' ';
}

static bool set_record(struct kafka_command *command, enum command_verdict verdict)
{
    if (command->record.failed) return false;
    command->verdict = verdict;
    command->write.kind = WRITE_RECORD;
    command->write.record = buf_slice(&command->record);
    return true;
}

static bool make_rejection(struct kafka_command *command, struct slice command_id, const struct violations *violations)
{
    const struct command *decoded = &command->write.command;
    struct event_origin origin = origin_of(command);
    buf_clear(&command->record);
    event_rejected(&command->record, command->events, command_id, decoded->org_id, decoded->user_id, violations, &origin,
                   clock_wall_us(), command->write.traceparent, command->arena);
    if (!set_record(command, VERDICT_REJECTION)) return false;
    assert(violations->len > 0);
    const struct violation *first = &violations->items[0];
    LOG_INFO("command rejected", LOG_SLICE("command_id", command_id), LOG_INT("org_id", decoded->org_id),
             LOG_INT("user_id", decoded->user_id), LOG_INT("partition", origin.partition), LOG_INT("offset", origin.offset),
             LOG_INT("violations", violations->len), LOG_SLICE("property", first->property),
             LOG_SLICE("constraint", first->constraint));
    return true;
}

static void copy_headers(const rd_kafka_message_t *message, struct record *record)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name = NULL;
    const void *value = NULL;
    size_t len = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        record_add_header(record, slice_of(name), (struct slice){value, len});
    }
}

/* What was decoded is of no use any more, and may have filled the arena: a fresh one takes its place. */
static bool make_dead_letter(struct kafka_command *command, const char *reason)
{
    const rd_kafka_message_t *message = command->message;
    arena_free(command->arena);
    command->arena = arena_new(ARENA_MAX_BYTES);
    if (command->arena == NULL) return false;
    struct event_origin origin = origin_of(command);
    struct record record;
    record.key = (struct slice){message->key, message->key_len};
    record.value = (struct slice){message->payload, message->len};
    record.headers_len = 0;
    copy_headers(message, &record);
    buf_clear(&command->record);
    event_dead_letter(&command->record, &record, slice_of(reason), &origin, command->arena);
    if (!set_record(command, VERDICT_DEAD_LETTER)) return false;
    LOG_WARN("command is a dead letter", LOG_STR("reason", reason), LOG_INT("partition", origin.partition),
             LOG_INT("offset", origin.offset), LOG_INT("bytes", message->len));
    return true;
}

/* The line from bytes to verdict. False when memory is out. */
static bool judge(struct kafka_command *command, const struct time_zones *zones)
{
    const rd_kafka_message_t *message = command->message;
    struct command_input input;
    struct violations violations = {0};
    const char *reason = "the value takes more than 16 MiB when it is read";
    struct slice bytes = {message->payload, message->len};
    enum command_kind kind;
    if (!command_kind_of_type(header_of(message, "ce_type"), &kind)) {
        return make_dead_letter(command, "the header ce_type names no command");
    }
    bool json = is_json(header_of(message, "content-type"));
    enum status status = command_decode(bytes, kind, json, command->arena, &input, &reason);
    if (status == STATUS_OK) {
        status = command_check(&input, zones, command->arena, &command->write.command, &violations);
    }
    if (status == STATUS_OK) return true;
    if (status == STATUS_INVALID && make_rejection(command, input.command_id.text, &violations)) return true;
    return make_dead_letter(command, reason);
}

struct kafka_command *kafka_command_new(rd_kafka_message_t *message, const struct time_zones *zones,
                                        const struct event_context *events, struct partition *partition)
{
    struct kafka_command *command = calloc(1, sizeof(*command));
    if (command == NULL) return NULL;
    command->events = events;
    command->message = message;
    command->arena = arena_new(ARENA_MAX_BYTES);
    buf_init(&command->record, RECORD_MAX_BYTES);
    command->write.partition = partition;
    command->write.offset = message->offset;
    command->write.traceparent = traceparent_of(header_of(message, "traceparent"));
    if (command->arena == NULL || !judge(command, zones)) {
        command->message = NULL; /* stays the caller's */
        kafka_command_free(command);
        return NULL;
    }
    return command;
}

void kafka_command_free(struct kafka_command *command)
{
    if (command == NULL) return;
    if (command->message != NULL) rd_kafka_message_destroy(command->message);
    buf_done(&command->record);
    arena_free(command->arena);
    free(command);
}

bool kafka_command_refuse(struct kafka_command *command, enum status status)
{
    if (status == STATUS_UNSTORABLE) return make_dead_letter(command, status_text(status));
    char id[UUID_TEXT_LEN];
    struct violations violations = {0};
    uuid_format(&command->write.command.command_id, id);
    command_refusal(&command->write.command, status, command->arena, &violations);
    if (!violations.out_of_memory && make_rejection(command, (struct slice){id, sizeof(id)}, &violations)) return true;
    return make_dead_letter(command, status_text(status));
}
