#include "app/migrate.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "app/database.h"
#include "app/slot.h"

enum { CHECKSUM_SIZE = 2 * SHA256_DIGEST_LENGTH + 1 };

int64_t migrations_latest(void)
{
    int64_t latest = 0;
    for (const struct migration *m = migrations; m->version != 0; m++) latest = m->version;
    return latest;
}

static void checksum_of(const struct migration *migration, char text[CHECKSUM_SIZE])
{
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)migration->sql, strlen(migration->sql), sha256);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) snprintf(text + 2 * i, 3, "%02x", sha256[i]);
}

static bool apply(PGconn *conn, const struct migration *migration, const char *version, const char *checksum)
{
    const char *const params[] = {version, migration->name, checksum};
    if (!database_execute(conn, "BEGIN", 0, NULL) || !database_execute(conn, migration->sql, 0, NULL)) return false;
    PGresult *recorded =
        database_query(conn, "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)", 3, params);
    PQclear(recorded);
    if (recorded == NULL || !database_execute(conn, "COMMIT", 0, NULL)) return false;
    printf("applied %s\n", migration->name);
    return true;
}

/* Applies the migration, unless it is recorded with the same checksum. */
static bool ensure(PGconn *conn, const struct migration *migration)
{
    char version[24];
    char checksum[CHECKSUM_SIZE];
    snprintf(version, sizeof(version), "%" PRId64, migration->version);
    checksum_of(migration, checksum);
    const char *const params[] = {version};
    PGresult *found = database_query(conn, "SELECT checksum FROM schema_migrations WHERE version = $1", 1, params);
    if (found == NULL) return false;
    bool is_new = PQntuples(found) == 0;
    bool same = !is_new && strcmp(PQgetvalue(found, 0, 0), checksum) == 0;
    PQclear(found);
    if (is_new) return apply(conn, migration, version, checksum);
    if (!same) {
        fprintf(stderr,
                "schedule-service: migration %s was applied with another content; a file that was applied never "
                "changes, add a new one\n",
                migration->name);
    }
    return same;
}

/* Only before the first write, which takes ids: after it, a slot that is not there has taken events with it. */
static bool ensure_slot(PGconn *conn, const char *slot)
{
    struct slot_view view;
    if (!slot_look(conn, slot, &view)) return false;
    if (view.is_usable) return true;
    PGresult *ids = database_query(conn, "SELECT WHERE pg_sequence_last_value('schedule_id_blocks') IS NOT NULL", 0, NULL);
    if (ids == NULL) return false;
    bool has_writes = PQntuples(ids) > 0;
    PQclear(ids);
    if (!has_writes) return slot_make(conn, slot);
    database_fail("replication slot %s is missing or lost, and with it the events that were not published; "
                  "`schedule-service rebuild` makes both anew",
                  slot);
    return false;
}

/* In another encoding the checks of lengths count bytes, and what is stored as UTF-8 comes back as something else. */
static bool is_utf8(PGconn *conn)
{
    const char *encoding = PQparameterStatus(conn, "server_encoding");
    if (encoding != NULL && strcmp(encoding, "UTF8") == 0) return true;
    database_fail(
        "the encoding of database %s is %s and has to be UTF8: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        PQdb(conn), encoding == NULL ? "not known" : encoding);
    return false;
}

static bool migrate(PGconn *conn, const char *slot)
{
    static const char quiet[] = "SET client_min_messages = warning";
    static const char table[] =
        "CREATE TABLE IF NOT EXISTS schema_migrations (version bigint PRIMARY KEY, name text NOT NULL, "
        "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";
    if (!database_execute(conn, quiet, 0, NULL) || !database_lock(conn)) return false;
    if (!database_execute(conn, table, 0, NULL)) return false;
    for (const struct migration *m = migrations; m->version != 0; m++) {
        if (!ensure(conn, m)) return false;
    }
    return database_execute(conn, "SELECT grant_roles()", 0, NULL) && ensure_slot(conn, slot) && slot_warn(conn, slot);
}

int migrate_run(const char *database_url, const char *slot)
{
    PGconn *conn = database_connect(database_url);
    if (conn == NULL) return 1;
    bool ok = is_utf8(conn) && migrate(conn, slot); /* the lock goes with the connection */
    PQfinish(conn);
    if (ok) printf("the schema is at version %" PRId64 "\n", migrations_latest());
    return ok ? 0 : 1;
}
