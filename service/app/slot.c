#include "app/slot.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/database.h"

bool slot_look(PGconn *conn, const char *slot, struct slot_view *ret_view)
{
    static const char sql[] =
        "SELECT greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn), 0), 0)::bigint "
        "FROM pg_replication_slots WHERE slot_name = $1 AND wal_status IS DISTINCT FROM 'lost'";
    PGresult *found = database_query(conn, sql, 1, &slot);
    if (found == NULL) return false;
    ret_view->is_usable = PQntuples(found) > 0;
    ret_view->behind_bytes = ret_view->is_usable ? strtoll(PQgetvalue(found, 0, 0), NULL, 10) : 0;
    PQclear(found);
    return true;
}

/* In this order: a relay that finds the slot finds its generation. A slot cannot be made in a transaction that wrote. */
bool slot_make(PGconn *conn, const char *slot)
{
    static const char *const steps[] = {
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
        "INSERT INTO slot_generations (slot, generation) VALUES ($1, gen_random_uuid()) "
        "ON CONFLICT (slot) DO UPDATE SET generation = excluded.generation",
        "SELECT pg_create_logical_replication_slot($1, 'pgoutput')",
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (!database_execute(conn, steps[i], 1, &slot)) return false;
    }
    printf("made replication slot %s\n", slot);
    return true;
}
