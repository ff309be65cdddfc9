/* The parameters of a statement that takes arrays of the same length: a topic before them, and a time behind them, where it has those. */
#ifndef WEBHOOK_WEBHOOK_PARAMETERS_H
#define WEBHOOK_WEBHOOK_PARAMETERS_H

#include "core/uuid.h"
#include "driver/pg_array.h"
#include "webhook/webhook_db.h"

enum { WEBHOOK_PARAMETERS_MAX = 14 };

struct webhook_parameters {
    struct pg_array arrays[WEBHOOK_PARAMETERS_MAX];
    int len;
};

/* Times are PostgreSQL's: from 2000 on. */
int64_t webhook_postgres_us(int64_t wall_us);

/* len: at most WEBHOOK_PARAMETERS_MAX. The arrays' memory is freed by webhook_parameters_send. */
void webhook_parameters_start(struct webhook_parameters *parameters, const enum pg_oid *types, int len);

void webhook_add_time(struct pg_array *array, int64_t wall_us); /* null at 0 */
void webhook_add_uuid(struct pg_array *array, const struct uuid *id);
void webhook_add_status(struct pg_array *array, int status);     /* null at 0 */
void webhook_add_text(struct pg_array *array, const char *text); /* null for NULL */

/* Sends the statement, of the unit that was begun, and frees the arrays. topic: NULL for none; at_us: wall clock, 0 for none. An array without
 * memory goes as null, which the statement refuses. */
void webhook_parameters_send(struct webhook_db *db, const char *statement, const char *topic,
                             struct webhook_parameters *parameters, int64_t at_us);

#endif
