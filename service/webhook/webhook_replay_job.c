#include "webhook/webhook_replay_job.h"

#include <inttypes.h>
#include <stdio.h>

#include "driver/pg_array.h"

enum { ARRAY_BYTES_MAX = 1 << 20, NUMBER_SIZE = 24 };
enum { END_SEARCHING = -1 }; /* of places that are stored: the job looks for the event that it begins with */

bool replay_job_is_searching(const struct replay_job *job)
{
    return job->from_event[0] != '\0';
}

/* ---- taking one ---- */

void replay_job_ask(struct webhook_sender *sender, int64_t owner)
{
    char numbers[2][NUMBER_SIZE];
    snprintf(numbers[0], NUMBER_SIZE, "%" PRId64, sender->revision);
    snprintf(numbers[1], NUMBER_SIZE, "%" PRId64, owner);
    const struct pg_param params[] = {webhook_db_text_param(numbers[0]), webhook_db_text_param(numbers[1]),
                                      webhook_db_text_param(sender->config->topic)};
    webhook_db_send(sender->reads, "replay", params, 3);
}

enum {
    JOB_ID,
    JOB_WEBHOOK,
    JOB_FROM,
    JOB_EVENT,
    JOB_TO,
    JOB_TRIGGERS,
    JOB_DELIVERED,
    JOB_FAILED,
    JOB_PARTITION,
    JOB_NEXT,
    JOB_END
};

/* Where the turn before this one ended. */
static void read_places(struct replay_job *job, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        int64_t partition = webhook_db_number(rows, row, JOB_PARTITION);
        if (partition < 0 || partition >= SENDER_PARTITIONS_MAX) continue;
        job->places[partition] =
            (struct replay_place){webhook_db_number(rows, row, JOB_NEXT), webhook_db_number(rows, row, JOB_END)};
        if (partition >= job->places_len) job->places_len = (int32_t)partition + 1;
    }
    if (webhook_db_number(rows, 0, JOB_END) != END_SEARCHING) job->from_event[0] = '\0';
}

void replay_job_read(struct replay_job *job, const struct webhook_sender *sender, const PGresult *rows)
{
    struct uuid id;
    if (PQntuples(rows) == 0 || !webhook_db_uuid(rows, 0, JOB_WEBHOOK, &id)) return;
    struct endpoint *endpoint = endpoints_find(sender->endpoints, &id);
    if (endpoint == NULL) return;
    *job = (struct replay_job){.endpoint = endpoint,
                               .from_ms = webhook_db_number(rows, 0, JOB_FROM),
                               .to_ms = webhook_db_number(rows, 0, JOB_TO),
                               .triggers = PQgetisnull(rows, 0, JOB_TRIGGERS)
                                               ? endpoint->triggers
                                               : webhook_triggers_of(PQgetvalue(rows, 0, JOB_TRIGGERS)),
                               .delivered = webhook_db_number(rows, 0, JOB_DELIVERED),
                               .failed = webhook_db_number(rows, 0, JOB_FAILED)};
    endpoint->references++;
    snprintf(job->id, sizeof(job->id), "%s", PQgetvalue(rows, 0, JOB_ID));
    snprintf(job->from_event, sizeof(job->from_event), "%s", PQgetvalue(rows, 0, JOB_EVENT));
    if (!PQgetisnull(rows, 0, JOB_PARTITION)) read_places(job, rows);
}

/* ---- storing it ---- */

void replay_job_send(struct webhook_sender *sender, const struct replay_job *job)
{
    struct pg_array arrays[3];
    char numbers[3][NUMBER_SIZE];
    static const enum pg_oid types[] = {PG_OID_INT4, PG_OID_INT8, PG_OID_INT8};
    for (int i = 0; i < 3; i++) {
        buf_init(&arrays[i].bytes, ARRAY_BYTES_MAX);
        pg_array_start(&arrays[i], types[i]);
    }
    for (int32_t i = 0; i < job->places_len; i++) {
        pg_array_add_int4(&arrays[0], i);
        pg_array_add_int8(&arrays[1], job->places[i].next);
        pg_array_add_int8(&arrays[2], replay_job_is_searching(job) ? END_SEARCHING : job->places[i].end);
    }
    snprintf(numbers[0], NUMBER_SIZE, "%" PRId64, job->delivered);
    snprintf(numbers[1], NUMBER_SIZE, "%" PRId64, job->failed);
    snprintf(numbers[2], NUMBER_SIZE, "%d", job->status);
    const char *state = !job->is_ended ? "running" : job->has_failed ? "failed" : "done";
    const struct pg_param id = webhook_db_text_param(job->id);
    const struct pg_param null = {NULL, 0, false};
    const struct pg_param params[] = {id,
                                      webhook_db_text_param(state),
                                      webhook_db_text_param(numbers[0]),
                                      webhook_db_text_param(numbers[1]),
                                      job->status == 0 ? null : webhook_db_text_param(numbers[2]),
                                      job->error == NULL ? null : webhook_db_text_param(job->error)};
    webhook_db_send(sender->reads, "store_replay", params, 6);
    webhook_db_send(sender->reads, "store_places",
                    (struct pg_param[]){id, webhook_db_text_param(sender->config->topic), pg_array_param(&arrays[0]),
                                        pg_array_param(&arrays[1]), pg_array_param(&arrays[2])},
                    5);
    for (int i = 0; i < 3; i++) buf_done(&arrays[i].bytes);
}
