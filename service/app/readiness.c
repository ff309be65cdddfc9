#include "app/readiness.h"

enum { SAFE_SHARE_MIN = 10 }; /* of max_slot_wal_keep_size less than a tenth is left */

const char *readiness_database_obstacle(const struct database_view *view)
{
    if (view->is_pooled)
        return "a pooler before the database gives each transaction another session; set it to session pooling";
    if (!view->is_known) return "the database is away";
    if (view->is_read_only) return "the database is read-only";
    if (!view->has_schema) return "the schema is older than this build; run schedule-service migrate";
    if (!view->knows_slot)
        return "the database has no replication slot of this name and never had; is REPLICATION_SLOT right?";
    if (!view->has_slot) return "the replication slot is missing or lost; run schedule-service rebuild";
    return NULL;
}

const char *readiness_obstacle(const struct database_view *view)
{
    const char *obstacle = readiness_database_obstacle(view);
    if (obstacle == NULL && !view->is_accepted) return "no relay has accepted the position of the database yet";
    return obstacle;
}

/* What keeps HTTP from being answered although the database may be written to. */
static const char *intake_obstacle(const struct readiness_parts *parts)
{
    if (!writer_http_is_ready(parts->writer)) return "no write connection";
    if (!reader_is_ready(parts->reader)) return "no read connection";
    if (parts->view->slot_behind_bytes > parts->config->wal_budget_bytes) return "too much WAL waits for the relay";
    if (parts->view->slot_safe_ppm < DATABASE_SAFE_PPM / SAFE_SHARE_MIN)
        return "the replication slot is about to be lost: too much WAL is kept for it";
    return NULL;
}

static const char *reason_of(const struct readiness_parts *parts)
{
    if (parts->is_stopping) return "stopping";
    if (parts->config->roles == SERVES_RELAY) return readiness_database_obstacle(parts->view);
    const char *obstacle = readiness_obstacle(parts->view);
    return obstacle != NULL || !(parts->config->roles & SERVES_HTTP) ? obstacle : intake_obstacle(parts);
}

void readiness_evaluate(const struct readiness_parts *parts, struct readiness *ret)
{
    const struct database_view *view = parts->view;
    ret->reason = reason_of(parts);
    if (view->is_known && view->has_slot && !view->is_slot_active) {
        degraded_add(&ret->degraded, "no relay holds the replication slot");
    }
    if (parts->relay != NULL) relay_degraded(parts->relay, &ret->degraded);
    writer_degraded(parts->writer, &ret->degraded);
    for (size_t i = 0; i < parts->consumers_len; i++) {
        if (parts->consumers[i] != NULL) kafka_consumer_degraded(parts->consumers[i], &ret->degraded);
    }
}
