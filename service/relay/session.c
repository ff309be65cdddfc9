#include "relay/session.h"

#include <poll.h>

#include "driver/clock.h"
#include "driver/pg_dial.h"

enum { QUERY_TIMEOUT_US = 10000000, SLICE_MS = 500 };

static bool finish_connecting(struct pg_dial *dial, struct interruptible_wait *wait_state)
{
    enum pg_dial_state state = pg_dial_step(dial);
    while (state == PG_DIAL_READING || state == PG_DIAL_WRITING) {
        int64_t left_ms = pg_dial_left_ms(dial);
        bool is_ready = interruptible_wait_sleep(wait_state, pg_dial_fd(dial), state == PG_DIAL_READING ? POLLIN : POLLOUT,
                                                 left_ms < SLICE_MS ? (int)left_ms : SLICE_MS);
        if (interruptible_wait_is_stopping(wait_state)) return false;
        if (is_ready || pg_dial_left_ms(dial) == 0) state = pg_dial_step(dial);
    }
    return state == PG_DIAL_CONNECTED;
}

PGconn *session_open(const char *database_url, bool replication, struct interruptible_wait *wait_state,
                     struct error_text *reason)
{
    static const char name[] = "schedule-service relay";
    const struct pg_setting settings[] = {
        {"keepalives_idle", "10", true},           {"keepalives_interval", "3", true},
        {"keepalives_count", "3", true},           {"tcp_user_timeout", "15000", true},
        {"fallback_application_name", name, true}, {"replication", replication ? "database" : NULL, false},
    };
    struct pg_dial *dial = pg_dial_new(name, database_url, settings, sizeof(settings) / sizeof(settings[0]));
    PGconn *conn = dial != NULL && finish_connecting(dial, wait_state) ? pg_dial_take(dial) : NULL;
    if (conn == NULL || PQsetnonblocking(conn, 1) != 0) {
        const char *message = dial == NULL ? "out of memory" : pg_dial_reason(dial);
        error_text_set(reason, "cannot connect to PostgreSQL: %s", *message == '\0' ? "it is stopping" : message);
        PQfinish(conn);
        conn = NULL;
    }
    pg_dial_free(dial);
    return conn;
}

/* Waits until a result can be taken without blocking. */
static bool await_result(PGconn *conn, int64_t deadline_us, struct interruptible_wait *wait_state)
{
    while (!interruptible_wait_is_stopping(wait_state) && clock_steady_us() < deadline_us) {
        int unsent = PQflush(conn);
        if (unsent < 0 || PQconsumeInput(conn) == 0) return false;
        if (!PQisBusy(conn)) return true;
        interruptible_wait_sleep(wait_state, PQsocket(conn), unsent > 0 ? POLLIN | POLLOUT : POLLIN, SLICE_MS);
    }
    return false;
}

static bool has_more(const PGresult *result)
{
    return PQresultStatus(result) != PGRES_COPY_BOTH;
}

/* Of the statement that was sent, if it was. */
static PGresult *first_result(PGconn *conn, int is_sent, struct interruptible_wait *wait_state, struct error_text *reason)
{
    int64_t deadline_us = clock_steady_us() + QUERY_TIMEOUT_US;
    PGresult *first = NULL;
    if (is_sent == 1) {
        while (await_result(conn, deadline_us, wait_state)) {
            PGresult *result = PQgetResult(conn);
            if (result == NULL) return first;
            if (first == NULL) first = result;
            else PQclear(result);
            if (!has_more(first)) return first;
        }
    }
    PQclear(first);
    error_text_set(reason, "PostgreSQL gave no answer: %s",
                   *PQerrorMessage(conn) == '\0' ? "timed out" : PQerrorMessage(conn));
    return NULL;
}

PGresult *session_query(PGconn *conn, const char *sql, struct interruptible_wait *wait_state, struct error_text *reason)
{
    return first_result(conn, PQsendQuery(conn, sql), wait_state, reason);
}

PGresult *session_call(PGconn *conn, const char *sql, int params_len, const char *const *params,
                       struct interruptible_wait *wait_state, struct error_text *reason)
{
    int is_sent = PQsendQueryParams(conn, sql, params_len, NULL, params, NULL, NULL, 0);
    return first_result(conn, is_sent, wait_state, reason);
}
