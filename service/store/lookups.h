/* The access queries that go to the database together: gathered in one turn of the event loop, one statement, one row for each. */
#ifndef STORE_LOOKUPS_H
#define STORE_LOOKUPS_H

#include "driver/pg.h"
#include "store/access.h"

enum { LOOKUPS_MAX = 64, LOOKUPS_PARAMS = 5 };

struct lookups;

/* NULL: no memory. */
struct lookups *lookups_new(void);
void lookups_free(struct lookups *lookups);

size_t lookups_len(const struct lookups *lookups);

/* Copies the query; there are fewer than LOOKUPS_MAX. False, and of no use any more: no memory. */
bool lookups_add(struct lookups *lookups, const struct access_query *query, access_done *done, void *ctx);

/* Those of access_sql; borrowed. False: no memory. */
bool lookups_params(struct lookups *lookups, struct pg_param params[LOOKUPS_PARAMS]);

/* Calls each done with its row, or with what went wrong for all of them; a NULL result was lost. */
void lookups_settle(const struct lookups *lookups, const PGresult *result);

#endif
