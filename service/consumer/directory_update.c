#include "consumer/directory_update.h"

#include "codec/dead_letter.h"
#include "codec/directory_codec.h"

/* Every violation's message, which names its field, as far as a reason may be long. */
static bool dead_letter_invalid(struct kafka_message *message, const struct violations *violations)
{
    struct buf reason;
    buf_init(&reason, DEAD_LETTER_REASON_MAX);
    for (size_t i = 0; i < violations->len; i++) {
        if (i > 0) buf_append(&reason, "; ", 2);
        buf_append_slice(&reason, violations->items[i].message);
    }
    bool ok = buf_status(&reason) != STATUS_NO_MEMORY && kafka_message_make_dead_letter(message, buf_slice(&reason));
    buf_done(&reason);
    return ok;
}

static enum status set_entry(struct kafka_message *message, const struct directory_entry *entry)
{
    directory_write_json(&message->text, entry);
    message->pending_write.kind = WRITE_ENTRY;
    message->pending_write.entry = buf_slice(&message->text);
    return buf_status(&message->text);
}

/* The line from bytes to verdict. */
static bool decode_and_validate(struct kafka_message *message, const struct time_zones *zones)
{
    struct slice key = message->key.data == NULL ? SLICE("") : message->key;
    struct directory_input input;
    struct directory_entry entry;
    struct violations violations = {0};
    const char *reason = NULL;
    enum status status =
        directory_decode(key, message->value, kafka_message_is_json(message), message->arena, &input, &reason);
    if (status == STATUS_OK) status = directory_check(&input, zones, message->arena, &entry, &violations);
    if (status == STATUS_OK) status = set_entry(message, &entry);
    if (status == STATUS_OK || status == STATUS_NO_MEMORY) return status == STATUS_OK;
    if (status == STATUS_INVALID) return dead_letter_invalid(message, &violations);
    if (status == STATUS_TOO_LARGE) reason = "the value takes more than 16 MiB when it is read";
    return kafka_message_make_dead_letter(message, slice_of(reason));
}

static bool refuse(struct kafka_message *message, enum status status)
{
    return kafka_message_make_dead_letter(message, slice_of(status_text(status)));
}

/* ---- metrics ---- */

#define RESULT(name_)                                                                                         \
    {                                                                                                         \
        .type = METRIC_COUNTER, .name = "schedule_directory_entries_total", .labels = "result=\"" name_ "\"", \
        .help = "Completed directory updates from Kafka, by result."                                          \
    }
enum result { RESULT_APPLIED, RESULT_DEAD_LETTER, RESULT_ELSEWHERE, RESULTS };
static struct metric results[RESULTS] = {RESULT("applied"), RESULT("dead_letter"), RESULT("completed_elsewhere")};

static void on_completed(const struct kafka_message *message, enum status status)
{
    enum result result = message->verdict == VERDICT_DEAD_LETTER ? RESULT_DEAD_LETTER : RESULT_APPLIED;
    metric_add(&results[kafka_message_is_elsewhere(message, status) ? RESULT_ELSEWHERE : result], 1);
}

static struct kafka_gauges gauges = {
    .lag = {.type = METRIC_GAUGE,
            .name = "schedule_directory_lag",
            .labels = "",
            .help = "Directory updates of the assigned partitions that are not completed, as of the last fetch."},
    .assigned = {.type = METRIC_GAUGE,
                 .name = "schedule_directory_partitions",
                 .labels = "state=\"assigned\"",
                 .help = "Partitions of the directory's topic of this member."},
    .stopped = {.type = METRIC_GAUGE,
                .name = "schedule_directory_partitions",
                .labels = "state=\"stopped\"",
                .help = "Partitions of the directory's topic of this member."},
    .in_flight = {.type = METRIC_GAUGE,
                  .name = "schedule_directory_entries_in_flight",
                  .labels = "",
                  .help = "Directory updates in progress."},
    .memory_waits = {.type = METRIC_COUNTER,
                     .name = "schedule_directory_memory_waits_total",
                     .labels = "",
                     .help = "Directory updates that waited because memory ran out."},
};

/* Entries are small and few after the first reading: little is fetched ahead of the backlog. */
const struct message_handler directory_update_handler = {
    .purpose = WRITE_DIRECTORY,
    .queued_messages = "2000",
    .queued_kbytes = "1024",
    .decode_and_validate = decode_and_validate,
    .refuse = refuse,
    .on_completed = on_completed,
    .gauges = &gauges,
    .results = results,
    .results_len = RESULTS,
};
