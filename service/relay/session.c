#include "relay/session.h"

#include <poll.h>

#include "driver/clock.h"

enum { CONNECT_TIMEOUT_US = 10000000, QUERY_TIMEOUT_US = 10000000, SLICE_MS = 500 };

/* Keywords before dbname give way to what the URL says, those behind it do not. */
static PGconn *start_connection(const char *database_url, bool replication)
{
    const char *const keywords[] = {"keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "tcp_user_timeout",
                                    "fallback_application_name",
                                    "dbname",
                                    replication ? "replication" : NULL,
                                    NULL};
    const char *const values[] = {"10", "3", "3", "15000", "schedule-service relay", database_url, "database", NULL};
    return PQconnectStartParams(keywords, values, 1);
}

static bool finish_connecting(PGconn *conn, struct waiter *waiter)
{
    int64_t deadline_us = clock_steady_us() + CONNECT_TIMEOUT_US;
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (!waiter_is_stopping(waiter) && clock_steady_us() < deadline_us) {
        if (waiter_wait(waiter, PQsocket(conn), next == PGRES_POLLING_READING ? POLLIN : POLLOUT, SLICE_MS)) {
            next = PQconnectPoll(conn);
        }
        if (next == PGRES_POLLING_OK) return PQsetnonblocking(conn, 1) == 0;
        if (next == PGRES_POLLING_FAILED) return false;
    }
    return false;
}

PGconn *session_open(const char *database_url, bool replication, struct waiter *waiter, struct reason *reason)
{
    PGconn *conn = start_connection(database_url, replication);
    if (conn != NULL && PQstatus(conn) != CONNECTION_BAD && finish_connecting(conn, waiter)) return conn;
    const char *message = conn == NULL ? "out of memory" : PQerrorMessage(conn);
    reason_set(reason, "cannot connect to PostgreSQL: %s", *message == '\0' ? "timed out" : message);
    PQfinish(conn);
    return NULL;
}

/* Waits until a result can be taken without blocking. */
static bool await_result(PGconn *conn, int64_t deadline_us, struct waiter *waiter)
{
    while (!waiter_is_stopping(waiter) && clock_steady_us() < deadline_us) {
        int unsent = PQflush(conn);
        if (unsent < 0 || PQconsumeInput(conn) == 0) return false;
        if (!PQisBusy(conn)) return true;
        waiter_wait(waiter, PQsocket(conn), unsent > 0 ? POLLIN | POLLOUT : POLLIN, SLICE_MS);
    }
    return false;
}

static bool has_more(const PGresult *result)
{
    return PQresultStatus(result) != PGRES_COPY_BOTH;
}

PGresult *session_query(PGconn *conn, const char *sql, struct waiter *waiter, struct reason *reason)
{
    int64_t deadline_us = clock_steady_us() + QUERY_TIMEOUT_US;
    PGresult *first = NULL;
    if (PQsendQuery(conn, sql) == 1) {
        while (await_result(conn, deadline_us, waiter)) {
            PGresult *result = PQgetResult(conn);
            if (result == NULL) return first;
            if (first == NULL) first = result;
            else PQclear(result);
            if (!has_more(first)) return first;
        }
    }
    PQclear(first);
    reason_set(reason, "PostgreSQL gave no answer: %s", *PQerrorMessage(conn) == '\0' ? "timed out" : PQerrorMessage(conn));
    return NULL;
}
