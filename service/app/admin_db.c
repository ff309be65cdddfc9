/* How the admin commands ask the database and show what it says. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/admin_command.h"

int admin_fail(const char *format, ...)
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
        admin_fail("%s", PQresultErrorMessage(result));
    } else if (strncmp(sqlstate, "23", 2) == 0 && detail != NULL) {
        admin_fail("%s", detail);
    } else if (strcmp(sqlstate, "42P01") == 0) {
        admin_fail("%s; run `schedule-service migrate` first", message);
    } else {
        admin_fail("%s", message);
    }
}

PGresult *admin_query(PGconn *db, const char *sql, int params_len, const char *const *params)
{
    PGresult *result = PQexecParams(db, sql, params_len, NULL, params, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return result;
    explain(result);
    PQclear(result);
    return NULL;
}

bool admin_execute(PGconn *db, const char *sql, int params_len, const char *const *params)
{
    PGresult *result = admin_query(db, sql, params_len, params);
    PQclear(result);
    return result != NULL;
}

static bool needs_quotes(const char *value)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:+/@";
    return value[0] == '\0' || value[strspn(value, bare)] != '\0';
}

/* Single quotes as sh(1) has them: nothing inside is special, and a quote is written '\''. */
static void print_value(const char *value)
{
    if (!needs_quotes(value)) {
        fputs(value, stdout);
        return;
    }
    putchar('\'');
    for (; *value != '\0'; value++) {
        if (*value == '\'') fputs("'\\''", stdout);
        else putchar(*value);
    }
    putchar('\'');
}

void admin_print_row(const PGresult *result, int row)
{
    for (int column = 0; column < PQnfields(result); column++) {
        printf("%s%s=", column == 0 ? "" : " ", PQfname(result, column));
        print_value(PQgetvalue(result, row, column));
    }
    putchar('\n');
}
