/* One-dimensional PostgreSQL arrays in their binary form, built element by element. Source: array_recv in PostgreSQL's
 * src/backend/utils/adt/arrayfuncs.c. */
#ifndef DRIVER_PG_ARRAY_H
#define DRIVER_PG_ARRAY_H

#include "core/buf.h"
#include "driver/pg.h"

/* Type oids, fixed by PostgreSQL's catalog (pg_type.dat). */
enum pg_oid {
    PG_OID_BOOL = 16,
    PG_OID_BYTEA = 17,
    PG_OID_INT8 = 20,
    PG_OID_INT4 = 23,
    PG_OID_TEXT = 25,
    PG_OID_JSON = 114,
    PG_OID_TIMESTAMPTZ = 1184,
    PG_OID_UUID = 2950
};

struct pg_array {
    struct buf bytes;
    uint32_t len; /* elements */
};

/* Starts a new array in the memory of the last one (bytes was buf_init'ed once). */
void pg_array_start(struct pg_array *array, enum pg_oid element);

void pg_array_add(struct pg_array *array, struct slice element);
void pg_array_add_null(struct pg_array *array);
void pg_array_add_if(struct pg_array *array, bool is_given, struct slice element); /* else null */
void pg_array_add_int8(struct pg_array *array, int64_t value);
void pg_array_add_int4(struct pg_array *array, int32_t value);
void pg_array_add_bool(struct pg_array *array, bool value);

/* Ends it; the parameter borrows from the array. */
struct pg_param pg_array_param(struct pg_array *array);

/* The same for each of several. False: one has no memory. */
bool pg_array_params(struct pg_array *arrays, int len, struct pg_param *ret_params);

/* Big-endian numbers, as every binary value has them. */
void pg_put_int4(char *to, int32_t value);
void pg_put_int8(char *to, int64_t value);
int64_t pg_get_int8(const char *from);

#endif
