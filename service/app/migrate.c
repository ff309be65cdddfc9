#include "app/migrate.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/database.h"
#include "app/schema.h"
#include "app/slot.h"
#include "app/version.h"

enum {
    CHECKSUM_SIZE = 2 * SHA256_DIGEST_LENGTH + 1,
    FORMER_MIN = 10 /* of the former files; schema_upgrade goes on from there */
};

/* What is recorded of a numbered file. */
struct migration_row {
    char version[24];
    char checksum[CHECKSUM_SIZE];
};

static struct migration_row row_of(const struct migration *migration)
{
    struct migration_row row;
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)migration->sql, strlen(migration->sql), sha256);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) snprintf(row.checksum + 2 * i, 3, "%02x", sha256[i]);
    snprintf(row.version, sizeof(row.version), "%" PRId64, migration->version);
    return row;
}

/* The first column of the first row of a query without parameters; NULL on an error, which was said, and "" where there is none. The
 * caller frees it. */
static char *ask(PGconn *conn, const char *sql)
{
    PGresult *rows = database_query(conn, sql, 0, NULL);
    char *answer = rows == NULL ? NULL : strdup(PQntuples(rows) == 0 ? "" : PQgetvalue(rows, 0, 0));
    PQclear(rows);
    return answer;
}

/* ---- tables: the numbered files ---- */

static bool record(PGconn *conn, const struct migration *migration)
{
    const struct migration_row row = row_of(migration);
    const char *const params[] = {row.version, migration->name, row.checksum};
    return database_execute(conn, "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)", 3, params);
}

static bool apply(PGconn *conn, const struct migration *migration)
{
    if (!database_execute(conn, migration->sql, 0, NULL) || !record(conn, migration)) return false;
    printf("applied %s\n", migration->name);
    return true;
}

/* Applies the migration, unless it is recorded with the same checksum. */
static bool ensure(PGconn *conn, const struct migration *migration)
{
    const struct migration_row row = row_of(migration);
    const char *const params[] = {row.version};
    PGresult *found = database_query(conn, "SELECT checksum FROM schema_migrations WHERE version = $1", 1, params);
    if (found == NULL) return false;
    bool is_new = PQntuples(found) == 0;
    bool same = !is_new && strcmp(PQgetvalue(found, 0, 0), row.checksum) == 0;
    PQclear(found);
    if (is_new) return apply(conn, migration);
    if (!same) {
        database_fail("migration %s was applied with another content; a file that was applied never changes, add a new one",
                      migration->name);
    }
    return same;
}

static bool is_former(int64_t version, const char *checksum)
{
    for (const struct former_migration *m = former_migrations; m->version != 0; m++) {
        if (m->version == version && strcmp(m->checksum, checksum) == 0) return true;
    }
    return false;
}

/* How many of the former files the database has, in place of this build's; 0: none. -1 when it has something else, which was said. */
static int64_t count_former(PGconn *conn)
{
    PGresult *rows = database_query(conn, "SELECT version, checksum FROM schema_migrations ORDER BY version", 0, NULL);
    if (rows == NULL) return -1;
    int64_t count = 0;
    int total = PQntuples(rows);
    for (int i = 0; i < total; i++) {
        if (is_former(strtoll(PQgetvalue(rows, i, 0), NULL, 10), PQgetvalue(rows, i, 1))) count++;
    }
    PQclear(rows);
    if (count == 0) return 0;
    if (count == total && count >= FORMER_MIN) return count;
    database_fail("the schema is older than what this build can upgrade, or its former files were changed");
    return -1;
}

/* A database with the files that the first one replaced is brought to where the first one is. */
static bool upgrade(PGconn *conn)
{
    int64_t count = count_former(conn);
    if (count <= 0) return count == 0;
    if (!database_execute(conn, schema_upgrade, 0, NULL)) return false;
    if (!database_execute(conn, "DELETE FROM schema_migrations", 0, NULL) || !record(conn, &migrations[0])) return false;
    printf("replaced %" PRId64 " former migrations\n", count);
    return true;
}

/* The functions of this build would be older than the code that works on a newer build's tables. */
static bool is_not_newer(PGconn *conn)
{
    char *version = ask(conn, "SELECT coalesce(max(version), 0) FROM schema_migrations");
    bool ok = version != NULL && strtoll(version, NULL, 10) <= schema_version;
    if (version != NULL && !ok) database_fail("the schema is at version %s, which is a newer build's", version);
    free(version);
    return ok;
}

/* ---- functions, views, triggers and grants: one text each ---- */

static bool is_known(const char *checksum)
{
    const char *const *former = schema_functions_former;
    while (*former != NULL && strcmp(*former, checksum) != 0) former++;
    return checksum[0] == '\0' || *former != NULL;
}

static bool apply_functions(PGconn *conn)
{
    const char *const params[] = {schema_functions_checksum, version_text()};
    /* They refer to each other in any order. */
    if (!database_execute(conn, "SET LOCAL check_function_bodies = off", 0, NULL)) return false;
    if (!database_execute(conn, schema_functions, 0, NULL)) return false;
    if (!database_execute(conn, "DELETE FROM schema_functions", 0, NULL)) return false;
    if (!database_execute(conn, "INSERT INTO schema_functions (checksum, build) VALUES ($1, $2)", 2, params)) return false;
    printf("applied the functions\n");
    return true;
}

static bool ensure_functions(PGconn *conn)
{
    char *checksum = ask(conn, "SELECT checksum FROM schema_functions");
    bool ok = checksum != NULL;
    if (ok && strcmp(checksum, schema_functions_checksum) != 0) {
        ok = is_known(checksum) ? apply_functions(conn) : database_fail("the functions are a newer build's") == 0;
    }
    free(checksum);
    return ok;
}

/* Everything or nothing: no function is ever beside tables that it was not written for. */
static bool ensure_schema(PGconn *conn)
{
    if (!database_execute(conn, "BEGIN", 0, NULL) || !upgrade(conn) || !is_not_newer(conn)) return false;
    for (const struct migration *m = migrations; m->version != 0; m++) {
        if (!ensure(conn, m)) return false;
    }
    return ensure_functions(conn) && database_execute(conn, "SELECT grant_roles()", 0, NULL) &&
           database_execute(conn, "COMMIT", 0, NULL);
}

/* ---- the replication slot ---- */

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
    PGresult *known = database_query(conn, "SELECT WHERE is_slot_known($1)", 1, &slot);
    if (known == NULL) return false;
    bool is_known = PQntuples(known) > 0;
    PQclear(known);
    if (!is_known) {
        database_fail(
            "the database was written to and has no replication slot %s, and never had: is REPLICATION_SLOT right?", slot);
        return false;
    }
    database_fail("replication slot %s is missing or lost, and with it the events that were not published; "
                  "`schedule-service rebuild` makes both again",
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
    static const char tables[] =
        "CREATE TABLE IF NOT EXISTS schema_migrations (version bigint PRIMARY KEY, name text NOT NULL, "
        "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"
        "CREATE TABLE IF NOT EXISTS schema_functions (checksum text PRIMARY KEY, build text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())";
    return database_execute(conn, quiet, 0, NULL) && database_lock(conn) && database_execute(conn, tables, 0, NULL) &&
           ensure_schema(conn) && ensure_slot(conn, slot) && slot_warn(conn, slot);
}

int migrate_run(const char *database_url, const char *slot)
{
    PGconn *conn = database_connect(database_url);
    if (conn == NULL) return 1;
    bool ok = is_utf8(conn) && migrate(conn, slot); /* the lock and what is not committed go with the connection */
    PQfinish(conn);
    if (ok) printf("the schema is at version %" PRId64 "\n", schema_version);
    return ok ? 0 : 1;
}
