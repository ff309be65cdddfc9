/* What the component tests of the writer share: a database with a small directory, a writer, and writes that remember what became of
 * them. */
#ifndef TESTS_COMPONENT_WRITER_SUPPORT_H
#define TESTS_COMPONENT_WRITER_SUPPORT_H

#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "store/writer.h"

enum { ORG = 7, USER = 478, OTHER_USER = 479, STRANGER = 480, WRITES_MAX = 8192, CONNECTIONS = 5 };

struct world {
    struct event_base *base;
    struct event *look;
    struct writer *writer;
    struct writer_config config;
    PGconn *db;
    char slot[NAME_LEN];
    struct partition partition; /* of topic "commands", number 0 */
};

/* One write and what became of it. */
struct test_write {
    struct pending_write pending_write; /* first */
    int done;                           /* how often */
    enum status status;
    int refused;
    enum status refusal;
    struct slice replacement; /* not empty: takes the place of a refused write */
    char state[1024];         /* what was lent in done */
};

static int completed;

static inline void on_done(struct pending_write *pending_write, enum status status)
{
    struct test_write *test = (struct test_write *)pending_write;
    test->done++;
    test->status = status;
    snprintf(test->state, sizeof(test->state), "%.*s", (int)pending_write->state.len,
             pending_write->state.len == 0 ? "" : pending_write->state.data);
    completed++;
}

static inline bool on_refuse(struct pending_write *pending_write, enum status status)
{
    struct test_write *test = (struct test_write *)pending_write;
    test->refused++;
    test->refusal = status;
    if (test->replacement.len == 0) return false;
    pending_write->kind = WRITE_RECORD;
    pending_write->record = test->replacement;
    return true;
}

static const struct write_ops ops = {on_done, on_refuse};

/* ---- the world ---- */

static inline void make_directory(PGconn *db)
{
    execute(db, "TRUNCATE organizations, users, memberships, schedules, default_schedules, processed_commands, "
                "command_offsets CASCADE");
    execute(db, "INSERT INTO organizations (id, name) VALUES (%d, 'org')", ORG);
    execute(db, "INSERT INTO users (id, name) VALUES (%d, 'a'), (%d, 'b')", USER, OTHER_USER);
    execute(db, "INSERT INTO memberships (org_id, user_id) VALUES (%d, %d), (%d, %d)", ORG, USER, ORG, OTHER_USER);
    execute(db, "INSERT INTO command_offsets VALUES ('commands', 0, 0), ('commands', 1, 0), ('commands', 2, 0)");
}

static inline void start_writer(struct world *world, const char *url)
{
    world->config.database_url = url;
    world->config.events.source = SLICE("/test");
    world->config.key_seconds = 3600;
    world->config.connections[WRITE_COMMANDS] = world->config.connections[WRITE_HTTP] = 2;
    world->config.connections[WRITE_DIRECTORY] = 1;
    world->writer = writer_new(world->base, &world->config);
    if (world->writer == NULL) return;
    struct position_mark mark = {0};
    if (world->db != NULL) mark = mark_here(world->db);
    writer_open(world->writer, &mark);
}

static inline int set_up_without_writer(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    *state = world;
    world->base = look_base_new(&world->look);
    world->db = connect_to(getenv("TEST_DATABASE_URL"));
    make_directory(world->db);
    make_slot(world->db, world->slot);
    world->partition = (struct partition){.topic = "commands", .number = 0};
    return 0;
}

static inline int set_up(void **state)
{
    set_up_without_writer(state);
    struct world *world = *state;
    world->config.lock_timeout_ms = world->config.statement_timeout_ms =
        10 * DEADLINE_S * 1000; /* what is blocked stays so */
    start_writer(world, getenv("TEST_DATABASE_URL"));
    assert_non_null(world->writer);
    return 0;
}

static inline int set_up_away(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    *state = world;
    world->base = look_base_new(&world->look);
    world->partition = (struct partition){.topic = "commands", .number = 0};
    start_writer(world, "host=127.0.0.1 port=1 dbname=none");
    assert_non_null(world->writer);
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    writer_free(world->writer);
    if (world->db != NULL) {
        drop_slot(world->db, world->slot);
        PQfinish(world->db);
    }
    event_free(world->look);
    event_base_free(world->base);
    free(world);
    return 0;
}

/* A good HTTP write of the user with a command id that no other number gives. */
static inline void make_write(struct test_write *test, uint64_t number)
{
    *test = (struct test_write){.pending_write = {.ops = &ops, .command = {.org_id = ORG, .user_id = USER}}};
    test->pending_write.command.command_id = uuid_v7(number, (const uint8_t *)"0123456789");
    test->pending_write.command.schedule =
        (struct schedule){.fields = SCHEDULE_ALL_FIELDS, .name = SLICE("work"), .time_zone = SLICE("Europe/Rome")};
    test->pending_write.deadline_us = clock_steady_us() + (int64_t)DEADLINE_S * 1000000;
}

static inline void make_command(struct test_write *test, uint64_t number, struct partition *partition, int64_t offset)
{
    make_write(test, number);
    test->pending_write.partition = partition;
    test->pending_write.offset = offset;
    test->pending_write.deadline_us = 0;
}

/* Makes it a change of the schedule, of no field. */
static inline void make_change(struct test_write *test, enum command_kind kind, int64_t schedule_id)
{
    test->pending_write.command.kind = kind;
    test->pending_write.command.schedule_id = schedule_id;
    test->pending_write.command.schedule = (struct schedule){0};
}

static inline void submit(struct world *world, struct test_write *tests, size_t len)
{
    for (size_t i = 0; i < len; i++) assert_int_equal(writer_submit(world->writer, &tests[i].pending_write), STATUS_OK);
}

/* Submits and waits until all are completed, each exactly once. */
static inline void store(struct world *world, struct test_write *tests, size_t len)
{
    int before = completed;
    submit(world, tests, len);
    assert_int_equal(completed, before); /* never from within submit */
    RUN_UNTIL(world->base, completed == before + (int)len);
    for (size_t i = 0; i < len; i++) assert_int_equal(tests[i].done, 1);
    assert_int_equal(writer_pending(world->writer), 0);
}

static inline int64_t rows(struct world *world)
{
    return query_number(world->db, "SELECT count(*) FROM schedules");
}

static inline int64_t stored_offset(struct world *world, int number)
{
    return query_number(world->db, "SELECT next_offset FROM command_offsets WHERE topic = 'commands' AND partition = %d",
                        number);
}

/* Rows and emitted events are the same number, and every row has its event. */
static inline void see_created(void *ctx, const struct record *record)
{
    struct world *world = ctx;
    struct slice id = header_named(record, "ce_subject");
    struct slice type = header_named(record, "ce_type");
    assert_true(slice_equal(type, SLICE("schedules.v1.ScheduleCreated")));
    assert_int_equal(query_number(world->db, "SELECT count(*) FROM schedules WHERE id = %.*s", (int)id.len, id.data), 1);
}

static inline void expect_rows_and_events(struct world *world, int64_t count)
{
    assert_int_equal(rows(world), count);
    assert_int_equal(emitted_records(world->db, world->slot, see_created, world), count);
}

static inline int64_t blocked_writers(struct world *world)
{
    return query_number(world->db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                                   "AND application_name = 'schedule-service writer' AND wait_event_type = 'Lock'");
}

/* Holds back every write until release. */
static inline PGconn *block_writes(void)
{
    PGconn *blocker = connect_to(getenv("TEST_DATABASE_URL"));
    execute(blocker, "BEGIN");
    execute(blocker, "LOCK TABLE schedules IN ACCESS EXCLUSIVE MODE");
    return blocker;
}

static inline void release(PGconn *blocker)
{
    execute(blocker, "COMMIT");
    PQfinish(blocker);
}

/* The port of this end of a socket; 0 when it is none. */
static inline in_port_t own_port(int fd)
{
    struct sockaddr_in own = {0};
    socklen_t len = sizeof(own);
    return getsockname(fd, (struct sockaddr *)&own, &len) == 0 && own.sin_family == AF_INET ? own.sin_port : 0;
}

/* The writer hears no more from the server, which goes on and commits: an outcome that nobody told. */
static inline int deafen(const struct world *world, const PGconn *blocker)
{
    int deafened = 0;
    for (int fd = 3; fd < 256; fd++) {
        in_port_t port = own_port(fd);
        if (port == 0 || port == own_port(PQsocket(world->db)) || port == own_port(PQsocket(blocker))) continue;
        deafened += shutdown(fd, SHUT_RD) == 0;
    }
    return deafened;
}

/* ---- samples ---- */

static const uint8_t days[] = {MONDAY, SUNDAY};
static const struct availability_window windows[] = {{days, 2, 540, 1020}};
static const struct date_override overrides[] = {{{2024, 5, 20}, 1080, 1260}};

static inline void make_record_bytes(struct buf *out)
{
    struct record record = {.topic = RECORD_EVENT, .key = SLICE("1"), .value = SLICE("rejected")};
    buf_init(out, 1000);
    record_add_header(&record, SLICE("ce_id"), SLICE("replacement"));
    record_pack(out, &record);
}

#endif
