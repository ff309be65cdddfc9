#include "consumer/kafka_command.h"

#include <assert.h>

#include "codec/command_codec.h"
#include "driver/clock.h"
#include "driver/log.h"

static const struct slice too_large = SLICE("the value takes more than 16 MiB when it is read");

/* STATUS_OK, STATUS_TOO_LARGE or STATUS_NO_MEMORY. */
static enum status make_rejection(struct kafka_message *message, struct slice command_id,
                                  const struct violations *violations)
{
    const struct command *decoded = &message->pending_write.command;
    struct record_origin origin = kafka_message_origin(message);
    buf_clear(&message->text);
    event_rejected(&message->text, &message->context->events, command_id, decoded->org_id, decoded->user_id, violations,
                   &origin, clock_wall_us(), message->pending_write.traceparent, message->arena);
    if (message->text.failed) return buf_status(&message->text);
    kafka_message_emit(message, VERDICT_REJECTION);
    assert(violations->len > 0);
    const struct violation *first = &violations->items[0];
    LOG_INFO("command rejected", LOG_SLICE("command_id", command_id), LOG_INT("org_id", decoded->org_id),
             LOG_INT("user_id", decoded->user_id), LOG_INT("partition", origin.partition), LOG_INT("offset", origin.offset),
             LOG_INT("violations", violations->len), LOG_SLICE("property", first->property),
             LOG_SLICE("constraint", first->constraint));
    return STATUS_OK;
}

/* The line from bytes to verdict. */
static bool decode_and_validate(struct kafka_message *message, const struct time_zones *zones)
{
    struct command_input input;
    struct violations violations = {0};
    const char *reason = NULL;
    enum command_kind kind;
    if (!command_kind_of_type(kafka_message_header(message, "ce_type"), &kind)) {
        return kafka_message_make_dead_letter(message, SLICE("the header ce_type names no command"));
    }
    bool is_json = kafka_message_is_json(message);
    enum status status = command_decode(message->value, kind, is_json, message->arena, &input, &reason);
    if (status == STATUS_OK) {
        status = command_check(&input, zones, message->arena, &message->pending_write.command, &violations);
    }
    if (status == STATUS_INVALID) status = make_rejection(message, input.command_id.text, &violations);
    if (status == STATUS_OK || status == STATUS_NO_MEMORY) return status == STATUS_OK;
    return kafka_message_make_dead_letter(message, status == STATUS_TOO_LARGE ? too_large : slice_of(reason));
}

static bool refuse(struct kafka_message *message, enum status status)
{
    if (status == STATUS_UNSTORABLE) return kafka_message_make_dead_letter(message, slice_of(status_text(status)));
    char id[UUID_TEXT_LEN];
    struct violations violations = {0};
    uuid_format(&message->pending_write.command.command_id, id);
    command_refusal(&message->pending_write.command, status, message->pending_write.schedules_max, message->arena,
                    &violations);
    enum status made = violations.out_of_memory ? arena_failure(message->arena)
                                                : make_rejection(message, (struct slice){id, sizeof(id)}, &violations);
    if (made == STATUS_TOO_LARGE) return kafka_message_make_dead_letter(message, slice_of(status_text(status)));
    return made == STATUS_OK;
}

/* ---- metrics ---- */

#define EACH_RESULT(X)            \
    X(CREATED, "created")         \
    X(UPDATED, "updated")         \
    X(DELETED, "deleted")         \
    X(DUPLICATE, "duplicate")     \
    X(REJECTED, "rejected")       \
    X(DEAD_LETTER, "dead_letter") \
    X(ELSEWHERE, "completed_elsewhere")
#define AS_ENUM(id_, name_) RESULT_##id_,
#define AS_NAME(id_, name_) name_,
#define AS_METRIC(id_, name_)           \
    {.type = METRIC_COUNTER,            \
     .name = "schedule_commands_total", \
     .labels = "result=\"" name_ "\"",  \
     .help = "Completed commands from Kafka, by result."},
enum result { EACH_RESULT(AS_ENUM) RESULTS };
static const char *const result_names[] = {EACH_RESULT(AS_NAME)};
static struct metric results[] = {EACH_RESULT(AS_METRIC)};

static enum result result_of(const struct kafka_message *message, enum status status)
{
    static const enum result by_kind[] = {RESULT_CREATED, RESULT_UPDATED, RESULT_DELETED};
    if (kafka_message_is_elsewhere(message, status)) return RESULT_ELSEWHERE;
    if (status == STATUS_DUPLICATE) return RESULT_DUPLICATE;
    if (message->verdict == VERDICT_REJECTION) return RESULT_REJECTED;
    if (message->verdict == VERDICT_DEAD_LETTER) return RESULT_DEAD_LETTER;
    return by_kind[message->pending_write.command.kind];
}

static void on_completed(const struct kafka_message *message, enum status status)
{
    enum result result = result_of(message, status);
    metric_add(&results[result], 1);
    if (result >= RESULT_REJECTED || !log_enabled(LOG_LEVEL_DEBUG)) return;
    char id[UUID_TEXT_LEN];
    uuid_format(&message->pending_write.command.command_id, id);
    LOG_DEBUG("command done", LOG_STR("result", result_names[result]),
              LOG_SLICE("command_id", ((struct slice){id, sizeof(id)})),
              LOG_INT("schedule_id", message->pending_write.schedule_id),
              LOG_INT("partition", message->pending_write.partition->number),
              LOG_INT("offset", message->pending_write.offset));
}

static struct kafka_gauges gauges = {
    .lag = {.type = METRIC_GAUGE,
            .name = "schedule_consumer_lag",
            .labels = "",
            .help = "Messages of the assigned partitions that are not completed, as of the last fetch."},
    .assigned = {.type = METRIC_GAUGE,
                 .name = "schedule_consumer_partitions",
                 .labels = "state=\"assigned\"",
                 .help = "Partitions of this member."},
    .stopped = {.type = METRIC_GAUGE,
                .name = "schedule_consumer_partitions",
                .labels = "state=\"stopped\"",
                .help = "Partitions of this member."},
    .in_flight = {.type = METRIC_GAUGE,
                  .name = "schedule_commands_in_flight",
                  .labels = "",
                  .help = "Commands in progress."},
    .memory_waits = {.type = METRIC_COUNTER,
                     .name = "schedule_consumer_memory_waits_total",
                     .labels = "",
                     .help = "Commands that waited because memory ran out."},
};

/* A full queue makes librdkafka wait some tenths of a second before it fetches again (kafka_consumer.c). The queue and the backlog hold what
 * is completed meanwhile, and more. */
const struct message_handler kafka_command_handler = {
    .purpose = WRITE_COMMANDS,
    .queued_messages = "2000",
    .queued_kbytes = "2048",
    .decode_and_validate = decode_and_validate,
    .refuse = refuse,
    .on_completed = on_completed,
    .gauges = &gauges,
    .results = results,
    .results_len = RESULTS,
};
