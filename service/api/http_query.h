/* The query of a request's target, read as the reference's framework reads it. Pure. */
#ifndef API_HTTP_QUERY_H
#define API_HTTP_QUERY_H

#include <jansson.h>

#include "core/arena.h"
#include "core/page.h"
#include "core/schedule.h"
#include "core/slice.h"
#include "core/status.h"

/* The value of the first parameter of that name: percent-decoded, "+" is a space, what is malformed stays as it is. Lives in
 * the arena; data is NULL when there is no such parameter. False when the arena is full. */
bool query_value(struct slice target, struct slice name, struct arena *arena, struct slice *ret_value);

/* Whether there is a parameter of that name, or a list or an object of it ("name[key]=..."). False when the arena is full. */
bool query_names(struct slice target, struct slice name, struct arena *arena, bool *ret_is_named);

/* The target with every parameter of that name left out of its query, and without a fragment. Lives in the arena; data is NULL when that is
 * full. */
struct slice query_without(struct slice target, struct slice name, struct arena *arena);

/* The number that parseInt(text, 10) of ECMAScript reads: a sign and digits behind white space, whatever follows them; NAN when
 * there is none, INFINITY beyond what a double holds. */
double query_number(struct slice text);

/* `take` (1 to PAGE_TAKE_MAX, which it is else), `skip` (0 to PAGE_SKIP_MAX, else 0) and `cursor` (an id; else none). STATUS_OK sets *ret_page; STATUS_INVALID leaves what is wrong
 * in *violations; STATUS_TOO_LARGE for the arena; STATUS_NO_MEMORY. In every case *ret_values is an object the caller owns, or NULL without memory: the numbers
 * that were read, null for one that is none. */
enum status query_page(struct slice target, struct arena *arena, struct page *ret_page, json_t **ret_values,
                       struct violations *violations);

#endif
