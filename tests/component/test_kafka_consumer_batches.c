/* Batches and messages of any size at the Kafka consumer: what unpacks large, and what is made a dead letter. */
#include "kafka_consumer_support.h"

#include "consumer/kafka_consumer_state.h"

/* What was freed would be counted as held. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4";
}

/* ---- batches that unpack large ---- */

/* Messages to a topic that the producer does not know yet could go out in two batches. */
static void learn_topic(struct world *world)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(world->producer, world->topic, NULL);
    assert_int_equal(rd_kafka_metadata(world->producer, 0, topic, &metadata, DEADLINE_S * 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(metadata->topics[0].err, RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
}

/* One batch, compressed with the codec, of commands with so many bytes each. */
static void produce_batch(struct world *world, int partition, const char *codec, uint64_t number, size_t count, size_t bytes)
{
    const struct kafka_property properties[] = {{"compression.codec", codec},
                                                {"linger.ms", "60000"},
                                                {"batch.size", "1000000000"},
                                                {"batch.num.messages", "100000"},
                                                {"message.max.bytes", "1000000000"},
                                                {"queue.buffering.max.kbytes", "1000000"}};
    char *name = malloc(bytes + 1);
    assert_non_null(name);
    memset(name, 'n', bytes);
    name[bytes] = '\0';
    struct buf command;
    buf_init(&command, bytes + 4096);
    world->producer = make_client(world, RD_KAFKA_PRODUCER, properties, ARRAY_LEN(properties));
    learn_topic(world);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&command);
        put_command(&command, number + i, USER, name);
        produce(world, partition, buf_slice(&command), NULL, NULL);
    }
    close_producer(world);
    buf_done(&command);
    free(name);
}

static const char *const codecs[] = {"gzip", "snappy", "lz4", "zstd"};

/* 500 of 77 KB each: names that are too long, so each is rejected. */
static void reads_large_batches_of_every_codec(void **state)
{
    enum { COUNT = 500, BYTES = 77000 };
    struct world *world = *state;
    size_t rejected = 0;
    make_topic(world, ARRAY_LEN(codecs));
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) produce_batch(world, (int)i, codecs[i], i * 1000, COUNT, BYTES);
    start_consumer(world);
    RUN_UNTIL(world->base, stored_offsets(world) == (int64_t)(ARRAY_LEN(codecs) * COUNT));
    rejected = emitted_records(world->db, world->slot, NULL, NULL);
    assert_int_equal(rejected, ARRAY_LEN(codecs) * COUNT);
    assert_int_equal(stopped_now(), 0);
}

/* Each kind of batch beyond the limit, and a good partition beside them. Snappy cannot be measured. */
static void a_batch_beyond_the_limit_stops_that_partition_only(void **state)
{
    enum { COUNT = 10, BYTES = 900000, GOOD = 4 };
    struct world *world = *state;
    world->unpacked_max = 8 << 20;
    make_topic(world, GOOD + 1);
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        produce_commands(world, (int)i, i * 1000 + 500, 1);
        close_producer(world);
        if (strcmp(codecs[i], "snappy") != 0) produce_batch(world, (int)i, codecs[i], i * 1000, COUNT, BYTES);
        produce_commands(world, (int)i, i * 1000 + 600, 1);
        close_producer(world);
    }
    start_consumer(world);
    RUN_UNTIL(world->base, stopped_now() == 3);
    produce_commands(world, GOOD, 9000, 10);
    close_producer(world);
    RUN_UNTIL(world->base, stored_offset(world, GOOD) == 10);
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        RUN_UNTIL(world->base, stored_offset(world, (int)i) == (strcmp(codecs[i], "snappy") == 0 ? 2 : 1));
    }
    RUN_UNTIL(world->base, kafka_consumer_pending(world->consumer) == 0);
    expect_rows_and_events(world, 3 + 2 + 10);
}

/* Every partition has batches that unpack to nearly the limit. They are read one after the other, none is taken for one beyond it, and
 * memory holds about one of them, not all that one fetch brings. */
static void unpacks_no_more_than_the_limit_at_a_time(void **state)
{
    enum { PARTITIONS = 5, BATCHES = 2, COUNT = 22, BYTES = 1000000, ALL_ELSE_KB = 60 << 10 };
    struct world *world = *state;
    world->unpacked_max = (COUNT + 2) * BYTES;
    make_topic(world, PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        for (int batch = 0; batch < BATCHES; batch++) {
            produce_batch(world, p, codecs[(p + batch) % 2 == 0 ? 3 : 0], (uint64_t)(p * 1000 + batch * 100), COUNT, BYTES);
        }
    }
    int64_t before_kb = resident_kb();
    struct remote consumer = remote_start(world);
    WAIT_UNTIL(stored_offsets(world) == PARTITIONS * BATCHES * COUNT);
    assert_int_equal(consumer.shared->stopped, 0);
    print_message("peak %lld KiB, %lld before\n", (long long)consumer.shared->peak_kb, (long long)before_kb);
    assert_true(consumer.shared->peak_kb - before_kb < (int64_t)world->unpacked_max / 1024 + ALL_ELSE_KB);
    remote_stop(&consumer);
}

/* ---- turns ---- */

/* Kafka gives of all partitions that are asked for only the first one's batch when that is larger than what a fetch may bring of one. */
static void a_large_batch_does_not_wait_for_those_of_another_partition(void **state)
{
    enum { BATCHES = 10, COUNT = 6000, OTHERS = 1000, BYTES = 60 };
    struct world *world = *state;
    make_topic(world, 2);
    for (int i = 0; i < BATCHES; i++) produce_batch(world, 0, "none", (uint64_t)i * COUNT, COUNT, BYTES);
    start_consumer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) > 0);
    produce_batch(world, 1, "none", (uint64_t)BATCHES * COUNT, OTHERS, BYTES);
    RUN_UNTIL(world->base, stored_offset(world, 1) == OTHERS);
    assert_true(stored_offset(world, 0) < (int64_t)BATCHES * COUNT / 2);
    RUN_UNTIL(world->base, stored_offset(world, 0) == (int64_t)BATCHES * COUNT);
}

static bool is_one_ahead(const struct world *world)
{
    for (int i = 0; i < OFFSETS_PARTITIONS_MAX; i++) {
        if (world->consumer->partitions[i].is_ahead) return true;
    }
    return false;
}

static void a_partition_that_is_ahead_goes_on_where_its_offset_was_moved_to(void **state)
{
    enum { BATCHES = 5, COUNT = 6000, OTHERS = 1000, BYTES = 60, BACK_TO = 10 };
    struct world *world = *state;
    make_topic(world, 2);
    for (uint64_t i = 0; i < BATCHES; i++) produce_batch(world, 0, "none", i * COUNT, COUNT, BYTES);
    start_consumer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) > BACK_TO);
    produce_batch(world, 1, "none", BATCHES * COUNT, OTHERS, BYTES);
    RUN_UNTIL(world->base, is_one_ahead(world));
    execute(world->db, "UPDATE command_offsets SET next_offset = %d WHERE partition = 0", BACK_TO);
    RUN_UNTIL(world->base, stored_offset(world, 0) == BACK_TO);
    RUN_UNTIL(world->base, stored_offset(world, 0) == BATCHES * COUNT && stored_offset(world, 1) == OTHERS);
    expect_rows_and_events(world, BATCHES * COUNT + OTHERS);
}

static void partitions_that_are_ahead_go_on_when_they_are_assigned_again(void **state)
{
    enum { PARTITIONS = 4, BATCHES = 3, COUNT = 6000, EACH = BATCHES * COUNT, BYTES = 60 };
    struct world *world = *state;
    make_topic(world, PARTITIONS);
    struct remote other = remote_start(world);
    WAIT_UNTIL(other.shared->partitions == PARTITIONS);
    start_consumer(world);
    RUN_UNTIL(world->base, assigned_partitions() == PARTITIONS / 2);
    for (int i = 0; i < PARTITIONS * BATCHES; i++)
        produce_batch(world, i / BATCHES, "none", (uint64_t)i * COUNT, COUNT, BYTES);
    RUN_UNTIL(world->base, is_one_ahead(world));
    remote_stop(&other);
    RUN_UNTIL(world->base, stored_offsets(world) == PARTITIONS * EACH);
    assert_int_equal(assigned_partitions(), PARTITIONS);
    expect_rows_and_events(world, PARTITIONS * EACH);
}

static struct {
    int64_t end_us;  /* of the last message */
    int64_t took_us; /* reading it */
    int messages;
    int early; /* of them: read before others had the loop as long */
} reading;

static bool decode_by_the_clock(struct kafka_message *message, const struct time_zones *zones)
{
    int64_t start_us = clock_steady_us();
    reading.messages++;
    reading.early += start_us < reading.end_us + reading.took_us;
    bool ok = kafka_command_handler.decode_and_validate(message, zones);
    reading.end_us = clock_steady_us();
    reading.took_us = reading.end_us - start_us;
    if (reading.took_us > YIELD_MAX_US) reading.took_us = YIELD_MAX_US;
    return ok;
}

static void a_large_message_leaves_the_loop_to_others_for_as_long_as_it_took(void **state)
{
    enum { COUNT = 40, BYTES = 900000 };
    struct world *world = *state;
    static struct message_handler handler;
    handler = kafka_command_handler;
    handler.decode_and_validate = decode_by_the_clock;
    world->handler = &handler;
    make_topic(world, 1);
    produce_batch(world, 0, "gzip", 0, COUNT, BYTES);
    start_consumer(world);
    RUN_UNTIL(world->base, stored_offsets(world) == COUNT);
    stop_consumer(world);
    assert_int_equal(reading.messages, COUNT);
    assert_int_equal(reading.early, 0);
}

/* ---- dead letters ---- */

static void see_dead_letter(void *ctx, const struct record *record)
{
    struct buf *out = ctx;
    assert_int_equal(record->topic, RECORD_DEAD_LETTER);
    assert_true(record_wire_bytes(record) <= 1000000);
    buf_printf(out, "%d ", record->value.len > 900000);
    buf_append_slice(out, header_named(record, "dead-letter-cut"));
    buf_append_char(out, ' ');
    buf_append_slice(out, header_named(record, "dead-letter-value-bytes"));
    buf_append_char(out, ' ');
    buf_append_slice(out, header_named(record, "dead-letter-headers-left-out"));
    buf_append_char(out, '\n');
}

/* As nobody told how much the topic of the dead letters takes, they count on what every topic does. */
static void buries_messages_of_any_size_and_with_any_number_of_headers(void **state)
{
    struct world *world = *state;
    struct buf seen;
    make_topic(world, 1);
    produce_batch(world, 0, "gzip", 0, 1, 34000000);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(200);
    for (int i = 0; i < 200; i++) rd_kafka_header_add(headers, "h", -1, "x", -1);
    open_producer(world);
    assert_int_equal(rd_kafka_producev(world->producer, RD_KAFKA_V_TOPIC(world->topic), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_VALUE("junk", 4), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    close_producer(world);
    start_consumer(world);
    RUN_UNTIL(world->base, stored_offset(world, 0) == 2);
    buf_init(&seen, 4096);
    assert_int_equal(emitted_records(world->db, world->slot, see_dead_letter, &seen), 2);
    buf_append_char(&seen, '\0');
    assert_string_equal(seen.data, "1 value 34000061 \n0 headers  82\n");
    buf_done(&seen);
}

int main(int argc, char **argv)
{
    static const char *const variables[] = {"TEST_DATABASE_URL", "TEST_KAFKA_BROKERS", NULL};
    if (!component_init(variables)) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(reads_large_batches_of_every_codec),
        TEST(a_batch_beyond_the_limit_stops_that_partition_only),
        TEST(unpacks_no_more_than_the_limit_at_a_time),
        TEST(a_large_batch_does_not_wait_for_those_of_another_partition),
        TEST(a_partition_that_is_ahead_goes_on_where_its_offset_was_moved_to),
        TEST(partitions_that_are_ahead_go_on_when_they_are_assigned_again),
        TEST(a_large_message_leaves_the_loop_to_others_for_as_long_as_it_took),
        TEST(buries_messages_of_any_size_and_with_any_number_of_headers),
    };
    return run_each_in_a_process(argc, argv, tests, ARRAY_LEN(tests));
}
