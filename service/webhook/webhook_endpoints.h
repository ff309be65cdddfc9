/* The endpoints of all owners in memory, found by id and by who owns the schedules that they are about. What senders know of one beside its row
 * is in it too; it belongs to webhook_deliveries.c and webhook_lags.c. */
#ifndef WEBHOOK_WEBHOOK_ENDPOINTS_H
#define WEBHOOK_WEBHOOK_ENDPOINTS_H

#include "core/commit_position.h"
#include "core/uuid.h"
#include "webhook/webhook_event.h"

struct chain;
struct lag;
struct outcome;

enum { ENDPOINT_REQUESTS_MAX = 8, ENDPOINT_HOSTS = 4096, ENDPOINT_OWNERS = 4096 };

struct endpoint {
    struct uuid id;
    struct endpoint *next_by_id;
    struct endpoint *next_of_owner;
    bool is_of_user; /* else of an organization, for itself or for a client */
    int64_t owner_id;
    uint16_t owner;    /* a number that endpoints of one owner share, below ENDPOINT_OWNERS */
    unsigned triggers; /* bits of enum schedule_event_type */
    enum webhook_format format;
    bool is_active;
    int32_t starts;
    struct commit_position start; /* events of before are not for it */
    struct commit_position end;   /* nor are those from there on; timeline 0: no end */
    char *url;
    uint16_t host;       /* a number that endpoints of one host share, below ENDPOINT_HOSTS */
    struct slice secret; /* sealed; both owned. Data NULL: none */
    struct slice previous_secret;
    int64_t previous_until_us;
    int64_t revision;

    /* ---- how it fares in this process ---- */
    size_t references; /* of requests under way that outlive what they were for */
    bool is_placed;    /* its cursors are known; before that it gets nothing */
    bool is_unplaced;  /* of those whose cursors are to be read */
    struct endpoint *next_unplaced;
    bool is_gone;           /* freed with the last of them */
    bool is_disabling;      /* nothing is sent any more; that it is disabled is being stored */
    bool is_failing;        /* why: it has failed for too long; else it is gone */
    size_t in_flight;       /* requests */
    size_t allowed;         /* at most so many: one after a failure, one more after each success */
    size_t failures;        /* in a row */
    int64_t rests_until_us; /* after too many of them, steady clock; 0: does not */
    int64_t rest_us;        /* the last one */
    size_t queued;          /* deliveries in memory */
    size_t rows;            /* deliveries kept in the database, of partitions that are ours */
    struct chain *chains;
    struct chain *ready; /* chains whose first delivery may be sent */
    struct chain *ready_last;
    struct endpoint *next_in_ring; /* of those that have ready chains */
    bool is_in_ring;
    struct lag *lags;
    struct outcome *outcome; /* since it was stored last; borrowed */
};

struct endpoints;

struct endpoints *endpoints_new(void);
void endpoints_free(struct endpoints *endpoints);

/* How many there are, and how many of organizations. */
size_t endpoints_count(const struct endpoints *endpoints);
size_t endpoints_count_of_organizations(const struct endpoints *endpoints);

struct endpoint *endpoints_find(const struct endpoints *endpoints, const struct uuid *id);

/* Makes one; its owner never changes. NULL: out of memory. */
struct endpoint *endpoints_add(struct endpoints *endpoints, const struct uuid *id, bool is_of_user, int64_t owner_id);

/* It is found no more, and freed once nothing refers to it. */
void endpoints_remove(struct endpoints *endpoints, struct endpoint *endpoint);

/* Drops one reference. */
void endpoint_release(struct endpoint *endpoint);

/* The first endpoint of an owner, and the next one of the same; NULL: there is none. */
struct endpoint *endpoints_of(const struct endpoints *endpoints, bool is_of_user, int64_t owner_id);
struct endpoint *endpoints_next_of(const struct endpoint *endpoint);

/* All of them: NULL begins. */
struct endpoint *endpoints_next(const struct endpoints *endpoints, const struct endpoint *endpoint);

/* Whether the endpoint wants the event: it is active, of its triggers, and between its start and its end. */
bool endpoint_wants(const struct endpoint *endpoint, const struct webhook_event *event);

#endif
