/* One connection to PostgreSQL whose units of work are answered each to whoever sent it, in order. */
#ifndef WEBHOOK_WEBHOOK_DB_H
#define WEBHOOK_WEBHOOK_DB_H

#include "core/uuid.h"
#include "driver/pg.h"

enum { WEBHOOK_DB_UNITS_MAX = 16 };

struct webhook_db;

/* Who gets a unit's answers. */
struct webhook_db_ops {
    void (*on_rows)(void *ctx, const PGresult *rows, int statement); /* of each statement that succeeded, counted from 0 */
    void (*on_end)(void *ctx, bool is_stored,
                   const char *sqlstate); /* once; false: not, or nobody knows. sqlstate: ""  or the first error's */
};

/* The config and ops are borrowed and outlive it. on_ready comes whenever it is connected. NULL: out of memory. */
struct webhook_db *webhook_db_new(struct event_base *base, const struct pg_config *config, void (*on_ready)(void *ctx),
                                  void *ctx);
void webhook_db_free(struct webhook_db *db);

/* Whether a unit can be begun. */
bool webhook_db_is_ready(const struct webhook_db *db);

/* Begins a unit, which the next statements belong to, and ends it. */
void webhook_db_begin(struct webhook_db *db, const struct webhook_db_ops *ops, void *ctx);
void webhook_db_send(struct webhook_db *db, const char *statement, const struct pg_param *params, int params_len);
void webhook_db_end(struct webhook_db *db);

/* ---- texts to parameters, and rows to values ---- */

struct pg_param webhook_db_text_param(const char *text);
int64_t webhook_db_number(const PGresult *rows, int row, int column); /* 0 for null */
bool webhook_db_uuid(const PGresult *rows, int row, int column, struct uuid *ret_uuid);

/* A copy of bytea, the caller's. Data is NULL for null, and when memory is out. */
struct slice webhook_db_bytes(const PGresult *rows, int row, int column);

#endif
