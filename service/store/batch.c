#include "store/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/command_digest.h"
#include "codec/schedule_json.h"

#define STATES_BYTES_MAX 4194304
_Static_assert(STATES_BYTES_MAX == WRITE_STATES_BYTES_MAX, "as the header says");

#define TEXT_OF(number_) TEXT_OF_EXPANDED(number_)
#define TEXT_OF_EXPANDED(number_) #number_

/* A state is as large as its row in the database, so the database adds them up. */
const char batch_statement_sql[] =
    "SELECT ordinal, verdict, schedule_id, CASE WHEN coalesce(sum(octet_length(state)) OVER (ORDER BY ordinal ROWS BETWEEN "
    "UNBOUNDED PRECEDING AND 1 PRECEDING), 0) < " TEXT_OF(
        STATES_BYTES_MAX) " THEN state END "
                          "FROM write_batch($1::text[], $2::integer[], $3::bigint[], $4::bigint[], "
                          "$5::integer[], $6::bigint[], $7::uuid[], $8::bytea[], $9::bigint[], $10::bigint[], $11::text[], "
                          "$12::text[], "
                          "$13::json[], "
                          "$14::json[], $15::boolean[], $16::bigint[], $17::uuid[], $18::json[], $19::text[], $20::bytea[], "
                          "$21::timestamptz, "
                          "$22::interval, $23::bigint)";

/* In the order of the statement's parameters. */
enum column {
    TOPIC,
    PARTITION,
    EXPECTED,
    NEXT,
    KIND,
    ID,
    COMMAND_ID,
    DIGEST,
    ORG_ID,
    OWNER_ID,
    NAME,
    TIME_ZONE,
    AVAILABILITY,
    OVERRIDES,
    IS_DEFAULT,
    EXPECTED_VERSION,
    KEY,
    ENTRY,
    TRACEPARENT,
    RECORD,
    COLUMNS
};

static const enum pg_oid column_types[COLUMNS] = {
    [TOPIC] = PG_OID_TEXT,     [PARTITION] = PG_OID_INT4,    [EXPECTED] = PG_OID_INT8,    [NEXT] = PG_OID_INT8,
    [KIND] = PG_OID_INT4,      [ID] = PG_OID_INT8,           [COMMAND_ID] = PG_OID_UUID,  [DIGEST] = PG_OID_BYTEA,
    [ORG_ID] = PG_OID_INT8,    [OWNER_ID] = PG_OID_INT8,     [NAME] = PG_OID_TEXT,        [TIME_ZONE] = PG_OID_TEXT,
    [OVERRIDES] = PG_OID_JSON, [AVAILABILITY] = PG_OID_JSON, [IS_DEFAULT] = PG_OID_BOOL,  [EXPECTED_VERSION] = PG_OID_INT8,
    [KEY] = PG_OID_UUID,       [ENTRY] = PG_OID_JSON,        [TRACEPARENT] = PG_OID_TEXT, [RECORD] = PG_OID_BYTEA,
};

/* The kinds of migrations/functions/schedules.sql. */
enum kind { KIND_RECORD, KIND_CREATE, KIND_UPDATE, KIND_DELETE, KIND_CREATE_ONCE, KIND_ENTRY };

enum { AT_PARAM = COLUMNS, KEEP_PARAM, SCHEDULES_MAX_PARAM };

struct batch {
    const struct event_context *events;
    struct command_digester *digester;
    struct pg_array columns[COLUMNS];
    struct buf availability; /* of the row being added */
    struct buf overrides;
    struct buf record;
    int64_t written_us;
    char written_at[8];
    char keep[32]; /* an interval */
    char schedules_max[8];
};

struct batch *batch_new(const struct event_context *events, int64_t key_seconds, int64_t schedules_max)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) return NULL;
    batch->events = events;
    batch->digester = command_digester_new();
    snprintf(batch->keep, sizeof(batch->keep), "%" PRId64 " seconds", key_seconds);
    pg_put_int8(batch->schedules_max, schedules_max);
    for (int i = 0; i < COLUMNS; i++) buf_init(&batch->columns[i].bytes, BATCH_BYTES_MAX);
    buf_init(&batch->availability, BATCH_BYTES_MAX);
    buf_init(&batch->overrides, BATCH_BYTES_MAX);
    buf_init(&batch->record, BATCH_BYTES_MAX);
    if (batch->digester != NULL) return batch;
    batch_free(batch);
    return NULL;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL) return;
    for (int i = 0; i < COLUMNS; i++) buf_done(&batch->columns[i].bytes);
    buf_done(&batch->availability);
    buf_done(&batch->overrides);
    buf_done(&batch->record);
    command_digester_free(batch->digester);
    free(batch);
}

void batch_start(struct batch *batch, int64_t written_us)
{
    const int64_t postgres_epoch_us = 946684800LL * 1000000; /* 2000-01-01 */
    batch->written_us = written_us;
    pg_put_int8(batch->written_at, written_us - postgres_epoch_us);
    for (int i = 0; i < COLUMNS; i++) pg_array_start(&batch->columns[i], column_types[i]);
}

void batch_add_offset(struct batch *batch, const struct partition *partition, int64_t expected, int64_t next)
{
    pg_array_add(&batch->columns[TOPIC], slice_of(partition->topic));
    pg_array_add_int4(&batch->columns[PARTITION], partition->number);
    pg_array_add_int8(&batch->columns[EXPECTED], expected);
    pg_array_add_int8(&batch->columns[NEXT], next);
}

/* What a row has no value for. */
static void add_nulls(struct batch *batch, enum column from, enum column before)
{
    for (int i = (int)from; i < (int)before; i++) pg_array_add_null(&batch->columns[i]);
}

static void add_int8_or_null(struct pg_array *column, int64_t value)
{
    if (value == 0) pg_array_add_null(column);
    else pg_array_add_int8(column, value);
}

/* Without one the row moves its offset, and emits nothing. */
static void add_record(struct batch *batch, struct slice record)
{
    pg_array_add_int4(&batch->columns[KIND], KIND_RECORD);
    add_nulls(batch, ID, RECORD);
    pg_array_add_if(&batch->columns[RECORD], record.data != NULL, record);
}

static void add_entry(struct batch *batch, struct slice entry)
{
    pg_array_add_int4(&batch->columns[KIND], KIND_ENTRY);
    add_nulls(batch, ID, ENTRY);
    pg_array_add(&batch->columns[ENTRY], entry);
    add_nulls(batch, TRACEPARENT, COLUMNS);
}

static int32_t kind_of(const struct pending_write *pending_write)
{
    switch (pending_write->command.kind) {
    case COMMAND_UPDATE: return KIND_UPDATE;
    case COMMAND_DELETE: return KIND_DELETE;
    case COMMAND_CREATE: break;
    }
    return pending_write->has_key ? KIND_CREATE_ONCE : KIND_CREATE;
}

static void add_schedule(struct batch *batch, const struct schedule *schedule)
{
    struct pg_array *columns = batch->columns;
    unsigned fields = schedule->fields;
    pg_array_add_if(&columns[NAME], fields & SCHEDULE_NAME, schedule->name);
    pg_array_add_if(&columns[TIME_ZONE], fields & SCHEDULE_TIME_ZONE, schedule->time_zone);
    pg_array_add_if(&columns[AVAILABILITY], fields & SCHEDULE_AVAILABILITY, buf_slice(&batch->availability));
    pg_array_add_if(&columns[OVERRIDES], fields & SCHEDULE_OVERRIDES, buf_slice(&batch->overrides));
    pg_array_add_bool(&columns[IS_DEFAULT], schedule->is_default);
}

static void add_command(struct batch *batch, const struct pending_write *pending_write, int64_t schedule_id,
                        const uint8_t digest[COMMAND_DIGEST_BYTES])
{
    struct pg_array *columns = batch->columns;
    const struct command *command = &pending_write->command;
    pg_array_add_int4(&columns[KIND], kind_of(pending_write));
    pg_array_add_int8(&columns[ID], schedule_id);
    pg_array_add(&columns[COMMAND_ID], (struct slice){(const char *)command->command_id.bytes, 16});
    pg_array_add(&columns[DIGEST], (struct slice){(const char *)digest, 16});
    add_int8_or_null(&columns[ORG_ID], command->org_id);
    pg_array_add_int8(&columns[OWNER_ID], command->user_id);
    add_schedule(batch, &command->schedule);
    add_int8_or_null(&columns[EXPECTED_VERSION], command->expected_version);
    pg_array_add_if(&columns[KEY], pending_write->has_key, (struct slice){(const char *)pending_write->key.bytes, 16});
    pg_array_add_null(&columns[ENTRY]);
    pg_array_add_if(&columns[TRACEPARENT], pending_write->traceparent.len > 0, pending_write->traceparent);
    pg_array_add_if(&columns[RECORD], command->kind == COMMAND_CREATE, buf_slice(&batch->record));
}

/* Makes the texts of the row's two lists; empty ones for a list that the command does not set. */
static void write_lists(struct batch *batch, const struct schedule *schedule)
{
    buf_clear(&batch->availability);
    buf_clear(&batch->overrides);
    if (schedule->fields & SCHEDULE_AVAILABILITY) availability_write_json(&batch->availability, schedule);
    if (schedule->fields & SCHEDULE_OVERRIDES) overrides_write_json(&batch->overrides, schedule);
}

/* Only a create's event is made here: what an update or a delete leads to is known when it is done. */
static void write_event(struct batch *batch, const struct pending_write *pending_write, int64_t schedule_id)
{
    const struct command *command = &pending_write->command;
    char id[UUID_TEXT_LEN];
    uuid_format(&command->command_id, id);
    const struct schedule_event event = {
        .type = SCHEDULE_CREATED,
        .stored = {.id = schedule_id,
                   .owner_id = command->user_id,
                   .org_id = command->org_id,
                   .version = 1,
                   .schedule = command->schedule},
        .command_id = {id, sizeof(id)},
        .occurred_us = batch->written_us,
        .traceparent = pending_write->traceparent,
    };
    buf_clear(&batch->record);
    if (command->kind == COMMAND_CREATE) event_schedule(&batch->record, batch->events, &event);
}

enum status batch_add(struct batch *batch, const struct pending_write *pending_write, int64_t schedule_id)
{
    const struct command *command = &pending_write->command;
    uint8_t digest[COMMAND_DIGEST_BYTES];
    if (pending_write->kind != WRITE_COMMAND) {
        if (pending_write->kind == WRITE_ENTRY) add_entry(batch, pending_write->entry);
        else add_record(batch, pending_write->kind == WRITE_RECORD ? pending_write->record : (struct slice){NULL, 0});
        return STATUS_OK;
    }
    write_lists(batch, &command->schedule);
    write_event(batch, pending_write, schedule_id);
    enum status status =
        command_digest(batch->digester, command, buf_slice(&batch->availability), buf_slice(&batch->overrides), digest);
    const struct buf *const made[] = {&batch->availability, &batch->overrides, &batch->record};
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        if (made[i]->failed) status = buf_status(made[i]);
    }
    if (status == STATUS_OK) add_command(batch, pending_write, schedule_id, digest);
    return status;
}

size_t batch_bytes(const struct batch *batch)
{
    return batch->columns[RECORD].bytes.len + batch->columns[AVAILABILITY].bytes.len + batch->columns[OVERRIDES].bytes.len;
}

bool batch_params(struct batch *batch, struct pg_param params[BATCH_PARAMS])
{
    bool ok = pg_array_params(batch->columns, COLUMNS, params);
    params[AT_PARAM] = (struct pg_param){batch->written_at, sizeof(batch->written_at), true};
    params[KEEP_PARAM] = (struct pg_param){batch->keep, (int)strlen(batch->keep), false};
    params[SCHEDULES_MAX_PARAM] = (struct pg_param){batch->schedules_max, sizeof(batch->schedules_max), true};
    return ok;
}
