/* The look-ups of callers that go to the database together: one statement, one row for each. */
#ifndef STORE_CALLER_LOOKUP_H
#define STORE_CALLER_LOOKUP_H

#include "driver/pg.h"
#include "store/caller.h"

enum { CALLER_LOOKUP_MAX = 64, CALLER_LOOKUP_PARAMS = 5 };

struct caller_lookup;

/* NULL: no memory. */
struct caller_lookup *caller_lookup_new(void);
void caller_lookup_free(struct caller_lookup *lookup);

size_t caller_lookup_len(const struct caller_lookup *lookup);

/* Copies the query; there are fewer than CALLER_LOOKUP_MAX. False, and of no use any more: no memory. */
bool caller_lookup_add(struct caller_lookup *lookup, const struct caller_query *query, caller_done *done, void *ctx);

/* Those of caller_sql; borrowed. False: no memory. */
bool caller_lookup_params(struct caller_lookup *lookup, struct pg_param params[CALLER_LOOKUP_PARAMS]);

/* Calls each done with its row, or with what went wrong for all of them; a NULL result was lost. */
void caller_lookup_complete(const struct caller_lookup *lookup, const PGresult *result);

#endif
