#include "app/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "driver/pg.h"

enum { ATTEMPTS_MAX = 10, RETRY_MS = 50 };

/* Any fixed number that no other application locks on the same database. */
#define LOCK_KEY "7215830125519"

int database_fail(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    bool has_end = len > 0 && (size_t)len < sizeof(text) && text[len - 1] == '\n';
    fprintf(stderr, "schedule-service: %s%s", text, has_end ? "" : "\n");
    return 1;
}

/* A foreign or a double key is the operator's slip, and its detail ("Key (org_id)=(9) is not present ...") says it best. */
static void explain(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    if (sqlstate == NULL || message == NULL) {
        database_fail("%s", PQresultErrorMessage(result));
    } else if (strncmp(sqlstate, "23", 2) == 0 && detail != NULL) {
        database_fail("%s", detail);
    } else if (pg_lacks_schema(result)) {
        database_fail("%s; run `schedule-service migrate` first", message);
    } else {
        database_fail("%s", message);
    }
}

PGconn *database_connect(const char *url)
{
    /* Each host has connect_timeout for itself; what stands before dbname gives way to what the URL says. */
    const char *const keys[] = {"connect_timeout", "dbname", "application_name", "client_encoding", NULL};
    const char *const values[] = {"10", url, "schedule-service command", "UTF8", NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(conn) == CONNECTION_OK) return conn;
    database_fail("no connection to the database: %s", PQerrorMessage(conn));
    PQfinish(conn);
    return NULL;
}

PGresult *database_check(PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return result;
    explain(result);
    PQclear(result);
    return NULL;
}

PGresult *database_query(PGconn *conn, const char *sql, int params_len, const char *const *params)
{
    return database_check(PQexecParams(conn, sql, params_len, NULL, params, NULL, NULL, 0));
}

bool database_execute(PGconn *conn, const char *sql, int params_len, const char *const *params)
{
    PGresult *result = params_len == 0 ? database_check(PQexec(conn, sql)) : database_query(conn, sql, params_len, params);
    PQclear(result);
    return result != NULL;
}

static bool is_conflict(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return sqlstate != NULL && strncmp(sqlstate, "40", 2) == 0;
}

PGresult *database_try(PGconn *conn, const char *sql, int params_len, const char *const *params)
{
    for (int attempt = 1;; attempt++) {
        PGresult *result = PQexecParams(conn, sql, params_len, NULL, params, NULL, NULL, 0);
        if (!is_conflict(result) || attempt == ATTEMPTS_MAX) return result;
        PQclear(result);
        usleep(RETRY_MS * 1000);
    }
}

bool database_failed_with(const PGresult *result, const char *sqlstate)
{
    const char *own = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return own != NULL && strcmp(own, sqlstate) == 0;
}

bool database_lock(PGconn *conn)
{
    return database_execute(conn, "SELECT pg_advisory_lock(" LOCK_KEY ")", 0, NULL);
}

bool database_unlock(PGconn *conn)
{
    return database_execute(conn, "SELECT pg_advisory_unlock(" LOCK_KEY ")", 0, NULL);
}
