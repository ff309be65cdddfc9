#include "webhook/webhook_endpoints.h"

#include <stdlib.h>

enum { BUCKETS_FIRST = 256 };

/* A hash table whose chains run through the endpoints. */
struct table {
    struct endpoint **buckets;
    size_t len;
};

struct endpoints {
    struct table by_id;
    struct table by_owner; /* endpoints of one owner are in one bucket, others may be between */
    size_t count;
    size_t count_of_organizations;
};

static uint64_t mix(uint64_t value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    return value;
}

static uint64_t hash_of_id(const struct uuid *id)
{
    uint64_t halves[2];
    memcpy(halves, id->bytes, sizeof(halves));
    return mix(halves[0] ^ mix(halves[1]));
}

static uint64_t hash_of_owner(bool is_of_user, int64_t owner_id)
{
    return mix((uint64_t)owner_id * 2 + is_of_user);
}

static struct endpoint **bucket_of(const struct table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->len - 1)];
}

static void link_endpoint(struct endpoints *endpoints, struct endpoint *endpoint)
{
    struct endpoint **by_id = bucket_of(&endpoints->by_id, hash_of_id(&endpoint->id));
    struct endpoint **by_owner = bucket_of(&endpoints->by_owner, hash_of_owner(endpoint->is_of_user, endpoint->owner_id));
    endpoint->next_by_id = *by_id;
    *by_id = endpoint;
    endpoint->next_of_owner = *by_owner;
    *by_owner = endpoint;
}

/* Twice as many buckets; without memory for them the chains are longer. */
static void grow(struct endpoints *endpoints)
{
    size_t len = endpoints->by_id.len * 2;
    struct endpoint **ids = calloc(len, sizeof(struct endpoint *));
    struct endpoint **owners = calloc(len, sizeof(struct endpoint *));
    if (ids == NULL || owners == NULL) {
        free(ids);
        free(owners);
        return;
    }
    struct table former = endpoints->by_id;
    free(endpoints->by_owner.buckets);
    endpoints->by_id = (struct table){ids, len};
    endpoints->by_owner = (struct table){owners, len};
    for (size_t i = 0; i < former.len; i++) {
        for (struct endpoint *endpoint = former.buckets[i], *next; endpoint != NULL; endpoint = next) {
            next = endpoint->next_by_id;
            link_endpoint(endpoints, endpoint);
        }
    }
    free(former.buckets);
}

struct endpoints *endpoints_new(void)
{
    struct endpoints *endpoints = calloc(1, sizeof(*endpoints));
    if (endpoints == NULL) return NULL;
    endpoints->by_id = (struct table){calloc(BUCKETS_FIRST, sizeof(struct endpoint *)), BUCKETS_FIRST};
    endpoints->by_owner = (struct table){calloc(BUCKETS_FIRST, sizeof(struct endpoint *)), BUCKETS_FIRST};
    if (endpoints->by_id.buckets != NULL && endpoints->by_owner.buckets != NULL) return endpoints;
    free(endpoints->by_id.buckets);
    free(endpoints->by_owner.buckets);
    free(endpoints);
    return NULL;
}

static void free_endpoint(struct endpoint *endpoint)
{
    free(endpoint->url);
    free((char *)(uintptr_t)endpoint->secret.data);
    free((char *)(uintptr_t)endpoint->previous_secret.data);
    free(endpoint);
}

void endpoints_free(struct endpoints *endpoints)
{
    if (endpoints == NULL) return;
    for (struct endpoint *endpoint; (endpoint = endpoints_next(endpoints, NULL)) != NULL;)
        endpoints_remove(endpoints, endpoint);
    free(endpoints->by_id.buckets);
    free(endpoints->by_owner.buckets);
    free(endpoints);
}

size_t endpoints_count(const struct endpoints *endpoints)
{
    return endpoints->count;
}

size_t endpoints_count_of_organizations(const struct endpoints *endpoints)
{
    return endpoints->count_of_organizations;
}

struct endpoint *endpoints_find(const struct endpoints *endpoints, const struct uuid *id)
{
    struct endpoint *endpoint = *bucket_of(&endpoints->by_id, hash_of_id(id));
    while (endpoint != NULL && memcmp(&endpoint->id, id, sizeof(*id)) != 0) endpoint = endpoint->next_by_id;
    return endpoint;
}

struct endpoint *endpoints_add(struct endpoints *endpoints, const struct uuid *id, bool is_of_user, int64_t owner_id)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
    if (endpoint == NULL) return NULL;
    endpoint->id = *id;
    endpoint->is_of_user = is_of_user;
    endpoint->owner_id = owner_id;
    endpoint->owner = (uint16_t)(hash_of_owner(is_of_user, owner_id) % ENDPOINT_OWNERS);
    endpoint->allowed = 1;
    endpoint->references = 1;
    if (endpoints->count++ >= endpoints->by_id.len) grow(endpoints);
    endpoints->count_of_organizations += !is_of_user;
    link_endpoint(endpoints, endpoint);
    return endpoint;
}

void endpoint_release(struct endpoint *endpoint)
{
    if (--endpoint->references == 0) free_endpoint(endpoint);
}

void endpoints_remove(struct endpoints *endpoints, struct endpoint *endpoint)
{
    struct endpoint **at = bucket_of(&endpoints->by_id, hash_of_id(&endpoint->id));
    while (*at != endpoint) at = &(*at)->next_by_id;
    *at = endpoint->next_by_id;
    at = bucket_of(&endpoints->by_owner, hash_of_owner(endpoint->is_of_user, endpoint->owner_id));
    while (*at != endpoint) at = &(*at)->next_of_owner;
    *at = endpoint->next_of_owner;
    endpoints->count--;
    endpoints->count_of_organizations -= !endpoint->is_of_user;
    endpoint->is_gone = true;
    endpoint_release(endpoint);
}

static struct endpoint *first_of(struct endpoint *endpoint, bool is_of_user, int64_t owner_id)
{
    while (endpoint != NULL && (endpoint->is_of_user != is_of_user || endpoint->owner_id != owner_id)) {
        endpoint = endpoint->next_of_owner;
    }
    return endpoint;
}

struct endpoint *endpoints_of(const struct endpoints *endpoints, bool is_of_user, int64_t owner_id)
{
    return first_of(*bucket_of(&endpoints->by_owner, hash_of_owner(is_of_user, owner_id)), is_of_user, owner_id);
}

struct endpoint *endpoints_next_of(const struct endpoint *endpoint)
{
    return first_of(endpoint->next_of_owner, endpoint->is_of_user, endpoint->owner_id);
}

struct endpoint *endpoints_next(const struct endpoints *endpoints, const struct endpoint *endpoint)
{
    if (endpoint != NULL && endpoint->next_by_id != NULL) return endpoint->next_by_id;
    size_t bucket = endpoint == NULL ? 0 : (hash_of_id(&endpoint->id) & (endpoints->by_id.len - 1)) + 1;
    while (bucket < endpoints->by_id.len && endpoints->by_id.buckets[bucket] == NULL) bucket++;
    return bucket < endpoints->by_id.len ? endpoints->by_id.buckets[bucket] : NULL;
}

/* Positions of other timelines cannot be compared: such an event is rather sent than lost. */
bool endpoint_wants(const struct endpoint *endpoint, const struct webhook_event *event)
{
    const struct commit_position *at = &event->position;
    if (!endpoint->is_active || !endpoint->is_placed || !(endpoint->triggers & 1U << event->type)) return false;
    if (at->timeline == endpoint->start.timeline && at->lsn < endpoint->start.lsn) return false;
    return endpoint->end.timeline == 0 || at->timeline != endpoint->end.timeline || at->lsn < endpoint->end.lsn;
}
