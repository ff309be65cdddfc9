#include "store/batch.h"

#include <stdlib.h>

#include "codec/schedule_json.h"

const char batch_statement_sql[] =
    "SELECT ordinal, original_id FROM write_schedules($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::uuid[], $7::bytea[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::json[], $13::json[], "
    "$14::boolean[], "
    "$15::timestamptz, $16::bytea[])";

/* In the order of the statement's parameters; the creation time stands between the last two. */
enum column {
    TOPIC,
    PARTITION,
    EXPECTED,
    NEXT,
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
    RECORD,
    COLUMNS
};

static const enum pg_oid column_types[COLUMNS] = {
    [TOPIC] = PG_OID_TEXT,     [PARTITION] = PG_OID_INT4,  [EXPECTED] = PG_OID_INT8,  [NEXT] = PG_OID_INT8,
    [ID] = PG_OID_INT8,        [COMMAND_ID] = PG_OID_UUID, [DIGEST] = PG_OID_BYTEA,   [ORG_ID] = PG_OID_INT8,
    [OWNER_ID] = PG_OID_INT8,  [NAME] = PG_OID_TEXT,       [TIME_ZONE] = PG_OID_TEXT, [AVAILABILITY] = PG_OID_JSON,
    [OVERRIDES] = PG_OID_JSON, [IS_DEFAULT] = PG_OID_BOOL, [RECORD] = PG_OID_BYTEA,
};

enum { CREATED_AT_PARAM = 14, SCRATCH_MAX_BYTES = 16 << 20 };

struct batch {
    const struct event_context *events;
    struct pg_array columns[COLUMNS];
    struct buf availability; /* of the row being added */
    struct buf overrides;
    struct buf record;
    int64_t created_us;
    char created_at[8];
};

struct batch *batch_new(const struct event_context *events)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) return NULL;
    batch->events = events;
    for (int i = 0; i < COLUMNS; i++) buf_init(&batch->columns[i].bytes, BATCH_BYTES_MAX);
    buf_init(&batch->availability, BATCH_BYTES_MAX);
    buf_init(&batch->overrides, BATCH_BYTES_MAX);
    buf_init(&batch->record, BATCH_BYTES_MAX);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL) return;
    for (int i = 0; i < COLUMNS; i++) buf_done(&batch->columns[i].bytes);
    buf_done(&batch->availability);
    buf_done(&batch->overrides);
    buf_done(&batch->record);
    free(batch);
}

void batch_start(struct batch *batch, int64_t created_us)
{
    const int64_t postgres_epoch_us = 946684800LL * 1000000; /* 2000-01-01 */
    batch->created_us = created_us;
    pg_put_int8(batch->created_at, created_us - postgres_epoch_us);
    for (int i = 0; i < COLUMNS; i++) pg_array_start(&batch->columns[i], column_types[i]);
}

void batch_add_offset(struct batch *batch, const struct partition *partition, int64_t next)
{
    pg_array_add(&batch->columns[TOPIC], slice_of(partition->topic));
    pg_array_add_int4(&batch->columns[PARTITION], partition->number);
    pg_array_add_int8(&batch->columns[EXPECTED], partition->next_offset);
    pg_array_add_int8(&batch->columns[NEXT], next);
}

static void add_record(struct batch *batch, struct slice record)
{
    for (int i = ID; i < RECORD; i++) pg_array_add_null(&batch->columns[i]);
    pg_array_add(&batch->columns[RECORD], record);
}

static void add_schedule(struct batch *batch, const struct create_command *command, int64_t schedule_id,
                         const uint8_t digest[16])
{
    struct pg_array *columns = batch->columns;
    pg_array_add_int8(&columns[ID], schedule_id);
    pg_array_add(&columns[COMMAND_ID], (struct slice){(const char *)command->command_id.bytes, 16});
    pg_array_add(&columns[DIGEST], (struct slice){(const char *)digest, 16});
    if (command->org_id == 0) pg_array_add_null(&columns[ORG_ID]);
    else pg_array_add_int8(&columns[ORG_ID], command->org_id);
    pg_array_add_int8(&columns[OWNER_ID], command->user_id);
    pg_array_add(&columns[NAME], command->schedule.name);
    pg_array_add(&columns[TIME_ZONE], command->schedule.time_zone);
    pg_array_add(&columns[AVAILABILITY], buf_slice(&batch->availability));
    pg_array_add(&columns[OVERRIDES], buf_slice(&batch->overrides));
    pg_array_add_bool(&columns[IS_DEFAULT], command->schedule.is_default);
    pg_array_add(&columns[RECORD], buf_slice(&batch->record));
}

enum status batch_add(struct batch *batch, const struct write *write, int64_t schedule_id)
{
    if (write->record.len > 0) {
        add_record(batch, write->record);
        return STATUS_OK;
    }
    struct arena *scratch = arena_new(SCRATCH_MAX_BYTES);
    if (scratch == NULL) return STATUS_NO_MEMORY;
    uint8_t digest[16];
    buf_clear(&batch->availability);
    buf_clear(&batch->overrides);
    buf_clear(&batch->record);
    availability_write_json(&batch->availability, &write->command.schedule);
    overrides_write_json(&batch->overrides, &write->command.schedule);
    event_created(&batch->record, batch->events, &write->command, schedule_id, batch->created_us, write->traceparent,
                  scratch);
    enum status status =
        command_digest(&write->command, buf_slice(&batch->availability), buf_slice(&batch->overrides), digest);
    if (batch->availability.failed || batch->overrides.failed || batch->record.failed) status = STATUS_NO_MEMORY;
    if (status == STATUS_OK) add_schedule(batch, &write->command, schedule_id, digest);
    arena_free(scratch);
    return status;
}

size_t batch_bytes(const struct batch *batch)
{
    return batch->columns[RECORD].bytes.len + batch->columns[AVAILABILITY].bytes.len + batch->columns[OVERRIDES].bytes.len;
}

bool batch_params(struct batch *batch, struct pg_param params[BATCH_PARAMS])
{
    bool ok = true;
    for (int i = 0; i < COLUMNS; i++) {
        int at = i < CREATED_AT_PARAM ? i : i + 1;
        params[at] = pg_array_param(&batch->columns[i]);
        ok = ok && params[at].data != NULL;
    }
    params[CREATED_AT_PARAM] = (struct pg_param){batch->created_at, sizeof(batch->created_at), true};
    return ok;
}
