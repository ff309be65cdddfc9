#include "driver/pg_array.h"

#include <endian.h>

enum { HEADER_BYTES = 20, AT_DIMENSIONS = 0, AT_HAS_NULL = 4, AT_ELEMENT = 8, AT_LEN = 12, AT_LOWER_BOUND = 16 };

void pg_put_int4(char *to, int32_t value)
{
    uint32_t big = htobe32((uint32_t)value);
    memcpy(to, &big, sizeof(big));
}

void pg_put_int8(char *to, int64_t value)
{
    uint64_t big = htobe64((uint64_t)value);
    memcpy(to, &big, sizeof(big));
}

int64_t pg_get_int8(const char *from)
{
    uint64_t big;
    memcpy(&big, from, sizeof(big));
    return (int64_t)be64toh(big);
}

void pg_array_start(struct pg_array *array, enum pg_oid element)
{
    array->len = 0;
    buf_clear(&array->bytes);
    char *header = buf_extend(&array->bytes, HEADER_BYTES);
    if (header == NULL) return;
    pg_put_int4(header + AT_DIMENSIONS, 1);
    pg_put_int4(header + AT_HAS_NULL, 0);
    pg_put_int4(header + AT_ELEMENT, (int32_t)element);
    pg_put_int4(header + AT_LOWER_BOUND, 1);
}

static void add(struct pg_array *array, int32_t len, const void *data)
{
    char *to = buf_extend(&array->bytes, sizeof(len) + (len > 0 ? (size_t)len : 0));
    if (to == NULL) return;
    pg_put_int4(to, len);
    if (len > 0) memcpy(to + sizeof(len), data, (size_t)len);
    array->len++;
}

void pg_array_add(struct pg_array *array, struct slice element)
{
    add(array, (int32_t)element.len, element.data);
}

void pg_array_add_null(struct pg_array *array)
{
    if (array->bytes.failed) return;
    pg_put_int4(array->bytes.data + AT_HAS_NULL, 1);
    add(array, -1, NULL);
}

void pg_array_add_if(struct pg_array *array, bool is_given, struct slice element)
{
    if (is_given) pg_array_add(array, element);
    else pg_array_add_null(array);
}

void pg_array_add_int8(struct pg_array *array, int64_t value)
{
    char bytes[8];
    pg_put_int8(bytes, value);
    add(array, sizeof(bytes), bytes);
}

void pg_array_add_int4(struct pg_array *array, int32_t value)
{
    char bytes[4];
    pg_put_int4(bytes, value);
    add(array, sizeof(bytes), bytes);
}

void pg_array_add_bool(struct pg_array *array, bool value)
{
    char byte = (char)value;
    add(array, sizeof(byte), &byte);
}

struct pg_param pg_array_param(struct pg_array *array)
{
    enum { EMPTY_BYTES = 12 };
    if (array->bytes.failed) return (struct pg_param){NULL, 0, true};
    pg_put_int4(array->bytes.data + AT_LEN, (int32_t)array->len);
    if (array->len > 0) return (struct pg_param){array->bytes.data, (int)array->bytes.len, true};
    pg_put_int4(array->bytes.data + AT_DIMENSIONS, 0);
    return (struct pg_param){array->bytes.data, EMPTY_BYTES, true};
}

bool pg_array_params(struct pg_array *arrays, int len, struct pg_param *ret_params)
{
    bool ok = true;
    for (int i = 0; i < len; i++) {
        ret_params[i] = pg_array_param(&arrays[i]);
        ok = ok && ret_params[i].data != NULL;
    }
    return ok;
}
