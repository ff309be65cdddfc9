/* The paths of the HTTP API: rewriting, matching a pattern, numbers in them. Pure. */
#ifndef API_HTTP_PATH_H
#define API_HTTP_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

enum { PATH_PARAMS_MAX = 4 };

/* A segment of a path that a pattern names. */
struct path_param {
    struct slice name;  /* borrowed from the pattern: "orgId" */
    struct slice value; /* borrowed from the path, still percent-encoded */
};

struct path_params {
    struct path_param items[PATH_PARAMS_MAX];
    size_t len;
};

/* The target in the form that routes and envelopes use: a leading /api/v2 becomes /v2, then /v2/ee becomes /v2, and bytes
 * that a URL may not hold are percent-encoded. Lives in the arena; data is NULL when that is full. */
struct slice target_rewrite(struct slice target, struct arena *arena);

/* What stands before the query. */
struct slice target_path(struct slice target);

/* Matches a pattern such as "/v2/organizations/{orgId}/schedules", its fixed segments in any case, a trailing slash allowed; a parameter is never empty.
 * The parameters are set only on a match. */
bool path_match(const char *pattern, struct slice path, struct path_params *ret_params);

/* The raw value of a parameter; data is NULL when the pattern has none of that name. */
struct slice path_param(const struct path_params *params, const char *name);

/* The byte that "%XX" at a place of the text stands for; -1 when there is none. */
int percent_byte(struct slice raw, size_t at);

/* A whole number as the contract reads it, percent-decoded and with white space around it: digits with or without a sign, of 64 bits; or any
 * other literal of ECMAScript's whose value is an integer of less than 2^53 ("2709.0", "1.234567e+06", "0x1F"), which a double holds exactly.
 * False for anything else. */
bool path_int(struct slice raw, int64_t *ret_value);

#endif
