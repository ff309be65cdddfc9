#include "app/commands/removal.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "driver/clock.h"

enum { REPORT_EVERY_US = 1000000, REST_MIN_US = 1000, BUSY_US = 100000 };

/* The next step, as large as the service's, and then a rest as long as it took. False on an error, which was said. */
static bool take_step(PGconn *db)
{
    int64_t begun_us = clock_steady_us();
    PGresult *step = database_try(db, "SELECT deleted FROM run_removals(200)", 0, NULL);
    bool ok = PQresultStatus(step) == PGRES_TUPLES_OK;
    int64_t took_us = clock_steady_us() - begun_us;
    if (!ok) database_fail("%s", PQerrorMessage(db));
    else if (PQgetisnull(step, 0, 0)) usleep(BUSY_US); /* somebody else takes it */
    else usleep((useconds_t)(took_us < REST_MIN_US ? REST_MIN_US : took_us > BUSY_US ? BUSY_US : took_us));
    PQclear(step);
    return ok;
}

/* How many schedules of it are deleted; NULL on an error, which was said, and no row when it has ended. */
static PGresult *look(PGconn *db, const char *type, const char *id)
{
    static const char sql[] = "SELECT schedules FROM removals WHERE type = $1 AND id = $2::bigint";
    return database_query(db, sql, 2, (const char *const[]){type, id});
}

bool removal_await(PGconn *db, const char *type, const char *id)
{
    int64_t begun_us = clock_steady_us();
    int64_t reported_us = begun_us;
    for (PGresult *left; (left = look(db, type, id)) != NULL; PQclear(left)) {
        int64_t now_us = clock_steady_us();
        if (PQntuples(left) == 0) {
            PQclear(left);
            return true;
        }
        if (now_us - reported_us >= REPORT_EVERY_US) {
            fprintf(stderr, "removing %s %s: schedules=%s seconds=%" PRId64 "\n", type, id, PQgetvalue(left, 0, 0),
                    (now_us - begun_us) / 1000000);
            reported_us = now_us;
        }
        if (!take_step(db)) {
            PQclear(left);
            break;
        }
    }
    database_fail("the removal of %s %s has started and continues in the service", type, id);
    return false;
}

PGresult *removal_try(PGconn *db, const char *sql, int params_len, const char *const *params)
{
    for (;;) {
        PGresult *result = database_try(db, sql, params_len, params);
        if (!database_failed_with(result, "SS003") || !take_step(db)) return result;
        PQclear(result);
    }
}
