#include "webhook/webhook_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/log.h"

enum { SQLSTATE_SIZE = 6 };

struct unit {
    const struct webhook_db_ops *ops;
    void *ctx;
    int statement; /* the next one to be answered */
    char sqlstate[SQLSTATE_SIZE];
    bool has_failed;
};

struct webhook_db {
    struct pg *pg;
    void (*on_ready)(void *ctx);
    void *ctx;
    struct unit units[WEBHOOK_DB_UNITS_MAX]; /* a ring: sent, and not answered */
    size_t first;
    size_t len;
};

static struct unit *unit_at(struct webhook_db *db, size_t index)
{
    return &db->units[(db->first + index) % WEBHOOK_DB_UNITS_MAX];
}

static void on_ready(void *ctx)
{
    struct webhook_db *db = ctx;
    db->on_ready(db->ctx);
}

static void fail(struct unit *unit, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (unit->has_failed) return;
    unit->has_failed = true;
    snprintf(unit->sqlstate, sizeof(unit->sqlstate), "%s", sqlstate == NULL ? "" : sqlstate);
    LOG_WARN("webhooks: a statement failed", LOG_STR("sqlstate", unit->sqlstate),
             LOG_STR("reason", PQresultErrorMessage(result)));
}

static void on_result(void *ctx, const PGresult *result)
{
    struct webhook_db *db = ctx;
    struct unit *unit = unit_at(db, 0);
    if (pg_result_status(result) != STATUS_OK) fail(unit, result);
    else if (!unit->has_failed && unit->ops->on_rows != NULL) unit->ops->on_rows(unit->ctx, result, unit->statement);
    unit->statement++;
}

static void answer_first(struct webhook_db *db, bool is_stored)
{
    struct unit unit = *unit_at(db, 0);
    db->first = (db->first + 1) % WEBHOOK_DB_UNITS_MAX;
    db->len--;
    unit.ops->on_end(unit.ctx, is_stored, unit.sqlstate);
}

static void on_sync(void *ctx)
{
    struct webhook_db *db = ctx;
    answer_first(db, !unit_at(db, 0)->has_failed);
}

static void on_lost(void *ctx)
{
    struct webhook_db *db = ctx;
    for (size_t left = db->len; left > 0; left--) answer_first(db, false);
}

struct webhook_db *webhook_db_new(struct event_base *base, const struct pg_config *config, void (*ready)(void *ctx),
                                  void *ctx)
{
    static const struct pg_handler handler = {on_ready, on_result, on_sync, on_lost};
    struct webhook_db *db = calloc(1, sizeof(*db));
    if (db == NULL) return NULL;
    db->on_ready = ready;
    db->ctx = ctx;
    db->pg = pg_new(base, config, &handler, db);
    if (db->pg != NULL) return db;
    free(db);
    return NULL;
}

void webhook_db_free(struct webhook_db *db)
{
    if (db == NULL) return;
    pg_free(db->pg);
    free(db);
}

bool webhook_db_is_ready(const struct webhook_db *db)
{
    return pg_is_ready(db->pg) && db->len < WEBHOOK_DB_UNITS_MAX;
}

void webhook_db_begin(struct webhook_db *db, const struct webhook_db_ops *ops, void *ctx)
{
    *unit_at(db, db->len++) = (struct unit){.ops = ops, .ctx = ctx};
}

/* A connection that refuses is dropped, and its units end with that. */
void webhook_db_send(struct webhook_db *db, const char *statement, const struct pg_param *params, int params_len)
{
    if (pg_is_ready(db->pg)) (void)pg_send(db->pg, statement, params, params_len, false);
}

void webhook_db_end(struct webhook_db *db)
{
    if (pg_is_ready(db->pg)) (void)pg_sync(db->pg);
}

struct pg_param webhook_db_text_param(const char *text)
{
    return (struct pg_param){text, (int)strlen(text), false};
}

int64_t webhook_db_number(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

bool webhook_db_uuid(const PGresult *rows, int row, int column, struct uuid *ret_uuid)
{
    return uuid_parse(slice_of(PQgetvalue(rows, row, column)), ret_uuid);
}

/* In its text form, "\x" and hex. */
struct slice webhook_db_bytes(const PGresult *rows, int row, int column)
{
    size_t len = 0;
    if (PQgetisnull(rows, row, column)) return (struct slice){NULL, 0};
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(rows, row, column), &len);
    char *copy = bytes == NULL ? NULL : malloc(len + 1);
    if (copy != NULL) memcpy(copy, bytes, len);
    PQfreemem(bytes);
    return (struct slice){copy, copy == NULL ? 0 : len};
}
