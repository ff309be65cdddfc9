/* The relay where Kafka refuses records for their size or form. */
#include "relay_support.h"

/* A topic in place of the given one, which is empty still. */
static void replace_topic(struct world *world, char *name, int partitions, const char *cleanup_policy, const char *max_bytes)
{
    strcat(name, "2");
    make_topic(world, name, partitions, cleanup_policy, max_bytes);
}

/* Lowers max.message.bytes of a topic that is in use. */
static void alter_topic(const struct world *world, const char *name, const char *max_bytes)
{
    rd_kafka_t *client = make_client(world, RD_KAFKA_PRODUCER, NULL, 0);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_ConfigResource_set_config(resource, "max.message.bytes", max_bytes);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AlterConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_S * 1000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

/* Bytes that no compression makes fewer. The caller frees them. */
static struct slice random_bytes(size_t len)
{
    uint64_t state = 88172645463325252;
    char *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (char)state;
    }
    return (struct slice){bytes, len};
}

static void emit_large(struct world *world, enum record_topic topic, struct slice key, size_t len)
{
    struct slice value = random_bytes(len);
    struct record record;
    record_start(&record, topic, key, value);
    record_add_header(&record, SLICE("content-type"), SLICE("application/protobuf"));
    record_add_header(&record, SLICE("ce_type"), SLICE("schedules.v1.ScheduleCreated"));
    record_add_header(&record, SLICE("dead-letter-topic"), SLICE("commands"));
    record_add_header(&record, SLICE("dead-letter-partition"), SLICE("3"));
    record_add_header(&record, SLICE("dead-letter-offset"), SLICE("17"));
    emit_record(world, &record);
    free((char *)(uintptr_t)value.data);
}

static struct slice header_of(const rd_kafka_message_t *message, const char *name)
{
    struct slice value = {NULL, 0};
    const void *data = NULL;
    if (message->_private != NULL) rd_kafka_header_get_last(message->_private, name, &data, &value.len);
    value.data = data;
    return value;
}

/* The events of one key with the numbers from 1 to count, in order, once each, and behind number `after` one that tells of another. */
static void expect_events_and_one_that_is_told(const struct world *world, int count, int after)
{
    struct received received = receive(world, world->events);
    assert_int_equal(received.len, count + 1);
    for (int i = 0, number = 1; i <= count; i++) {
        char value[16];
        bool is_told = slice_equal(header_of(received.messages[i], "ce_type"), SLICE("schedules.v1.EventUnpublishable"));
        assert_int_equal(is_told, i == after);
        snprintf(value, sizeof(value), "%d", number);
        if (is_told) continue;
        assert_true(slice_equal(value_of(received.messages[i]), slice_of(value)));
        number++;
    }
    received_done(&received);
}

static void an_event_that_the_topic_does_not_take_is_told_in_its_place(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->events, 3, "delete", "20000");
    start(world);
    exec_on(world->db, "BEGIN");
    for (int number = 1; number <= 10; number++) {
        emit_event(world, "7", number);
        if (number == 4) emit_large(world, RECORD_EVENT, SLICE("7"), 30000);
    }
    exec_on(world->db, "COMMIT");
    drain(world);
    expect_events_and_one_that_is_told(world, 10, 4);
}

/* What the topic takes was read before. */
static void a_refused_event_is_found_among_its_neighbours(void **state)
{
    struct world *world = *state;
    start(world);
    alter_topic(world, world->events, "5000");
    exec_on(world->db, "BEGIN");
    for (int number = 1; number <= 300; number++) {
        emit_event(world, "7", number);
        if (number == 200) emit_large(world, RECORD_EVENT, SLICE("7"), 10000);
    }
    exec_on(world->db, "COMMIT");
    drain(world);
    expect_events_and_one_that_is_told(world, 300, 200);
}

static void small_events_fit_into_a_topic_that_takes_no_large_batches(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->events, 3, "delete", "1000");
    start(world);
    emit_events(world, "7", 1, 2000);
    drain(world);
    expect_events(world, 2000);
}

static void a_dead_letter_that_is_too_large_is_cut(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->dead_letters, 1, "delete", "20000");
    start(world);
    emit_event(world, "7", 1);
    emit_large(world, RECORD_DEAD_LETTER, SLICE("key"), 30000);
    emit_event(world, "7", 2);
    drain(world);
    expect_events(world, 2);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 1);
    assert_true(slice_equal(header_of(received.messages[0], "dead-letter-value-bytes"), SLICE("30000")));
    assert_true(received.messages[0]->len > 10000);
    received_done(&received);
}

/* A compacted topic takes no record without a key, and says so of the whole batch. */
static void a_dead_letter_whose_form_is_refused_gets_a_key(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->dead_letters, 1, "compact", "1000000");
    start(world);
    exec_on(world->db, "BEGIN");
    for (int number = 1; number <= 40; number++) {
        emit_event(world, "7", number);
        if (number % 10 == 0) emit_large(world, RECORD_DEAD_LETTER, (struct slice){NULL, 0}, 100);
    }
    exec_on(world->db, "COMMIT");
    drain(world);
    expect_events(world, 40);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 4);
    for (size_t i = 0; i < received.len; i++) {
        const rd_kafka_message_t *letter = received.messages[i];
        assert_true(slice_equal((struct slice){letter->key, letter->key_len}, SLICE("commands/3/17")));
        assert_int_equal(letter->len, 100);
    }
    received_done(&received);
}

/* librdkafka refuses it before any broker does. */
static void a_record_larger_than_the_producer_takes_is_cut(void **state)
{
    struct world *world = *state;
    replace_topic(world, world->dead_letters, 1, "delete", "20000000");
    start(world);
    emit_large(world, RECORD_DEAD_LETTER, SLICE("key"), 17000000);
    emit_event(world, "7", 1);
    drain(world);
    expect_events(world, 1);
    struct received received = receive(world, world->dead_letters);
    assert_int_equal(received.len, 1);
    assert_true(slice_equal(header_of(received.messages[0], "dead-letter-value-bytes"), SLICE("17000000")));
    assert_true(received.messages[0]->len > 15000000);
    received_done(&received);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(an_event_that_the_topic_does_not_take_is_told_in_its_place),
        RELAY_TEST(a_refused_event_is_found_among_its_neighbours),
        RELAY_TEST(small_events_fit_into_a_topic_that_takes_no_large_batches),
        RELAY_TEST(a_dead_letter_that_is_too_large_is_cut),
        RELAY_TEST(a_dead_letter_whose_form_is_refused_gets_a_key),
        RELAY_TEST(a_record_larger_than_the_producer_takes_is_cut),
    };
    return run_relay_tests("relay_refusals", tests, sizeof(tests) / sizeof(tests[0]));
}
