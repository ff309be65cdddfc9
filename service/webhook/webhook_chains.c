/* Chains: the deliveries of one schedule to one endpoint, in their order. And the ring of endpoints whose chains have one that may be sent, by turns. */
#include <stdlib.h>

#include "webhook/webhook_sender_state.h"

/* ---- chains ---- */

static struct chain **bucket_of(struct webhook_sender *sender, const struct endpoint *endpoint, int64_t schedule_id)
{
    uint64_t hash =
        ((uint64_t)(uintptr_t)endpoint >> 4) * 0x9e3779b97f4a7c15ULL ^ (uint64_t)schedule_id * 0xff51afd7ed558ccdULL;
    return &sender->chains[(hash >> 32) % SENDER_CHAIN_BUCKETS];
}

static bool is_chain_of(const struct chain *chain, const struct endpoint *endpoint, const struct sender_partition *partition,
                        int64_t schedule_id)
{
    return chain->endpoint == endpoint && chain->partition == partition && chain->schedule_id == schedule_id;
}

struct chain *chain_find(struct webhook_sender *sender, const struct endpoint *endpoint,
                         const struct sender_partition *partition, int64_t schedule_id)
{
    struct chain *chain = *bucket_of(sender, endpoint, schedule_id);
    while (chain != NULL && !is_chain_of(chain, endpoint, partition, schedule_id)) chain = chain->next_in_bucket;
    return chain;
}

struct chain *chain_get(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition,
                        int64_t schedule_id)
{
    struct chain *chain = chain_find(sender, endpoint, partition, schedule_id);
    if (chain != NULL) return chain;
    chain = calloc(1, sizeof(*chain));
    if (chain == NULL) return NULL;
    struct chain **bucket = bucket_of(sender, endpoint, schedule_id);
    *chain =
        (struct chain){.endpoint = endpoint, .partition = partition, .schedule_id = schedule_id, .next_in_bucket = *bucket};
    *bucket = chain;
    chain->next_of_endpoint = endpoint->chains;
    if (endpoint->chains != NULL) endpoint->chains->previous_of_endpoint = chain;
    endpoint->chains = chain;
    return chain;
}

void chain_take_off_ready(struct chain *chain)
{
    struct endpoint *endpoint = chain->endpoint;
    struct chain *before = NULL;
    if (!chain->is_ready) return;
    for (struct chain *at = endpoint->ready; at != chain; at = at->next_ready) before = at;
    if (before == NULL) endpoint->ready = chain->next_ready;
    else before->next_ready = chain->next_ready;
    if (endpoint->ready_last == chain) endpoint->ready_last = before;
    chain->next_ready = NULL;
    chain->is_ready = false;
}

static void free_chain(struct webhook_sender *sender, struct chain *chain)
{
    struct chain **at = bucket_of(sender, chain->endpoint, chain->schedule_id);
    while (*at != chain) at = &(*at)->next_in_bucket;
    *at = chain->next_in_bucket;
    if (chain->previous_of_endpoint != NULL) chain->previous_of_endpoint->next_of_endpoint = chain->next_of_endpoint;
    else chain->endpoint->chains = chain->next_of_endpoint;
    if (chain->next_of_endpoint != NULL) chain->next_of_endpoint->previous_of_endpoint = chain->previous_of_endpoint;
    chain_take_off_ready(chain);
    free(chain);
}

void chain_free_if_empty(struct webhook_sender *sender, struct chain *chain)
{
    if (chain->first == NULL && chain->rows == 0 && chain->retry == NULL && !chain->is_sending) free_chain(sender, chain);
}

/* ---- who may send ---- */

void ring_enter(struct webhook_sender *sender, struct endpoint *endpoint)
{
    if (endpoint->is_in_ring) return;
    endpoint->is_in_ring = true;
    sender->ring_len++;
    if (sender->ring == NULL) {
        endpoint->next_in_ring = endpoint;
    } else {
        endpoint->next_in_ring = sender->ring->next_in_ring;
        sender->ring->next_in_ring = endpoint;
    }
    sender->ring = endpoint;
}

void ring_leave(struct webhook_sender *sender, struct endpoint *endpoint)
{
    if (!endpoint->is_in_ring) return;
    struct endpoint *before = sender->ring;
    while (before->next_in_ring != endpoint) before = before->next_in_ring;
    before->next_in_ring = endpoint->next_in_ring;
    sender->ring_len--;
    if (sender->ring == endpoint) sender->ring = before == endpoint ? NULL : before;
    endpoint->is_in_ring = false;
    endpoint->next_in_ring = NULL;
}

bool ring_can_send(const struct endpoint *endpoint)
{
    return endpoint->ready != NULL && endpoint->in_flight < endpoint->allowed && endpoint->is_active &&
           !endpoint->is_disabling;
}

/* Its first delivery may be sent, when it is its turn. */
void chain_make_ready(struct webhook_sender *sender, struct chain *chain)
{
    struct endpoint *endpoint = chain->endpoint;
    if (chain->is_ready || chain->is_sending || (chain->retry == NULL && (chain->first == NULL || chain->rows > 0))) return;
    chain->is_ready = true;
    if (endpoint->ready_last != NULL) endpoint->ready_last->next_ready = chain;
    else endpoint->ready = chain;
    endpoint->ready_last = chain;
    if (ring_can_send(endpoint)) ring_enter(sender, endpoint);
}
