/* The order in which a consumer's messages leave its backlog, and when that is full, and which partition is ahead. */
#include "support.h"

#include <stdlib.h>

#include "consumer/kafka_backlog.h"

enum { QUEUES = 3, MESSAGES = KAFKA_BACKLOG_ROOM };

struct world {
    struct kafka_backlog backlog;
    struct kafka_backlog_queue queues[QUEUES];
    rd_kafka_message_t messages[MESSAGES];
    size_t made;
};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct world));
    return *state == NULL;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void add(struct world *world, size_t queue, int64_t offset, size_t len)
{
    rd_kafka_message_t *message = &world->messages[world->made++];
    message->partition = (int32_t)queue;
    message->offset = offset;
    message->len = len;
    kafka_backlog_add(&world->backlog, &world->queues[queue], message);
}

/* Takes the next one, which is under way then. */
static void assert_next(struct world *world, size_t queue, int64_t offset)
{
    struct kafka_backlog_queue *next = kafka_backlog_next(&world->backlog);
    assert_ptr_equal(next, &world->queues[queue]);
    const rd_kafka_message_t *first = kafka_backlog_first(&world->backlog, next);
    assert_ptr_equal(kafka_backlog_take(&world->backlog, next), first);
    assert_int_equal(first->partition, queue);
    assert_int_equal(first->offset, offset);
    next->under_way++;
}

static void the_next_is_of_the_partition_with_the_fewest_under_way(void **state)
{
    struct world *world = *state;
    assert_null(kafka_backlog_next(&world->backlog));
    for (int64_t offset = 0; offset < 4; offset++) add(world, 0, offset, 10);
    assert_next(world, 0, 0);
    assert_next(world, 0, 1);
    for (int64_t offset = 100; offset < 104; offset++) add(world, 1, offset, 10);
    assert_next(world, 1, 100);
    assert_next(world, 1, 101);
    world->queues[0].under_way = 1;
    assert_next(world, 0, 2);
    world->queues[1].under_way = 0;
    assert_next(world, 1, 102);
    assert_next(world, 1, 103); /* its last: the other one is left */
    assert_next(world, 0, 3);
    assert_null(kafka_backlog_next(&world->backlog));
    assert_int_equal(world->backlog.len, 0);
    assert_int_equal(world->backlog.bytes, 0);
    add(world, 1, 104, 10);
    assert_next(world, 1, 104);
}

static void it_is_full_with_so_many_messages_and_has_room_for_more(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < KAFKA_BACKLOG_MAX; i++) {
        assert_false(kafka_backlog_is_full(&world->backlog));
        add(world, i % QUEUES, (int64_t)i, 1);
    }
    for (size_t i = KAFKA_BACKLOG_MAX; i < MESSAGES; i++) {
        assert_true(kafka_backlog_is_full(&world->backlog));
        assert_int_equal(kafka_backlog_is_overfull(&world->backlog), i >= MESSAGES - KAFKA_BACKLOG_RESERVE);
        assert_true(kafka_backlog_has_room(&world->backlog));
        add(world, i % QUEUES, (int64_t)i, 1);
    }
    assert_false(kafka_backlog_has_room(&world->backlog));
    world->made = 0;
    for (int64_t i = 0; i < 2 * MESSAGES; i++) { /* each place is used again */
        struct kafka_backlog_queue *queue = &world->queues[i % QUEUES];
        rd_kafka_message_t *message = kafka_backlog_take(&world->backlog, queue);
        assert_int_equal(message->offset, i);
        message->offset += MESSAGES;
        kafka_backlog_add(&world->backlog, &world->queues[message->offset % QUEUES], message);
    }
    assert_int_equal(world->backlog.len, MESSAGES);
    assert_int_equal(world->backlog.bytes, MESSAGES);
}

static void it_is_full_with_so_many_bytes(void **state)
{
    struct world *world = *state;
    add(world, 0, 0, KAFKA_BACKLOG_BYTES_MAX - 1);
    assert_false(kafka_backlog_is_full(&world->backlog));
    add(world, 1, 0, 1);
    assert_true(kafka_backlog_is_full(&world->backlog));
    add(world, 2, 0, 3 * KAFKA_BACKLOG_BYTES_MAX - 1);
    assert_false(kafka_backlog_is_overfull(&world->backlog));
    add(world, 2, 1, 1);
    assert_true(kafka_backlog_is_overfull(&world->backlog));
    assert_next(world, 2, 0);
    assert_next(world, 1, 0);
    assert_false(kafka_backlog_is_overfull(&world->backlog));
    assert_true(kafka_backlog_is_full(&world->backlog));
    assert_next(world, 0, 0);
    assert_false(kafka_backlog_is_full(&world->backlog));
}

static void a_queue_is_ahead_beyond_its_share_until_half_of_that_is_used(void **state)
{
    struct world *world = *state;
    const struct kafka_backlog_queue *queue = &world->queues[0];
    for (int64_t i = 0; i < KAFKA_BACKLOG_SHARE; i++) add(world, 0, i, 1);
    assert_false(kafka_backlog_is_ahead(queue));
    add(world, 0, KAFKA_BACKLOG_SHARE, 1);
    assert_true(kafka_backlog_is_ahead(queue));
    for (int64_t i = 0; i < KAFKA_BACKLOG_SHARE / 2; i++) assert_next(world, 0, i);
    assert_false(kafka_backlog_is_ahead(queue));
    assert_false(kafka_backlog_is_behind(queue));
    assert_next(world, 0, KAFKA_BACKLOG_SHARE / 2);
    assert_true(kafka_backlog_is_behind(queue));
}

static void a_share_has_so_many_bytes(void **state)
{
    struct world *world = *state;
    const struct kafka_backlog_queue *queue = &world->queues[0];
    add(world, 0, 0, KAFKA_BACKLOG_SHARE_BYTES / 2);
    assert_true(kafka_backlog_is_behind(queue));
    add(world, 0, 1, KAFKA_BACKLOG_SHARE_BYTES / 2);
    assert_false(kafka_backlog_is_behind(queue));
    assert_false(kafka_backlog_is_ahead(queue));
    add(world, 0, 2, 1);
    assert_true(kafka_backlog_is_ahead(queue));
    assert_next(world, 0, 0);
    assert_false(kafka_backlog_is_behind(queue));
    assert_next(world, 0, 1);
    assert_true(kafka_backlog_is_behind(queue));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_next_is_of_the_partition_with_the_fewest_under_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_full_with_so_many_messages_and_has_room_for_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_full_with_so_many_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_queue_is_ahead_beyond_its_share_until_half_of_that_is_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_share_has_so_many_bytes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
