#include "webhook/webhook_placing.h"

enum { ASK_MS = 2000 };

static bool count_partitions(struct placing *placing)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(placing->client, placing->topic, NULL);
    if (topic == NULL) return false;
    bool ok = rd_kafka_metadata(placing->client, 0, topic, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR &&
              metadata->topic_cnt == 1;
    if (ok)
        placing->len = metadata->topics[0].partition_cnt < SENDER_PARTITIONS_MAX ? metadata->topics[0].partition_cnt
                                                                                 : SENDER_PARTITIONS_MAX;
    if (metadata != NULL) rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    return ok && placing->len > 0;
}

static bool offsets_at(const struct placing *placing, int64_t at_ms, int64_t *ret_offsets)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(placing->len);
    for (int32_t i = 0; i < placing->len; i++) rd_kafka_topic_partition_list_add(list, placing->topic, i)->offset = at_ms;
    bool ok = rd_kafka_offsets_for_times(placing->client, list, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int32_t i = 0; ok && i < placing->len; i++) {
        int64_t low = 0;
        int64_t high = list->elems[i].offset;
        if (high < 0) {
            ok = rd_kafka_query_watermark_offsets(placing->client, placing->topic, i, &low, &high, ASK_MS) ==
                 RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        ret_offsets[i] = high;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

void placing_look_up(void *ctx)
{
    struct placing *placing = ctx;
    placing->ok = count_partitions(placing) && offsets_at(placing, placing->to_ms, placing->to) &&
                  (!placing->is_from_asked || offsets_at(placing, placing->from_ms, placing->from));
}
