/* Assignments of a consumer that follow one another. */
#include "kafka_consumer_support.h"

#include "driver/kafka.h"

enum { PARTITIONS = 4, COMMANDS = 20, ROUNDS = 10, AT_ONCE = 4 };

static void assign_all(rd_kafka_t *consumer, const struct world *world, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) rd_kafka_topic_partition_list_add(list, world->topic, p)->offset = offset;
    assert_int_equal(kafka_assign(consumer, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
}

/* The first offsets that come of each partition are the assigned ones. */
static void expect_each_from(rd_kafka_t *consumer, int64_t offset)
{
    bool came[PARTITIONS] = {false};
    for (int left = PARTITIONS; left > 0;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, DEADLINE_S * 1000);
        assert_non_null(message);
        assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
        if (!came[message->partition]) assert_int_equal(message->offset, offset);
        left -= !came[message->partition];
        came[message->partition] = true;
        rd_kafka_message_destroy(message);
    }
}

static void partitions_that_are_fetched_are_assigned_again_and_again(void **state)
{
    struct world *world = *state;
    const struct kafka_property group[] = {{"group.id", world->topic}};
    make_topic(world, PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) produce_commands(world, p, (uint64_t)p * 100, COMMANDS);
    close_producer(world);
    rd_kafka_t *consumer = make_client(world, RD_KAFKA_CONSUMER, group, 1);
    for (int64_t round = 0; round < ROUNDS; round++) {
        for (int64_t turn = 0; turn < AT_ONCE; turn++) assign_all(consumer, world, (round + turn) % COMMANDS);
        expect_each_from(consumer, (round + AT_ONCE - 1) % COMMANDS);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", "TEST_KAFKA_BROKERS", NULL};
    if (!component_init(variables)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(partitions_that_are_fetched_are_assigned_again_and_again, set_up, tear_down),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
