#include "app/slot.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/database.h"

static bool has_failover_slots(PGconn *conn)
{
    const int version = 170000;
    return PQserverVersion(conn) >= version;
}

bool slot_look(PGconn *conn, const char *slot, struct slot_view *ret_view)
{
    static const char sql[] =
        "SELECT greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn), 0), 0)::bigint "
        "FROM pg_replication_slots WHERE slot_name = $1 AND wal_status IS DISTINCT FROM 'lost' "
        "AND NOT EXISTS (SELECT FROM relay_positions WHERE slot = slot_name AND refusal IS NOT NULL)";
    PGresult *found = database_query(conn, sql, 1, &slot);
    if (found == NULL) return false;
    ret_view->is_usable = PQntuples(found) > 0;
    ret_view->behind_bytes = ret_view->is_usable ? strtoll(PQgetvalue(found, 0, 0), NULL, 10) : 0;
    PQclear(found);
    return true;
}

/* Where the server can keep the slot on its standbys too, it is asked to. */
static bool create(PGconn *conn, const char *slot)
{
    static const char plain[] = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
    static const char failover[] = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', failover => true)";
    return database_execute(conn, has_failover_slots(conn) ? failover : plain, 1, &slot);
}

/* In this order: a relay that finds the slot finds its generation. A slot cannot be made in a transaction that wrote. */
bool slot_make(PGconn *conn, const char *slot)
{
    static const char *const steps[] = {
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
        "SELECT begin_slot_generation($1)",
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (!database_execute(conn, steps[i], 1, &slot)) return false;
    }
    if (!create(conn, slot)) return false;
    printf("made replication slot %s\n", slot);
    return true;
}

/* One row for each, so that the texts stand in one place. */
static const char warnings_sql[] = "SELECT 'replication slot ' || slot_name || ' is not kept on standbys, as it was made "
                                   "without failover: after a failover it is "
                                   "lost; `schedule-service rebuild` makes a new one once it was dropped' "
                                   "FROM pg_replication_slots WHERE slot_name = $1 AND NOT failover "
                                   "UNION ALL SELECT 'synchronized_standby_slots is empty: events may be published of "
                                   "commits that no standby has yet, and a failover "
                                   "then loses these commits' WHERE current_setting('synchronized_standby_slots') = ''";

bool slot_warn(PGconn *conn, const char *slot)
{
    if (!has_failover_slots(conn)) return true;
    PGresult *warnings = database_query(conn, warnings_sql, 1, &slot);
    if (warnings == NULL) return false;
    for (int i = 0; i < PQntuples(warnings); i++)
        fprintf(stderr, "schedule-service: warning: %s\n", PQgetvalue(warnings, i, 0));
    PQclear(warnings);
    return true;
}
