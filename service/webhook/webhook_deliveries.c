/* From an event and an endpoint to an acknowledgement or a row: chains, who may send next, and what comes of it. */
#include <inttypes.h>
#include <stdlib.h>

#include "driver/clock.h"
#include "driver/log.h"
#include "webhook/retry_schedule.h"
#include "webhook/webhook_sender_state.h"

enum {
    REST_FIRST_S = 30,
    REST_MAX_S = 1800,
    HOST_SHARE = 4,
    OWNER_SHARE = 3,
    GONE = 410,
    TOO_MANY = 429,
    BAD_GATEWAY = 502,
    UNAVAILABLE = 503,
    GATEWAY_TIMEOUT = 504
};

static const int64_t second_us = 1000000;

/* ---- the end of a delivery ---- */

static void free_delivery(struct webhook_sender *sender, struct delivery *delivery)
{
    if (delivery->taken != NULL) {
        delivery->taken->pending--;
        sender->deliveries--;
    }
    webhook_event_release(delivery->event);
    endpoint_release(delivery->endpoint);
    free(delivery);
}

static void append(struct delivery_list *list, struct delivery *delivery)
{
    delivery->next = NULL;
    if (list->last != NULL) list->last->next = delivery;
    else list->first = delivery;
    list->last = delivery;
}

/* Becomes a row: of one that failed, or that waits behind one. */
static void keep(struct webhook_sender *sender, struct chain *chain, struct delivery *delivery)
{
    delivery->state = DELIVERY_KEEPING;
    chain->rows++;
    chain->endpoint->rows++;
    append(&sender->to_keep, delivery);
}

static void keep_all(struct webhook_sender *sender, struct chain *chain)
{
    chain_take_off_ready(chain);
    for (struct delivery *delivery = chain->first, *next; delivery != NULL; delivery = next) {
        next = delivery->next;
        keep(sender, chain, delivery);
    }
    chain->first = chain->last = NULL;
}

static void one_row_less(struct webhook_sender *sender, struct chain *chain)
{
    chain->rows--;
    chain->endpoint->rows--;
    chain_make_ready(sender, chain);
    chain_free_if_empty(sender, chain);
}

void sender_on_kept(struct webhook_sender *sender, struct delivery *delivery)
{
    delivery->endpoint->queued--;
    free_delivery(sender, delivery);
}

static void end_retry(struct webhook_sender *sender, struct chain *chain)
{
    if (chain->retry != NULL) sender->retries--;
    chain->retry = NULL;
}

void sender_on_finished(struct webhook_sender *sender, struct delivery *delivery)
{
    struct chain *chain = delivery->chain;
    if (chain != NULL) {
        end_retry(sender, chain);
        chain->is_sending = false;
        chain->finished = ++sender->finishes;
        if (delivery->next_us == 0) one_row_less(sender, chain);
    }
    free_delivery(sender, delivery);
}

static void start_sending(struct webhook_sender *sender, struct delivery *delivery)
{
    delivery->state = DELIVERY_SENDING;
    delivery->previous_sending = NULL;
    delivery->next_sending = sender->sending;
    if (sender->sending != NULL) sender->sending->previous_sending = delivery;
    sender->sending = delivery;
    sender->in_flight++;
    delivery->endpoint->in_flight++;
    sender->in_flight_of_hosts[delivery->endpoint->host]++;
    sender->in_flight_of_owners[delivery->endpoint->owner]++;
}

static void stop_sending(struct webhook_sender *sender, struct delivery *delivery)
{
    if (delivery->previous_sending != NULL) delivery->previous_sending->next_sending = delivery->next_sending;
    else sender->sending = delivery->next_sending;
    if (delivery->next_sending != NULL) delivery->next_sending->previous_sending = delivery->previous_sending;
    sender->in_flight--;
    delivery->endpoint->in_flight--;
    sender->in_flight_of_hosts[delivery->endpoint->host]--;
    sender->in_flight_of_owners[delivery->endpoint->owner]--;
}

/* ---- answers ---- */

static void leave_everywhere(struct webhook_sender *sender, struct endpoint *endpoint)
{
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        if (partition->is_assigned && partition->is_loaded) sender_leave(sender, endpoint, partition);
    }
}

static void on_endpoint_failed(struct webhook_sender *sender, struct endpoint *endpoint)
{
    endpoint->allowed = 1;
    endpoint->failures++;
    if (endpoint->failures >= SENDER_FAILURES_MAX) {
        int64_t rest_us = endpoint->rest_us == 0 ? REST_FIRST_S * second_us : endpoint->rest_us * 2;
        endpoint->rest_us = rest_us < REST_MAX_S * second_us ? rest_us : REST_MAX_S * second_us;
        endpoint->rests_until_us = clock_steady_us() + endpoint->rest_us;
        leave_everywhere(sender, endpoint);
    } else if (endpoint->rows >= SENDER_ROWS_MAX) {
        leave_everywhere(sender, endpoint);
    }
}

static void on_endpoint_succeeded(struct endpoint *endpoint)
{
    endpoint->failures = 0;
    endpoint->rests_until_us = 0;
    endpoint->rest_us = 0;
    if (endpoint->allowed < ENDPOINT_REQUESTS_MAX) endpoint->allowed++;
}

static bool asks_to_wait(int status)
{
    return status == TOO_MANY || status == BAD_GATEWAY || status == UNAVAILABLE || status == GATEWAY_TIMEOUT;
}

/* When to try again, and what is stored of this attempt. What we have broken off ourselves is tried at once. */
static void note_failure(struct delivery *delivery, const struct http_client_answer *answer, int64_t now_us)
{
    int64_t retry_after_s = answer->error == NULL && asks_to_wait(answer->status) ? answer->retry_after_s : 0;
    int64_t delay_us = retry_delay_us(++delivery->attempts, retry_after_s, (uint32_t)random());
    if (delivery->sender->is_breaking_off && delay_us > 0) delay_us = 0;
    delivery->next_us = delay_us < 0 ? 0 : now_us + delay_us;
    delivery->failed_us = now_us;
    delivery->status = answer->error == NULL ? answer->status : 0;
    delivery->error = answer->error == NULL ? "status" : answer->error;
}

static void pop_first(struct chain *chain, const struct delivery *first)
{
    chain->first = first->next;
    if (chain->first == NULL) chain->last = NULL;
}

/* Back to where it was: what is being stored makes it be forgotten. */
static void disable(struct webhook_sender *sender, struct delivery *delivery)
{
    delivery->endpoint->is_disabling = sender->has_disabling = true;
    delivery->state = DELIVERY_QUEUED;
    ring_leave(sender, delivery->endpoint);
}

static void on_first_answered(struct webhook_sender *sender, struct chain *chain, struct delivery *delivery, bool is_success,
                              const struct http_client_answer *answer, int64_t now_us)
{
    pop_first(chain, delivery);
    if (is_success) {
        delivery->endpoint->queued--;
        free_delivery(sender, delivery);
        chain_make_ready(sender, chain);
        chain_free_if_empty(sender, chain);
        return;
    }
    note_failure(delivery, answer, now_us);
    keep(sender, chain, delivery);
    keep_all(sender, chain);
}

static void on_retry_answered(struct webhook_sender *sender, struct chain *chain, struct delivery *delivery, bool is_success,
                              const struct http_client_answer *answer, int64_t now_us)
{
    delivery->next_us = 0;
    delivery->failed_us = 0;
    if (!is_success) note_failure(delivery, answer, now_us);
    delivery->state = DELIVERY_KEEPING;
    chain->is_sending = true; /* until that is stored */
    append(&sender->to_finish, delivery);
}

static void on_answer(void *ctx, const struct http_client_answer *answer)
{
    struct delivery *delivery = ctx;
    struct webhook_sender *sender = delivery->sender;
    struct endpoint *endpoint = delivery->endpoint;
    struct chain *chain = delivery->chain;
    int64_t now_us = clock_wall_us();
    bool is_success = answer->error == NULL && answer->status >= 200 && answer->status < 300;
    bool is_retry = delivery->taken == NULL && chain != NULL;
    delivery->request = NULL;
    stop_sending(sender, delivery);
    endpoint->references++; /* across what follows */
    sender_count_attempt(answer);
    if (!is_success) {
        LOG_INFO("webhook not acknowledged", LOG_SLICE("event_id", delivery->event->id), LOG_INT("status", answer->status),
                 LOG_STR("error", answer->error == NULL ? "status" : answer->error),
                 LOG_INT("attempt", delivery->attempts + 1));
    }
    if (!endpoint->is_gone && !sender->is_breaking_off)
        outcome_add(sender, endpoint, now_us, answer->status,
                    is_success              ? NULL
                    : answer->error == NULL ? "status"
                                            : answer->error);
    if (chain == NULL) {
        free_delivery(sender, delivery);
    } else {
        chain->is_sending = false;
        if (answer->error == NULL && answer->status == GONE) disable(sender, delivery);
        else if (is_retry) on_retry_answered(sender, chain, delivery, is_success, answer, now_us);
        else on_first_answered(sender, chain, delivery, is_success, answer, now_us);
    }
    if (is_success) on_endpoint_succeeded(endpoint);
    else if (!endpoint->is_gone && !endpoint->is_disabling && !sender->is_breaking_off) on_endpoint_failed(sender, endpoint);
    if (!endpoint->is_gone && ring_can_send(endpoint)) ring_enter(sender, endpoint);
    endpoint_release(endpoint);
    sender_run(sender);
}

/* ---- sending ---- */

/* Without memory it is tried again at the next tick. A secret that cannot be opened is the operator's to mend: that fails like a request. */
static bool send_next(struct webhook_sender *sender, struct chain *chain)
{
    struct delivery *delivery = chain->retry != NULL ? chain->retry : chain->first;
    const char *error = NULL;
    chain->is_sending = true;
    start_sending(sender, delivery);
    if (sender_request(sender, delivery, on_answer, &error)) return true;
    if (error != NULL) {
        on_answer(delivery, &(struct http_client_answer){.error = error});
        return true;
    }
    stop_sending(sender, delivery);
    delivery->state = DELIVERY_QUEUED;
    chain->is_sending = false;
    chain_make_ready(sender, chain);
    return false;
}

/* No host gets more than its share of the pool, however many endpoints name it. No owner gets more than so many times what is free: one alone
 * three quarters, and however many there are that take all they get, something is left for the next. */
static bool has_its_share(const struct webhook_sender *sender, const struct endpoint *endpoint)
{
    size_t most = sender->config->requests_max;
    return sender->in_flight_of_hosts[endpoint->host] >= most / HOST_SHARE + 1 ||
           sender->in_flight_of_owners[endpoint->owner] >= OWNER_SHARE * (most - sender->in_flight);
}

void sender_run(struct webhook_sender *sender)
{
    size_t passed_over = 0;
    if (sender->is_running || sender->is_revoking) return;
    sender->is_running = true; /* what fails at once comes back here */
    while (sender->ring != NULL && passed_over < sender->ring_len && sender->in_flight < sender->config->requests_max) {
        struct endpoint *endpoint = sender->ring->next_in_ring;
        if (!ring_can_send(endpoint)) {
            ring_leave(sender, endpoint);
            continue;
        }
        sender->ring = endpoint; /* the next one is another's turn */
        if (has_its_share(sender, endpoint)) {
            passed_over++;
            continue;
        }
        struct chain *chain = endpoint->ready;
        passed_over = 0;
        chain_take_off_ready(chain);
        if (!send_next(sender, chain)) break;
    }
    sender->is_running = false;
}

/* ---- what comes in ---- */

static struct delivery *delivery_new(struct webhook_sender *sender, struct chain *chain, struct webhook_event *event,
                                     int64_t offset)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    if (delivery == NULL) return NULL;
    *delivery = (struct delivery){.chain = chain,
                                  .endpoint = chain->endpoint,
                                  .event = event,
                                  .partition = chain->partition,
                                  .sender = sender,
                                  .offset = offset};
    chain->endpoint->references++;
    event->references++;
    return delivery;
}

/* So those that are slow do not fill it, whereupon nobody would get anything. */
size_t sender_queued_max(const struct webhook_sender *sender)
{
    size_t room = sender->deliveries < SENDER_DELIVERIES_MAX ? SENDER_DELIVERIES_MAX - sender->deliveries : 0;
    size_t most = room / (SENDER_DELIVERIES_MAX / SENDER_QUEUED_MAX);
    return most > SENDER_QUEUED_LEAST ? most : SENDER_QUEUED_LEAST;
}

bool sender_deliver(struct webhook_sender *sender, struct endpoint *endpoint, struct webhook_event *event,
                    struct sender_partition *partition, struct taken *taken)
{
    struct chain *chain = chain_get(sender, endpoint, partition, event->schedule_id);
    struct delivery *delivery = chain == NULL ? NULL : delivery_new(sender, chain, event, taken->offset);
    if (delivery == NULL) {
        if (chain != NULL) chain_free_if_empty(sender, chain);
        return false;
    }
    delivery->taken = taken;
    taken->pending++;
    sender->deliveries++;
    endpoint->queued++;
    if (chain->rows > 0) {
        keep(sender, chain, delivery);
    } else {
        if (chain->last != NULL) chain->last->next = delivery;
        else chain->first = delivery;
        chain->last = delivery;
        chain_make_ready(sender, chain);
    }
    bool is_full = endpoint->queued >= sender_queued_max(sender) || endpoint->rows >= SENDER_ROWS_MAX;
    if (is_full && !lag_fill(endpoint, partition, taken->offset)) sender_leave(sender, endpoint, partition);
    return true;
}

bool sender_retry(struct webhook_sender *sender, struct endpoint *endpoint, struct webhook_event *event,
                  struct sender_partition *partition, int64_t offset, int attempts)
{
    struct chain *chain = chain_find(sender, endpoint, partition, event->schedule_id);
    if (chain == NULL || chain->rows == 0 || chain->retry != NULL || chain->is_sending ||
        chain->finished > sender->finishes_when_asked) { /* the row may be another one by now */
        return true;
    }
    struct delivery *delivery = delivery_new(sender, chain, event, offset);
    if (delivery == NULL) return false;
    delivery->attempts = attempts;
    chain->retry = delivery;
    sender->retries++;
    chain_make_ready(sender, chain);
    return true;
}

bool sender_set_rows(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition,
                     int64_t schedule_id, size_t rows)
{
    struct chain *chain = chain_get(sender, endpoint, partition, schedule_id);
    if (chain == NULL) return false;
    endpoint->rows += rows - chain->rows;
    chain->rows = rows;
    return true;
}

/* ---- what is forgotten ---- */

static void forget_delivery(struct webhook_sender *sender, struct delivery *delivery)
{
    if (delivery->taken != NULL) {
        delivery->endpoint->queued--;
        delivery->taken->pending--;
        sender->deliveries--;
        delivery->taken = NULL;
    }
    delivery->chain = NULL;
    if (delivery->state == DELIVERY_QUEUED) free_delivery(sender, delivery);
}

static int64_t forget_chain(struct webhook_sender *sender, struct chain *chain)
{
    int64_t lowest = chain->first == NULL ? INT64_MAX : chain->first->offset;
    for (struct delivery *delivery = chain->first, *next; delivery != NULL; delivery = next) {
        next = delivery->next;
        if (delivery->state == DELIVERY_SENDING) chain->is_sending = false;
        forget_delivery(sender, delivery);
    }
    chain->first = chain->last = NULL;
    if (chain->retry == NULL) chain_take_off_ready(chain);
    chain_free_if_empty(sender, chain);
    return lowest;
}

int64_t sender_forget(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition)
{
    int64_t lowest = INT64_MAX;
    for (struct chain *chain = endpoint->chains, *next; chain != NULL; chain = next) {
        next = chain->next_of_endpoint;
        if (partition != NULL && chain->partition != partition) continue;
        int64_t offset = forget_chain(sender, chain);
        if (offset < lowest) lowest = offset;
    }
    return lowest;
}

/* What is on its way to be stored does not know its chain any more. */
static void cut_off(struct delivery_list *list, const struct chain *chain)
{
    for (struct delivery *delivery = list->first; delivery != NULL; delivery = delivery->next) {
        if (delivery->chain == chain) delivery->chain = NULL;
    }
}

void sender_forget_chains(struct webhook_sender *sender, struct endpoint *endpoint, struct sender_partition *partition)
{
    for (struct chain *chain = endpoint->chains, *next; chain != NULL; chain = next) {
        next = chain->next_of_endpoint;
        if (partition != NULL && chain->partition != partition) continue;
        cut_off(&sender->to_keep, chain);
        cut_off(&sender->keeping, chain);
        cut_off(&sender->to_finish, chain);
        cut_off(&sender->finishing, chain);
        endpoint->rows -= chain->rows;
        chain->rows = 0;
        if (chain->retry != NULL && chain->retry->state != DELIVERY_KEEPING) forget_delivery(sender, chain->retry);
        end_retry(sender, chain);
        chain->is_sending = false;
        (void)forget_chain(sender, chain);
    }
    if (endpoint->ready == NULL) ring_leave(sender, endpoint);
}

void sender_break_off(struct webhook_sender *sender)
{
    static const struct http_client_answer broken = {.error = "broken"};
    sender->is_breaking_off = true;
    for (struct delivery *delivery = sender->sending, *next; delivery != NULL; delivery = next) {
        next = delivery->next_sending;
        http_client_cancel(delivery->request);
        on_answer(delivery, &broken);
    }
    sender->is_breaking_off = false;
}
