#include "app/database.h"

#include <stdio.h>

PGconn *database_connect(const char *url)
{
    const char *const keys[] = {"dbname", "application_name", "connect_timeout", "client_encoding", NULL};
    const char *const values[] = {url, "schedule-service command", "10", "UTF8", NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(conn) == CONNECTION_OK) return conn;
    fprintf(stderr, "schedule-service: no connection to the database: %s", PQerrorMessage(conn));
    PQfinish(conn);
    return NULL;
}

PGresult *database_query(PGconn *conn, const char *sql, int params_len, const char *const params[])
{
    PGresult *result = PQexecParams(conn, sql, params_len, NULL, params, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return result;
    const char *reason = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    fprintf(stderr, "schedule-service: %s\n", reason == NULL ? PQerrorMessage(conn) : reason);
    PQclear(result);
    return NULL;
}
