/* Which partitions the consumer has, where each continues, and whether it is fetched: they are assigned and revoked, their stored offsets are read
 * and looked at, and what cannot continue is paused, held back or stopped. */
#include "consumer/kafka_consumer_state.h"

#include "driver/kafka.h"
#include "driver/log.h"

enum { SEEK_MS = 100 /* librdkafka's threads answer it, no broker */ };

/* Versions before 2.1 wait for a thousandth of what they are told. */
static int seek_timeout_ms(void)
{
    const int waits_as_told = 0x020100ff;
    return rd_kafka_version() >= waits_as_told ? SEEK_MS : 1000 * SEEK_MS;
}

/* ---- assignment and stored offsets ---- */

struct consumer_partition *consumer_partition_at(struct kafka_consumer *consumer, int32_t number)
{
    if (number < 0 || number >= OFFSETS_PARTITIONS_MAX) return NULL;
    struct consumer_partition *partition = &consumer->partitions[number];
    partition->stored.topic = consumer->config->topic;
    partition->stored.number = number;
    partition->stored.purpose = consumer->config->handler->purpose;
    return partition;
}

void consumer_load_offsets(struct kafka_consumer *consumer)
{
    int32_t numbers[OFFSETS_PARTITIONS_MAX];
    size_t len = 0;
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        if (consumer->partitions[i].assigned) numbers[len++] = i;
    }
    consumer->is_loading = true;
    offsets_load(consumer->offsets, numbers, len);
}

void consumer_look_at_offsets(struct kafka_consumer *consumer)
{
    int32_t numbers[OFFSETS_PARTITIONS_MAX];
    size_t len = 0;
    if (consumer->is_loading) return;
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct consumer_partition *partition = &consumer->partitions[i];
        if (!partition->fetching || !partition_is_idle(&partition->stored)) continue;
        partition->looked = partition->stored.next_offset;
        numbers[len++] = i;
    }
    if (len > 0) offsets_look(consumer->offsets, numbers, len);
}

static rd_kafka_topic_partition_list_t *fetched_partitions(const struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct consumer_partition *partition = &consumer->partitions[i];
        if (partition->fetching && !partition->stopped) rd_kafka_topic_partition_list_add(list, consumer->config->topic, i);
    }
    return list;
}

/* Fetches everything that is assigned from what is to be taken next; what is stopped or held back stays paused. */
static void assign(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    kafka_backlog_drop_all(&consumer->backlog);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct consumer_partition *partition = &consumer->partitions[i];
        if (!partition->fetching && !partition->held_back) continue;
        partition->is_ahead = false;
        partition->kept = partition->taken;
        partition->broker = -1;
        int64_t from = partition->taken == 0 && partition->is_cut ? RD_KAFKA_OFFSET_BEGINNING : partition->taken;
        rd_kafka_topic_partition_list_add(list, consumer->config->topic, i)->offset = from;
    }
    rd_kafka_resp_err_t error = kafka_assign(consumer->client, list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        LOG_ERROR("partitions not assigned", LOG_STR("reason", rd_kafka_err2str(error)));
    rd_kafka_topic_partition_list_destroy(list);
    list = fetched_partitions(consumer);
    rd_kafka_resume_partitions(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    consumer->paused = false;
    event_active(consumer->wake, EV_READ, 0);
}

/* librdkafka looks a beginning up half a second later when it has just heard who leads the partition, so that is not done for all. */
void consumer_start_at_beginning(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    partition->is_cut = true;
    assign(consumer);
}

static void start_at(struct consumer_partition *partition, int64_t next_offset)
{
    partition->stored.next_offset = next_offset;
    partition->taken = next_offset;
    partition->end = 0;
    partition->doubt = (struct doubt){0};
    partition->stopped = false;
    partition->held_back = false;
    partition->fetching = true;
}

/* Not by us: nothing was on its way when the database was asked, and nothing has been since. */
static bool is_moved(const struct consumer_partition *partition, int64_t next_offset)
{
    return partition->fetching && partition_is_idle(&partition->stored) &&
           partition->stored.next_offset == partition->looked && next_offset != partition->looked;
}

void consumer_on_offsets(void *ctx, const struct stored_offset *items, size_t len)
{
    struct kafka_consumer *consumer = ctx;
    bool is_new = false;
    for (size_t i = 0; i < len; i++) {
        struct consumer_partition *partition = consumer_partition_at(consumer, items[i].partition);
        if (partition == NULL || !partition->assigned) continue;
        if (!consumer->is_loading && !is_moved(partition, items[i].next_offset)) continue;
        start_at(partition, items[i].next_offset);
        is_new = true;
        LOG_INFO(consumer->is_loading ? "partition assigned" : "stored offset was moved: partition continues there",
                 LOG_STR("topic", consumer->config->topic), LOG_INT("partition", items[i].partition),
                 LOG_INT("next_offset", items[i].next_offset));
    }
    consumer->is_loading = false;
    if (is_new) assign(consumer);
}

void consumer_end_fetch(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    partition->fetching = false;
    partition->is_ahead = false;
    partition->held_back = false;
    kafka_backlog_drop(&consumer->backlog, &partition->backlog);
}

void consumer_cancel_offsets(struct kafka_consumer *consumer)
{
    offsets_cancel(consumer->offsets);
    consumer->is_loading = false;
}

void consumer_drop_taken(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    consumer_end_fetch(consumer, partition);
    writer_drop_partition(consumer->config->writer, &partition->stored);
}

static void revoke_all(struct kafka_consumer *consumer)
{
    consumer_cancel_offsets(consumer);
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct consumer_partition *partition = &consumer->partitions[i];
        if (!partition->assigned) continue;
        partition->assigned = false;
        consumer_drop_taken(consumer, partition);
        LOG_INFO("partition revoked", LOG_STR("topic", partition->stored.topic), LOG_INT("partition", i));
    }
}

/* librdkafka leaves a group without waiting for what it has asked for before, unless it has lost the group, and who then answers may wait for ever:
 * what is requested of a group while it ends is dropped. So a consumer that drains assigns nothing, and answers no revocation of before. */
void consumer_on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *ctx)
{
    struct kafka_consumer *consumer = ctx;
    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        revoke_all(consumer);
        if (!consumer->draining || consumer->leaving != NULL || rd_kafka_assignment_lost(client)) kafka_assign(client, NULL);
        return;
    }
    if (consumer->draining) return;
    for (int i = 0; i < list->cnt; i++) {
        struct consumer_partition *partition = consumer_partition_at(consumer, list->elems[i].partition);
        if (partition != NULL) partition->assigned = true;
    }
    if (list->cnt == 0) kafka_assign(client, list);
    else consumer_load_offsets(consumer);
}

void consumer_commit_to_group(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct consumer_partition *partition = &consumer->partitions[i];
        if (!partition->assigned || partition->stored.next_offset <= partition->committed) continue;
        partition->committed = partition->stored.next_offset;
        rd_kafka_topic_partition_list_add(list, partition->stored.topic, i)->offset = partition->committed;
    }
    if (list->cnt > 0) rd_kafka_commit(consumer->client, list, 1 /* async */);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- pausing ---- */

void consumer_pause_or_resume(struct kafka_consumer *consumer, bool is_paused)
{
    rd_kafka_topic_partition_list_t *list = fetched_partitions(consumer);
    if (is_paused) rd_kafka_pause_partitions(consumer->client, list);
    else rd_kafka_resume_partitions(consumer->client, list);
    for (int i = 0; i < list->cnt; i++) consumer->partitions[list->elems[i].partition].is_ahead = false;
    rd_kafka_topic_partition_list_destroy(list);
    consumer->paused = is_paused;
    LOG_INFO(is_paused ? "taking paused: the database does not keep up" : "taking resumed",
             LOG_INT("in_flight", consumer->in_flight));
}

static rd_kafka_topic_partition_list_t *list_of(const struct consumer_partition *partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->stored.topic, partition->stored.number)->offset = partition->taken;
    return list;
}

static void pause_one(struct kafka_consumer *consumer, const struct consumer_partition *partition)
{
    rd_kafka_topic_partition_list_t *list = list_of(partition);
    rd_kafka_pause_partitions(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- ahead of others ---- */

static bool is_asked_for(const struct consumer_partition *partition)
{
    return partition->fetching && !partition->stopped && !partition->is_ahead;
}

/* By what librdkafka was told with the last answer, be it without messages. */
static bool has_more(const struct kafka_consumer *consumer, const struct consumer_partition *partition)
{
    int64_t low;
    int64_t high;
    return rd_kafka_get_watermark_offsets(consumer->client, partition->stored.topic, partition->stored.number, &low,
                                          &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           high > partition->kept;
}

/* Whether another partition waits for messages of the same broker, as far as that is known. */
static bool is_waited_for(const struct kafka_consumer *consumer, const struct consumer_partition *partition)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct consumer_partition *other = &consumer->partitions[i];
        if (other == partition || !is_asked_for(other)) continue;
        if ((other->broker == partition->broker || other->broker < 0) && has_more(consumer, other)) return true;
    }
    return false;
}

/* A batch that is larger than what a fetch may bring of one partition comes only of the first partition that is asked for, and whenever
 * librdkafka's queue was full that is the same one again: those behind it would wait until nothing is left of it. A pause drops what
 * librdkafka has of the partition. One of the broker's is asked for always: librdkafka sees that another is resumed when it has an answer, and
 * an answer without messages may take as long as fetch.wait.max.ms. */
void consumer_pause_ahead(struct kafka_consumer *consumer)
{
    if (!consumer->has_ahead || consumer->paused) return;
    consumer->has_ahead = false;
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct consumer_partition *partition = &consumer->partitions[i];
        if (!is_asked_for(partition) || !kafka_backlog_is_ahead(&partition->backlog)) continue;
        if (!is_waited_for(consumer, partition)) continue;
        pause_one(consumer, partition);
        partition->is_ahead = true;
    }
}

void consumer_mind_ahead(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    if (!partition->is_ahead || !kafka_backlog_is_behind(&partition->backlog)) return;
    rd_kafka_topic_partition_list_t *list = list_of(partition);
    rd_kafka_resume_partitions(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    partition->is_ahead = false;
}

/* With the message that is to be taken next. A seek purges what was fetched before it; where it has failed, nothing would be fetched. */
static void resume_one(struct kafka_consumer *consumer, const struct consumer_partition *partition)
{
    rd_kafka_topic_partition_list_t *list = list_of(partition);
    rd_kafka_resume_partitions(consumer->client, list);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(consumer->client, list, seek_timeout_ms());
    bool has_failed = error != NULL || list->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
    if (has_failed) assign(consumer);
}

/* Were it not paused, librdkafka would try again for ever. */
void consumer_stop_partition(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    pause_one(consumer, partition);
    kafka_backlog_drop(&consumer->backlog, &partition->backlog);
    partition->is_ahead = false;
    partition->stopped = true;
}

static void hold_back(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    consumer_end_fetch(consumer, partition);
    partition->held_back = true;
    pause_one(consumer, partition);
    consumer->giving_back = true;
    int64_t given_back = writer_shorten_partition(consumer->config->writer, &partition->stored);
    consumer->giving_back = false;
    if (given_back >= 0) partition->taken = given_back;
    partition->end = 0; /* it is behind what was given back */
}

static void go_on(struct kafka_consumer *consumer, struct consumer_partition *partition)
{
    partition->held_back = false;
    partition->stopped = false; /* as what was given back lies before it */
    partition->doubt = (struct doubt){0};
    partition->fetching = true;
    partition->kept = partition->taken;
    resume_one(consumer, partition);
}

void consumer_mind_waiting(struct kafka_consumer *consumer)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct consumer_partition *partition = &consumer->partitions[i];
        if (!partition->assigned) continue;
        bool is_waiting = partition_is_waiting(&partition->stored);
        if (is_waiting && consumer->draining) consumer_drop_taken(consumer, partition);
        else if (is_waiting && partition->fetching) hold_back(consumer, partition);
        else if (!is_waiting && partition->held_back && !consumer->draining && !consumer->paused) go_on(consumer, partition);
    }
}
