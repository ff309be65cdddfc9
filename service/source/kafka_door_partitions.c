/* Which partitions the door has, where each goes on, and whether it is fetched: they are assigned and revoked, their stored offsets are read
 * and looked at, and what cannot go on is paused, held back or stopped. */
#include "source/kafka_door_state.h"

#include "driver/log.h"

/* ---- assignment and stored offsets ---- */

struct door_partition *door_partition_at(struct kafka_door *door, int32_t number)
{
    if (number < 0 || number >= OFFSETS_PARTITIONS_MAX) return NULL;
    struct door_partition *partition = &door->partitions[number];
    partition->stored.topic = door->config->topic;
    partition->stored.number = number;
    partition->stored.purpose = door->config->kind->purpose;
    return partition;
}

void door_load_offsets(struct kafka_door *door)
{
    int32_t numbers[OFFSETS_PARTITIONS_MAX];
    size_t len = 0;
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        if (door->partitions[i].assigned) numbers[len++] = i;
    }
    door->is_loading = true;
    offsets_load(door->offsets, numbers, len);
}

void door_look_at_offsets(struct kafka_door *door)
{
    int32_t numbers[OFFSETS_PARTITIONS_MAX];
    size_t len = 0;
    if (door->is_loading) return;
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->fetching || !partition_is_idle(&partition->stored)) continue;
        partition->looked = partition->stored.next_offset;
        numbers[len++] = i;
    }
    if (len > 0) offsets_look(door->offsets, numbers, len);
}

static rd_kafka_topic_partition_list_t *fetched_partitions(const struct kafka_door *door)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (partition->fetching && !partition->stopped) rd_kafka_topic_partition_list_add(list, door->config->topic, i);
    }
    return list;
}

/* Fetches everything that is assigned from what is to be taken next; what is stopped or held back stays paused. */
static void assign(struct kafka_door *door)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        const struct door_partition *partition = &door->partitions[i];
        if (!partition->fetching && !partition->held_back) continue;
        int64_t from = partition->taken == 0 ? RD_KAFKA_OFFSET_BEGINNING : partition->taken;
        rd_kafka_topic_partition_list_add(list, door->config->topic, i)->offset = from;
    }
    rd_kafka_resp_err_t error = rd_kafka_assign(door->consumer, list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        LOG_ERROR("partitions not assigned", LOG_STR("reason", rd_kafka_err2str(error)));
    rd_kafka_topic_partition_list_destroy(list);
    list = fetched_partitions(door);
    rd_kafka_resume_partitions(door->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    door->paused = false;
    event_active(door->wake, EV_READ, 0);
}

static void start_at(struct door_partition *partition, int64_t next_offset)
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
static bool is_moved(const struct door_partition *partition, int64_t next_offset)
{
    return partition->fetching && partition_is_idle(&partition->stored) &&
           partition->stored.next_offset == partition->looked && next_offset != partition->looked;
}

void door_on_offsets(void *ctx, const struct stored_offset *items, size_t len)
{
    struct kafka_door *door = ctx;
    bool is_new = false;
    for (size_t i = 0; i < len; i++) {
        struct door_partition *partition = door_partition_at(door, items[i].partition);
        if (partition == NULL || !partition->assigned) continue;
        if (!door->is_loading && !is_moved(partition, items[i].next_offset)) continue;
        start_at(partition, items[i].next_offset);
        is_new = true;
        LOG_INFO(door->is_loading ? "partition assigned" : "stored offset was moved: partition goes on there",
                 LOG_STR("topic", door->config->topic), LOG_INT("partition", items[i].partition),
                 LOG_INT("next_offset", items[i].next_offset));
    }
    door->is_loading = false;
    if (is_new) assign(door);
}

void door_drop_taken(struct kafka_door *door, struct door_partition *partition)
{
    partition->fetching = false;
    partition->held_back = false;
    writer_drop_partition(door->config->writer, &partition->stored);
}

static void revoke_all(struct kafka_door *door)
{
    offsets_cancel(door->offsets);
    door->is_loading = false;
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned) continue;
        partition->assigned = false;
        door_drop_taken(door, partition);
        LOG_INFO("partition revoked", LOG_STR("topic", partition->stored.topic), LOG_INT("partition", i));
    }
}

void door_on_rebalance(rd_kafka_t *consumer, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *ctx)
{
    struct kafka_door *door = ctx;
    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        revoke_all(door);
        rd_kafka_assign(consumer, NULL);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        struct door_partition *partition = door_partition_at(door, list->elems[i].partition);
        if (partition != NULL) partition->assigned = true;
    }
    if (list->cnt == 0) rd_kafka_assign(consumer, list);
    else door_load_offsets(door);
}

void door_commit_to_group(struct kafka_door *door)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned || partition->stored.next_offset <= partition->committed) continue;
        partition->committed = partition->stored.next_offset;
        rd_kafka_topic_partition_list_add(list, partition->stored.topic, i)->offset = partition->committed;
    }
    if (list->cnt > 0) rd_kafka_commit(door->consumer, list, 1 /* async */);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- pausing ---- */

void door_pause_or_resume(struct kafka_door *door, bool pause)
{
    rd_kafka_topic_partition_list_t *list = fetched_partitions(door);
    if (pause) rd_kafka_pause_partitions(door->consumer, list);
    else rd_kafka_resume_partitions(door->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    door->paused = pause;
    LOG_INFO(pause ? "taking paused: the database does not keep up" : "taking resumed",
             LOG_INT("in_flight", door->in_flight));
}

void door_stop_partition(struct kafka_door *door, struct door_partition *partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->stored.topic, partition->stored.number);
    rd_kafka_pause_partitions(door->consumer, list); /* else it is tried again, for ever */
    rd_kafka_topic_partition_list_destroy(list);
    partition->stopped = true;
}

/* Pauses the partition's fetching, or lets it go on with the message that is to be taken next. A seek purges what was fetched before it. */
static void set_fetching(struct kafka_door *door, const struct door_partition *partition, bool fetching)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->stored.topic, partition->stored.number)->offset = partition->taken;
    if (fetching) {
        rd_kafka_resume_partitions(door->consumer, list);
        rd_kafka_error_destroy(rd_kafka_seek_partitions(door->consumer, list, 0));
    } else {
        rd_kafka_pause_partitions(door->consumer, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void hold_back(struct kafka_door *door, struct door_partition *partition)
{
    partition->fetching = false;
    partition->held_back = true;
    set_fetching(door, partition, false);
    door->giving_back = true;
    int64_t given_back = writer_shorten_partition(door->config->writer, &partition->stored);
    door->giving_back = false;
    if (given_back >= 0) partition->taken = given_back;
    partition->end = 0; /* it is behind what was given back */
}

static void go_on(struct kafka_door *door, struct door_partition *partition)
{
    partition->held_back = false;
    partition->stopped = false; /* as what was given back lies before it */
    partition->doubt = (struct doubt){0};
    partition->fetching = true;
    set_fetching(door, partition, true);
}

void door_mind_waiting(struct kafka_door *door)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        struct door_partition *partition = &door->partitions[i];
        if (!partition->assigned) continue;
        bool is_waiting = partition_is_waiting(&partition->stored);
        if (is_waiting && door->draining) door_drop_taken(door, partition);
        else if (is_waiting && partition->fetching) hold_back(door, partition);
        else if (!is_waiting && partition->held_back && !door->draining && !door->paused) go_on(door, partition);
    }
}
