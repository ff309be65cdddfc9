#include "webhook/webhook_parameters.h"

#include <string.h>

enum { ARRAY_BYTES_MAX = 512 << 20 };

static const int64_t postgres_epoch_us = 946684800000000; /* 2000-01-01 */

int64_t webhook_postgres_us(int64_t wall_us)
{
    return wall_us - postgres_epoch_us;
}

void webhook_parameters_start(struct webhook_parameters *parameters, const enum pg_oid *types, int len)
{
    parameters->len = len;
    for (int i = 0; i < len; i++) {
        buf_init(&parameters->arrays[i].bytes, ARRAY_BYTES_MAX);
        pg_array_start(&parameters->arrays[i], types[i]);
    }
}

void webhook_add_time(struct pg_array *array, int64_t wall_us)
{
    if (wall_us == 0) pg_array_add_null(array);
    else pg_array_add_int8(array, webhook_postgres_us(wall_us));
}

void webhook_add_uuid(struct pg_array *array, const struct uuid *id)
{
    pg_array_add(array, (struct slice){(const char *)id->bytes, sizeof(id->bytes)});
}

void webhook_add_status(struct pg_array *array, int status)
{
    if (status == 0) pg_array_add_null(array);
    else pg_array_add_int4(array, status);
}

void webhook_add_text(struct pg_array *array, const char *text)
{
    pg_array_add_if(array, text != NULL, slice_of(text == NULL ? "" : text));
}

void webhook_parameters_send(struct webhook_db *db, const char *statement, const char *topic,
                             struct webhook_parameters *parameters, int64_t at_us)
{
    struct pg_param params[WEBHOOK_PARAMETERS_MAX + 2];
    char at[8];
    int len = 0;
    if (topic != NULL) params[len++] = webhook_db_text_param(topic);
    (void)pg_array_params(parameters->arrays, parameters->len, params + len);
    len += parameters->len;
    pg_put_int8(at, webhook_postgres_us(at_us));
    if (at_us != 0) params[len++] = (struct pg_param){at, sizeof(at), true};
    webhook_db_send(db, statement, params, len);
    for (int i = 0; i < parameters->len; i++) buf_done(&parameters->arrays[i].bytes);
}
