/* From the events topic into windows: the head by the group's consumer, scans by one that is assigned by hand.
 *
 * Happy path: partitions are assigned -> where they stand is loaded -> fetching begins there -> messages stand in a batch until the memberships
 * that they need are there -> each event becomes deliveries.
 *
 * Failure modes: too much in memory: fetching is paused, polling goes on. A rebalance: nothing new is sent, what is under way may end for two
 * seconds, the rest is cut off and kept as rows; what there is is stored, and then the partitions are given up. Without the database they are
 * given up as they are: what was not stored is sent again. An offset that is out of the log: its endpoints go on with what is there, and it is said. */
#include "webhook/webhook_sender_state.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver/clock.h"
#include "driver/kafka.h"
#include "driver/log.h"

enum { TURN_US = 5000, REVOKE_MS = 2000, REVOKE_STORE_MS = 5000 };

struct sender_partition *sender_partition_at(struct webhook_sender *sender, int32_t number)
{
    return number >= 0 && number < SENDER_PARTITIONS_MAX ? &sender->partitions[number] : NULL;
}

bool sender_is_full(const struct webhook_sender *sender)
{
    return sender->deliveries >= SENDER_DELIVERIES_MAX;
}

/* ---- matching ---- */

static bool deliver_to(struct webhook_sender *sender, struct endpoint *endpoint, const struct staged *staged,
                       struct taken *taken)
{
    if (!endpoint_wants(endpoint, staged->event)) return true;
    if (!lag_lets(endpoint, staged->partition, staged->offset, staged->is_scan)) return true;
    return sender_deliver(sender, endpoint, staged->event, staged->partition, taken);
}

static bool deliver_to_owner(struct webhook_sender *sender, bool is_of_user, int64_t owner_id, const struct staged *staged,
                             struct taken *taken)
{
    for (struct endpoint *endpoint = endpoints_of(sender->endpoints, is_of_user, owner_id); endpoint != NULL;
         endpoint = endpoints_next_of(endpoint)) {
        if (!deliver_to(sender, endpoint, staged, taken)) return false;
    }
    return true;
}

/* Its user's, its organization's, or those of the organizations that its owner is a member of. */
static bool deliver_to_all(struct webhook_sender *sender, const struct staged *staged, struct taken *taken)
{
    const struct webhook_event *event = staged->event;
    bool ok = deliver_to_owner(sender, true, event->owner_id, staged, taken);
    if (event->org_id != 0) return ok && deliver_to_owner(sender, false, event->org_id, staged, taken);
    for (size_t i = 0; ok && i < sender->memberships_len; i++) {
        const struct membership *membership = &sender->memberships[i];
        if (membership->user_id == event->owner_id) ok = deliver_to_owner(sender, false, membership->org_id, staged, taken);
    }
    return ok;
}

static void on_end(struct sender_partition *partition, int64_t offset, bool is_scan)
{
    struct window *window = is_scan ? &partition->scan : &partition->head;
    if (offset > window->position) window->position = offset;
    if (!is_scan) partition->end = offset;
}

/* Without memory the partitions are loaded again: nothing is passed over. */
static bool dispatch(struct webhook_sender *sender, const struct staged *staged)
{
    struct sender_partition *partition = staged->partition;
    struct window *window = staged->is_scan ? &partition->scan : &partition->head;
    if (sender->is_revoking || !partition->is_loaded || (staged->is_scan && !partition->is_scanned)) return true;
    if (staged->is_end) on_end(partition, staged->offset, staged->is_scan);
    if (staged->is_end || staged->offset < window->position) return true; /* of an earlier fetch */
    if (staged->is_scan && staged->offset >= partition->head.position) {
        lags_join(partition);
        return true;
    }
    if (staged->event != NULL) {
        struct taken *taken = window_take(window, staged->offset, staged->at_us);
        if (taken == NULL || !deliver_to_all(sender, staged, taken)) return false;
    }
    window->position = staged->offset + 1;
    window_complete(window);
    return true;
}

void sender_release_staged(struct webhook_sender *sender)
{
    for (size_t i = 0; i < sender->staged_len; i++) webhook_event_release(sender->staged[i].event);
    sender->staged_len = 0;
}

void sender_on_looked_up(struct webhook_sender *sender)
{
    bool ok = true;
    for (size_t i = 0; ok && i < sender->staged_len; i++) ok = dispatch(sender, &sender->staged[i]);
    sender_release_staged(sender);
    if (!ok) {
        LOG_ERROR("webhooks: out of memory; the partitions are taken again");
        sender_start_over(sender);
        return;
    }
    if (sender->is_minding_due) sender_mind_lags(sender);
    sender_run(sender);
    event_active(sender->wake, EV_READ, 0);
}

/* ---- messages ---- */

static struct slice header_value(const rd_kafka_headers_t *headers, size_t index, struct slice *ret_name)
{
    const char *name;
    const void *value;
    size_t size;
    if (rd_kafka_header_get_all(headers, index, &name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return (struct slice){NULL, 0};
    *ret_name = slice_of(name);
    return (struct slice){value, value == NULL ? 0 : size};
}

void webhook_read_record(const rd_kafka_message_t *message, struct record *ret_record)
{
    rd_kafka_headers_t *headers = NULL;
    record_start(ret_record, RECORD_EVENT, (struct slice){message->key, message->key_len},
                 (struct slice){message->payload, message->len});
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    for (size_t i = 0; i < rd_kafka_header_cnt(headers); i++) {
        struct slice name = {NULL, 0};
        struct slice value = header_value(headers, i, &name);
        if (name.data != NULL) record_add_header(ret_record, name, value);
    }
}

/* False: out of memory. */
static bool stage(struct webhook_sender *sender, const rd_kafka_message_t *message, struct sender_partition *partition,
                  bool is_scan)
{
    struct record record;
    rd_kafka_timestamp_type_t type;
    struct staged staged = {.partition = partition, .offset = message->offset, .is_scan = is_scan};
    staged.at_us = rd_kafka_message_timestamp(message, &type) * 1000;
    if (endpoints_count(sender->endpoints) > 0 && message->payload != NULL) {
        webhook_read_record(message, &record);
        enum status status = webhook_event_is_wanted(&record) ? webhook_event_new(&record, &staged.event) : STATUS_OK;
        if (status == STATUS_NO_MEMORY) return false;
        if (status != STATUS_OK) {
            LOG_ERROR("webhooks: an event cannot be read, and is sent to nobody", LOG_INT("partition", partition->number),
                      LOG_INT("offset", message->offset));
        }
    }
    sender->staged[sender->staged_len++] = staged;
    return true;
}

/* ---- what comes instead of messages ---- */

static void go_on_at(struct sender_partition *partition, bool is_scan, int64_t low)
{
    struct window *window = is_scan ? &partition->scan : &partition->head;
    if (window->position < low) {
        LOG_ERROR("webhooks: the offset is outside of the log; events between were not sent",
                  LOG_INT("partition", partition->number), LOG_INT("from", window->position), LOG_INT("to", low));
        sender_count_lost(low - window->position);
        window->position = low;
        if (is_scan) lags_lose(partition, low);
    }
    if (is_scan) partition->is_scan_fetched = false;
}

bool sender_on_log_begin(struct webhook_sender *sender, struct sender_partition *partition, int64_t low)
{
    bool is_head = partition->is_head_outside && partition->is_loaded;
    bool is_scan = partition->is_scan_outside && partition->is_scanned;
    partition->is_head_outside = partition->is_scan_outside = false;
    if (sender->is_revoking) return false;
    if (is_head) go_on_at(partition, false, low);
    if (is_scan) go_on_at(partition, true, low);
    return is_head;
}

static void on_error(struct webhook_sender *sender, const rd_kafka_message_t *message, struct sender_partition *partition,
                     bool is_scan)
{
    bool is_mine = partition != NULL && partition->is_loaded && (!is_scan || partition->is_scanned) &&
                   !sender->is_revoking; /* then what stands before an end is passed over, and the end with it */
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        if (is_mine) on_end(partition, message->offset, is_scan);
        break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        if (is_mine && is_scan) partition->is_scan_outside = true;
        else if (is_mine) partition->is_head_outside = true;
        break;
    default: LOG_WARN("webhooks: consumer", LOG_STR("reason", rd_kafka_message_errstr(message)));
    }
}

/* ---- taking ---- */

static bool needs_members(const struct webhook_sender *sender)
{
    if (endpoints_count_of_organizations(sender->endpoints) == 0) return false;
    for (size_t i = 0; i < sender->staged_len; i++) {
        if (sender->staged[i].event != NULL && sender->staged[i].event->org_id == 0) return true;
    }
    return false;
}

/* An end stands behind messages that are staged: it is dealt with after them. */
static bool take_from(struct webhook_sender *sender, rd_kafka_t *client, bool is_scan, int64_t until_us)
{
    while (sender->staged_len < STAGED_MAX && clock_steady_us() < until_us) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 0);
        if (message == NULL) return false;
        struct sender_partition *partition = sender_partition_at(sender, message->partition);
        bool ok = true;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && sender->staged_len > 0 && partition != NULL) {
            sender->staged[sender->staged_len++] =
                (struct staged){.partition = partition, .offset = message->offset, .is_scan = is_scan, .is_end = true};
        } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            on_error(sender, message, partition, is_scan);
        } else if (partition != NULL) {
            ok = stage(sender, message, partition, is_scan);
        }
        rd_kafka_message_destroy(message);
        if (!ok) {
            sender_release_staged(sender);
            sender_start_over(sender);
            return false;
        }
    }
    return true;
}

static void pause_or_resume(rd_kafka_t *client, bool pause)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(client, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    if (pause) rd_kafka_pause_partitions(client, list);
    else rd_kafka_resume_partitions(client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void mind_fullness(struct webhook_sender *sender)
{
    bool is_full = sender_is_full(sender);
    if (is_full == sender->is_paused || (!is_full && sender->deliveries > SENDER_DELIVERIES_MAX / 2)) return;
    sender->is_paused = is_full;
    pause_or_resume(sender->head, is_full);
    pause_or_resume(sender->scan, is_full);
}

void sender_take(struct webhook_sender *sender)
{
    int64_t until_us = clock_steady_us() + TURN_US;
    if (sender->is_done || sender->is_looking_up) return;
    if (sender->staged_len == 0) {
        mind_fullness(sender);
        bool is_more = take_from(sender, sender->head, false, until_us);
        is_more = take_from(sender, sender->scan, true, until_us) || is_more;
        if (is_more) event_active(sender->wake, EV_READ, 0);
    }
    if (sender->staged_len == 0) return;
    sender->memberships_len = 0;
    if (needs_members(sender)) sender_look_up(sender);
    else sender_on_looked_up(sender);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    uint64_t count;
    (void)what;
    while (read(fd, &count, sizeof(count)) > 0) continue;
    sender_take(ctx);
}

/* ---- assignment ---- */

void sender_assign_head(struct webhook_sender *sender)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        const struct sender_partition *partition = &sender->partitions[i];
        if (!partition->is_loaded) continue;
        rd_kafka_topic_partition_list_add(list, sender->config->topic, i)->offset = partition->head.position;
    }
    rd_kafka_resp_err_t error = kafka_assign(sender->head, list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        LOG_ERROR("webhooks: partitions not assigned", LOG_STR("reason", rd_kafka_err2str(error)));
    rd_kafka_topic_partition_list_destroy(list);
    sender->is_paused = false;
    event_active(sender->wake, EV_READ, 0);
}

void sender_on_loaded(struct webhook_sender *sender)
{
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        const struct sender_partition *partition = &sender->partitions[i];
        if (!partition->is_loaded) continue;
        LOG_INFO("webhooks: partition assigned", LOG_INT("partition", i), LOG_INT("next_offset", partition->head.position));
    }
    sender_assign_head(sender);
    sender_assign_scans(sender);
}

/* Only what differs from what is fetched is a reason to begin again. */
void sender_assign_scans(struct webhook_sender *sender)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    bool is_changed = false;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) {
        struct sender_partition *partition = &sender->partitions[i];
        bool is_wanted = partition->is_loaded && partition->is_scanned;
        is_changed = is_changed || is_wanted != partition->is_scan_fetched;
        partition->is_scan_fetched = is_wanted;
        if (!is_wanted) continue;
        rd_kafka_topic_partition_list_add(list, sender->config->topic, i)->offset = partition->scan.position;
    }
    if (is_changed) kafka_assign(sender->scan, list->cnt == 0 ? NULL : list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- giving up ---- */

static void begin_revoking(struct webhook_sender *sender)
{
    if (sender->is_revoking) return;
    sender->is_revoking = true;
    sender->revoke_until_us = clock_steady_us() + REVOKE_MS * 1000LL;
    sender_release_staged(sender);
}

/* A consumer that is closed waits for no answer, unless it has lost its group. With the answer it would join again, was it still subscribed. */
static void answer_for_the_close(struct webhook_sender *sender)
{
    if (!sender->owes_answer || !rd_kafka_assignment_lost(sender->head)) return;
    rd_kafka_unsubscribe(sender->head);
    kafka_assign(sender->head, NULL);
}

static void end_revoking(struct webhook_sender *sender)
{
    sender_forget_everything(sender);
    sender->is_load_wanted = false;
    for (int32_t i = 0; i < SENDER_PARTITIONS_MAX; i++) sender->partitions[i].is_assigned = false;
    sender->is_revoking = false;
    LOG_INFO("webhooks: partitions revoked");
    if (sender->is_draining) answer_for_the_close(sender);
    else kafka_assign(sender->head, NULL);
    sender->owes_answer = false;
    sender->is_done = sender->is_draining;
}

void sender_mind_revoking(struct webhook_sender *sender)
{
    int64_t now_us = clock_steady_us();
    if (!sender->is_revoking) return;
    if (sender->in_flight > 0 && now_us < sender->revoke_until_us) return;
    if (sender->in_flight > 0) sender_break_off(sender);
    bool is_late = now_us >= sender->revoke_until_us + REVOKE_STORE_MS * 1000LL;
    if (!is_late && (sender->is_storing || sender_has_to_store(sender))) return;
    end_revoking(sender);
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *ctx)
{
    struct webhook_sender *sender = ctx;
    if (sender->is_done) { /* the consumer is being closed, and waits for a revocation only: see consumer_on_rebalance() */
        if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) kafka_assign(client, NULL);
        return;
    }
    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        sender->owes_answer = true; /* rd_kafka_assign comes at its end */
        begin_revoking(sender);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        struct sender_partition *partition = sender_partition_at(sender, list->elems[i].partition);
        if (partition == NULL) continue;
        partition->number = list->elems[i].partition;
        partition->is_assigned = true;
        partition->unloaded_us = clock_wall_us();
        partition->is_read = false;
        partition->log_end = -1;
    }
    if (list->cnt == 0) kafka_assign(client, list);
    else sender_load(sender);
}

/* ---- life cycle ---- */

static rd_kafka_t *consumer_new(struct webhook_sender *sender, const char *reset, bool is_head)
{
    const struct kafka_property properties[] = {
        {"group.id", sender->config->group},
        {"partition.assignment.strategy", "range"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", reset},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "100"},
        {"fetch.message.max.bytes", "262144"},
        {"fetch.error.backoff.ms", "100"},
        {"queued.max.messages.kbytes", "16384"},
        {"queued.min.messages", "1000"},
    };
    rd_kafka_conf_t *conf = kafka_conf_new(sender->config->kafka, properties, sizeof(properties) / sizeof(properties[0]));
    if (conf == NULL) return NULL;
    rd_kafka_conf_set_opaque(conf, sender);
    if (is_head) rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_CONSUMER, conf);
    if (client == NULL) return NULL;
    rd_kafka_poll_set_consumer(client);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    rd_kafka_queue_io_event_enable(queue, sender->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    rd_kafka_queue_destroy(queue);
    return client;
}

rd_kafka_t *sender_consumer_new(struct webhook_sender *sender, const char *reset)
{
    return consumer_new(sender, reset, false);
}

bool sender_start_taking(struct webhook_sender *sender)
{
    sender->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (sender->wake_fd < 0) return false;
    sender->wake = event_new(sender->base, sender->wake_fd, EV_READ | EV_PERSIST, on_wake, sender);
    if (sender->wake == NULL || event_add(sender->wake, NULL) != 0) return false;
    sender->scan = consumer_new(sender, "error", false);
    sender->head = sender->scan == NULL ? NULL : consumer_new(sender, "error", true);
    if (sender->head == NULL) return false;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, sender->config->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(sender->head, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

void webhook_sender_drain(struct webhook_sender *sender)
{
    sender->is_draining = true;
    begin_revoking(sender);
}

bool webhook_sender_is_done(const struct webhook_sender *sender)
{
    return sender->is_done;
}

static void close_client(rd_kafka_t *client)
{
    if (client == NULL) return;
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
}

void sender_stop_taking(struct webhook_sender *sender)
{
    sender_release_staged(sender);
    close_client(sender->head);
    close_client(sender->scan);
    if (sender->wake != NULL) event_free(sender->wake);
    if (sender->wake_fd >= 0) close(sender->wake_fd);
}
