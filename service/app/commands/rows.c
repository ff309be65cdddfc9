#include "app/commands/rows.h"

#include <stdio.h>
#include <string.h>

#include "app/database.h"

static bool needs_quotes(const char *value)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.,:+/@";
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

void rows_print(const PGresult *result, int row)
{
    for (int column = 0; column < PQnfields(result); column++) {
        printf("%s%s=", column == 0 ? "" : " ", PQfname(result, column));
        print_value(PQgetvalue(result, row, column));
    }
    putchar('\n');
}

int rows_print_query(PGconn *db, const char *sql, int params_len, const char *const *params)
{
    int code = 0;
    if (PQsendQueryParams(db, sql, params_len, NULL, params, NULL, NULL, 0) != 1) {
        return database_fail("%s", PQerrorMessage(db));
    }
    PQsetSingleRowMode(db);
    for (PGresult *result; (result = PQgetResult(db)) != NULL; PQclear(result)) {
        if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) rows_print(result, 0);
        else if (PQresultStatus(result) != PGRES_TUPLES_OK) code = database_fail("%s", PQresultErrorMessage(result));
    }
    return code;
}

int rows_print_found(PGresult *result, const char *noun, const char *id)
{
    if (result == NULL) return 1;
    bool is_found = PQntuples(result) == 1;
    if (is_found) rows_print(result, 0);
    PQclear(result);
    return is_found ? 0 : database_fail("there is no %s with id %s", noun, id);
}
