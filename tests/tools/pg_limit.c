/* What PostgreSQL does when nothing else is in the way: the rows and messages of COUNT sample commands, as the service would
 * store and emit them, in transactions of BATCH from CONNECTIONS connections by turns. All that is sent was made before the
 * clock starts. No membership is checked and no offset moved.
 *
 *   pg_limit DATABASE_URL COUNT BATCH CONNECTIONS ORG OWNER    prints the seconds it took, then a transaction's latencies */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/record.h"
#include "driver/clock.h"
#include "driver/pg_array.h"
#include "latencies.h"
#include "sample.h"
#include "sample_row.h"

static const char insert[] =
    "WITH made AS (INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, "
    "overrides, created_at, updated_at) SELECT id, command_id, digest, org_id, owner_id, name, time_zone, availability, "
    "overrides, now(), now() FROM unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[], "
    "$7::text[], $8::json[], $9::json[]) AS u (id, command_id, digest, org_id, owner_id, name, time_zone, availability, "
    "overrides)) SELECT pg_logical_emit_message(true, '" RECORD_WAL_PREFIX
    "', string_agg(record, '')) FROM unnest($10::bytea[]) AS record";

enum { ID, COMMAND_ID, DIGEST, ORG_ID, OWNER_ID, NAME, TIME_ZONE, AVAILABILITY, OVERRIDES, RECORD, COLUMNS };
enum { CONNECTIONS_MAX = 16, BATCH_BYTES_MAX = 64 << 20, COMMAND_ARENA_MAX = 1 << 20 };

static const enum pg_oid column_types[COLUMNS] = {PG_OID_INT8, PG_OID_UUID, PG_OID_BYTEA, PG_OID_INT8, PG_OID_INT8,
                                                  PG_OID_TEXT, PG_OID_TEXT, PG_OID_JSON,  PG_OID_JSON, PG_OID_BYTEA};

struct batch {
    struct pg_array columns[COLUMNS];
};

struct load {
    struct batch *batches;
    size_t batches_len;
    int64_t org;
    int64_t owner;
};

struct connection {
    PGconn *conn;
    int64_t sent_us; /* 0: idle */
};

static void fail(const char *reason)
{
    fprintf(stderr, "pg_limit: %s\n", reason);
    exit(1);
}

/* ---- what is sent ---- */

static void add_row(struct batch *batch, int64_t id, const struct sample_row *row)
{
    struct pg_array *columns = batch->columns;
    const struct command *command = &row->command;
    pg_array_add_int8(&columns[ID], id);
    pg_array_add(&columns[COMMAND_ID], (struct slice){(const char *)command->command_id.bytes, 16});
    pg_array_add(&columns[DIGEST], (struct slice){(const char *)row->digest, sizeof(row->digest)});
    pg_array_add_int8(&columns[ORG_ID], command->org_id);
    pg_array_add_int8(&columns[OWNER_ID], command->user_id);
    pg_array_add(&columns[NAME], command->schedule.name);
    pg_array_add(&columns[TIME_ZONE], command->schedule.time_zone);
    pg_array_add(&columns[AVAILABILITY], buf_slice(&row->availability));
    pg_array_add(&columns[OVERRIDES], buf_slice(&row->overrides));
    pg_array_add(&columns[RECORD], buf_slice(&row->record));
}

static void add_sample(struct batch *batch, int64_t number, const struct load *load, struct sample_row *row)
{
    uint8_t bytes[SAMPLE_BYTES_MAX];
    size_t len = sample_pack(number, load->org, load->owner, bytes);
    struct arena *arena = arena_new(COMMAND_ARENA_MAX);
    if (arena == NULL || sample_row_make(row, (struct slice){(char *)bytes, len}, number + 1, NULL, arena) != STATUS_OK) {
        fail("a sample is no valid command");
    }
    add_row(batch, number + 1, row);
    arena_free(arena);
}

static void make_load(struct load *load, int64_t count, int64_t per_batch)
{
    load->batches_len = (size_t)((count + per_batch - 1) / per_batch);
    load->batches = calloc(load->batches_len, sizeof(*load->batches));
    if (load->batches == NULL) fail("no memory");
    struct sample_row row;
    sample_row_init(&row);
    for (size_t i = 0; i < load->batches_len; i++) {
        struct batch *batch = &load->batches[i];
        for (int column = 0; column < COLUMNS; column++) {
            buf_init(&batch->columns[column].bytes, BATCH_BYTES_MAX);
            pg_array_start(&batch->columns[column], column_types[column]);
        }
        int64_t first = (int64_t)i * per_batch;
        for (int64_t number = first; number < first + per_batch && number < count; number++) {
            add_sample(batch, number, load, &row);
        }
    }
    sample_row_done(&row);
}

static void free_load(struct load *load)
{
    for (size_t i = 0; i < load->batches_len; i++) {
        for (int column = 0; column < COLUMNS; column++) buf_done(&load->batches[i].columns[column].bytes);
    }
    free(load->batches);
}

/* ---- the loop ---- */

static PGconn *connect_to(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK) fail(PQerrorMessage(conn));
    PGresult *prepared = PQprepare(conn, "insert", insert, 0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK) fail(PQresultErrorMessage(prepared));
    PQclear(prepared);
    return conn;
}

static void send_batch(struct connection *connection, struct batch *batch)
{
    const char *values[COLUMNS];
    int lengths[COLUMNS];
    int formats[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        struct pg_param param = pg_array_param(&batch->columns[i]);
        if (param.data == NULL) fail("a batch is too large");
        values[i] = param.data;
        lengths[i] = param.len;
        formats[i] = 1;
    }
    connection->sent_us = clock_steady_us();
    if (PQsendQueryPrepared(connection->conn, "insert", COLUMNS, values, lengths, formats, 1) != 1) {
        fail(PQerrorMessage(connection->conn));
    }
}

static void take_answer(struct connection *connection, struct latencies *latencies)
{
    for (PGresult *result; (result = PQgetResult(connection->conn)) != NULL; PQclear(result)) {
        if (PQresultStatus(result) != PGRES_TUPLES_OK) fail(PQresultErrorMessage(result));
    }
    latencies_add(latencies, clock_steady_us() - connection->sent_us);
    connection->sent_us = 0;
}

static void run(struct load *load, struct connection *connections, int len, struct latencies *latencies)
{
    struct pollfd waits[CONNECTIONS_MAX];
    for (int i = 0; i < len; i++) waits[i] = (struct pollfd){PQsocket(connections[i].conn), POLLIN, 0};
    for (size_t next = 0; latencies->len < load->batches_len;) {
        for (int i = 0; i < len && next < load->batches_len; i++) {
            if (connections[i].sent_us == 0) send_batch(&connections[i], &load->batches[next++]);
        }
        poll(waits, (nfds_t)len, -1);
        for (int i = 0; i < len; i++) {
            if (connections[i].sent_us != 0 && (waits[i].revents & POLLIN)) take_answer(&connections[i], latencies);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) fail("usage: pg_limit DATABASE_URL COUNT BATCH CONNECTIONS ORG OWNER");
    int len = (int)strtol(argv[4], NULL, 10);
    struct load load = {.org = strtoll(argv[5], NULL, 10), .owner = strtoll(argv[6], NULL, 10)};
    struct connection connections[CONNECTIONS_MAX] = {0};
    struct latencies latencies;
    if (len < 1 || len > CONNECTIONS_MAX) fail("1 to 16 connections");
    make_load(&load, strtoll(argv[2], NULL, 10), strtoll(argv[3], NULL, 10));
    latencies_init(&latencies, load.batches_len);
    for (int i = 0; i < len; i++) connections[i].conn = connect_to(argv[1]);
    int64_t start_us = clock_steady_us();
    run(&load, connections, len, &latencies);
    printf("%.3f\n", (double)(clock_steady_us() - start_us) / 1e6);
    latencies_print(&latencies);
    for (int i = 0; i < len; i++) PQfinish(connections[i].conn);
    latencies_done(&latencies);
    free_load(&load);
    return 0;
}
