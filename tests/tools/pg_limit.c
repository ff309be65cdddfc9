/* What PostgreSQL alone can do: COUNT rows into schedules, in transactions of BATCH rows from two connections by turns, with the
 * same columns, indexes and emitted message, made by the server itself from generate_series.
 *
 *   pg_limit DATABASE_URL COUNT BATCH      prints the seconds it took */
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CONNECTIONS = 2 };

static const char insert[] =
    "WITH made AS (INSERT INTO schedules (id, command_id, command_digest, org_id, owner_id, name, time_zone, availability, "
    "overrides, created_at, updated_at) SELECT i, ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, "
    "decode('00112233445566778899aabbccddeeff', 'hex'), 1, 1 + i % 10000, 'Working hours', 'Europe/Rome', "
    "'[{\"days\":[\"Monday\",\"Tuesday\",\"Wednesday\",\"Thursday\",\"Friday\"],\"startTime\":\"09:00\",\"endTime\":\"17:"
    "00\"}]', "
    "'[]', now(), now() FROM generate_series($1::bigint, $2::bigint) AS i RETURNING id) "
    "SELECT count(pg_logical_emit_message(true, 'limit', decode(repeat('00', 400), 'hex'))) FROM made";

static void fail(const char *reason)
{
    fprintf(stderr, "pg_limit: %s\n", reason);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void send_batch(PGconn *conn, long first, long last)
{
    char from[24];
    char to[24];
    snprintf(from, sizeof(from), "%ld", first);
    snprintf(to, sizeof(to), "%ld", last);
    const char *const params[] = {from, to};
    if (PQsendQueryPrepared(conn, "insert", 2, params, NULL, NULL, 1) != 1) fail(PQerrorMessage(conn));
}

static void take_answer(PGconn *conn)
{
    for (PGresult *result; (result = PQgetResult(conn)) != NULL; PQclear(result)) {
        if (PQresultStatus(result) != PGRES_TUPLES_OK) fail(PQresultErrorMessage(result));
    }
}

static PGconn *connect_to(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK) fail(PQerrorMessage(conn));
    PGresult *prepared = PQprepare(conn, "insert", insert, 0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK) fail(PQresultErrorMessage(prepared));
    PQclear(prepared);
    return conn;
}

int main(int argc, char **argv)
{
    if (argc != 4) fail("usage: pg_limit DATABASE_URL COUNT BATCH");
    long count = strtol(argv[2], NULL, 10);
    long batch = strtol(argv[3], NULL, 10);
    struct pollfd waits[CONNECTIONS];
    PGconn *conns[CONNECTIONS];
    bool busy[CONNECTIONS] = {false};
    for (int i = 0; i < CONNECTIONS; i++) {
        conns[i] = connect_to(argv[1]);
        waits[i] = (struct pollfd){PQsocket(conns[i]), POLLIN, 0};
    }
    double start = now();
    for (long next = 1, under_way = 0; next <= count || under_way > 0;) {
        for (int i = 0; i < CONNECTIONS && next <= count; i++) {
            if (busy[i]) continue;
            send_batch(conns[i], next, next + batch - 1 < count ? next + batch - 1 : count);
            next += batch;
            busy[i] = true;
            under_way++;
        }
        poll(waits, CONNECTIONS, -1);
        for (int i = 0; i < CONNECTIONS; i++) {
            if (!busy[i] || !(waits[i].revents & POLLIN)) continue;
            take_answer(conns[i]);
            busy[i] = false;
            under_way--;
        }
    }
    printf("%.3f\n", now() - start);
    for (int i = 0; i < CONNECTIONS; i++) PQfinish(conns[i]);
    return 0;
}
