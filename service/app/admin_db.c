/* How the admin commands show rows. */
#include <stdio.h>
#include <string.h>

#include "app/admin_command.h"

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
