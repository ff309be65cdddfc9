/* What the component tests share: each test in a process of its own (a process has one writer and one consumer, as the service
 * does), SQL from the side, and running the event loop until something is so. */
#ifndef TESTS_COMPONENT_SUPPORT_H
#define TESTS_COMPONENT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <event2/event.h>
#include <libpq-fe.h>

#include "codec/record.h"
#include "driver/clock.h"
#include "driver/log.h"
#include "relay/wal_record.h"
#include "store/position.h"

#define ARRAY_LEN(array_) (sizeof(array_) / sizeof((array_)[0]))

enum { DEADLINE_S = 60, LOOK_EVERY_US = 3000, NAME_LEN = 64 };

/* Runs the loop until the condition holds; fails the test at the deadline. The base needs an event that keeps coming. */
#define RUN_UNTIL(base_, condition_)                                                         \
    do {                                                                                     \
        int64_t run_deadline_ = clock_steady_us() + (int64_t)DEADLINE_S * 1000000;           \
        while (!(condition_)) {                                                              \
            if (clock_steady_us() > run_deadline_) fail_msg("waited in vain: " #condition_); \
            event_base_loop((base_), EVLOOP_ONCE);                                           \
        }                                                                                    \
    } while (0)

/* The same without running the loop: for what only the servers do. */
#define WAIT_UNTIL(condition_)                                                                \
    do {                                                                                      \
        int64_t wait_deadline_ = clock_steady_us() + (int64_t)DEADLINE_S * 1000000;           \
        while (!(condition_)) {                                                               \
            if (clock_steady_us() > wait_deadline_) fail_msg("waited in vain: " #condition_); \
            usleep(LOOK_EVERY_US);                                                            \
        }                                                                                     \
    } while (0)

/* Where the server stands now, accepted. */
static inline struct position_mark mark_here(PGconn *db)
{
    enum { BINARY_ROWS = 1 };
    struct position position;
    struct position_mark mark = {0};
    PGresult *result = PQexecParams(db, "SELECT " POSITION_COLUMNS, 0, NULL, NULL, NULL, NULL, BINARY_ROWS);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) fail_msg("%s", PQerrorMessage(db));
    position_read(result, 0, &position);
    position_note(&position, &mark);
    PQclear(result);
    return mark;
}

static inline void on_look(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    (void)ctx;
}

/* A base whose loop comes back every few milliseconds; *ret_look is to be freed before it. */
static inline struct event_base *look_base_new(struct event **ret_look)
{
    struct event_base *base = event_base_new();
    assert_non_null(base);
    *ret_look = event_new(base, -1, EV_PERSIST, on_look, NULL);
    assert_non_null(*ret_look);
    event_add(*ret_look, &(struct timeval){.tv_usec = LOOK_EVERY_US});
    return base;
}

/* ---- SQL ---- */

static inline PGconn *connect_to(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK) fail_msg("%s", PQerrorMessage(conn));
    PQclear(PQexec(conn, "SET client_min_messages = warning"));
    return conn;
}

static inline PGresult *vquery(PGconn *conn, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static inline PGresult *vquery(PGconn *conn, const char *format, va_list args)
{
    char sql[2048];
    int len = vsnprintf(sql, sizeof(sql), format, args);
    assert_true(len > 0 && (size_t)len < sizeof(sql));
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail_msg("%s: %s", sql, PQerrorMessage(conn));
    return result;
}

static inline void execute(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void execute(PGconn *conn, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PQclear(vquery(conn, format, args));
    va_end(args);
}

/* The first field of the first row as a number; -1 when there is no row or it is null. */
static inline int64_t query_number(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline int64_t query_number(PGconn *conn, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PGresult *result = vquery(conn, format, args);
    va_end(args);
    bool is_null = PQntuples(result) == 0 || PQgetisnull(result, 0, 0);
    int64_t number = is_null ? -1 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return number;
}

/* The first field of the first row is this text. */
static inline void expect_query_at(PGconn *conn, const char *want, int line, const char *file, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static inline void expect_query_at(PGconn *conn, const char *want, int line, const char *file, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PGresult *result = vquery(conn, format, args);
    va_end(args);
    const char *got = PQntuples(result) == 0 ? "(no row)" : PQgetvalue(result, 0, 0);
    bool same = strcmp(got, want) == 0;
    if (!same) print_error("got  %s\nwant %s\n", got, want);
    PQclear(result);
    if (!same) _fail(file, line);
}

#define EXPECT_QUERY(conn_, want_, ...) expect_query_at((conn_), (want_), __LINE__, __FILE__, __VA_ARGS__)

/* ---- the events that were emitted: a slot of the test's own ---- */

/* Names must be the process's own: servers have one list of slots. */
static inline void make_slot(PGconn *conn, char slot[NAME_LEN])
{
    snprintf(slot, NAME_LEN, "test_%d", (int)getpid());
    execute(conn, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", slot);
}

static inline void drop_slot(PGconn *conn, const char *slot)
{
    execute(conn, "SELECT pg_drop_replication_slot('%s')", slot);
}

/* Counts the records that were committed since the slot was made, and shows them to see in the order of the commits. */
static inline size_t emitted_records(PGconn *conn, const char *slot, void (*see)(void *ctx, const struct record *record),
                                     void *ctx)
{
    static const struct event_context events = {SLICE("/test"), false};
    char sql[512];
    size_t count = 0;
    struct buf scratch;
    buf_init(&scratch, 32 << 20);
    snprintf(sql, sizeof(sql),
             "SELECT 'w\\000'::bytea || decode(repeat('00', 23), 'hex') || data FROM "
             "pg_logical_slot_peek_binary_changes('%s', NULL, NULL, 'proto_version', '1', 'publication_names', "
             "'schedule_service', 'messages', 'true') WHERE get_byte(data, 0) = ascii('M')",
             slot);
    PGresult *result = PQexecParams(conn, sql, 0, NULL, NULL, NULL, NULL, 1);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) fail_msg("%s", PQerrorMessage(conn));
    for (int row = 0; row < PQntuples(result); row++) {
        struct pgoutput message; /* as it comes: with a header of positions and time */
        struct record record;
        const struct slice bytes = {PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0)};
        assert_true(pgoutput_decode(bytes, &message));
        assert_true(wal_record_is_in(&message));
        do {
            assert_int_equal(wal_record_take(&message, &events, &scratch, &record), STATUS_OK);
            count++;
            if (see != NULL) see(ctx, &record);
        } while (message.content.len > 0);
    }
    PQclear(result);
    buf_done(&scratch);
    return count;
}

static inline struct slice header_named(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->headers_len; i++) {
        if (slice_equal(record->headers[i].name, slice_of(name))) return record->headers[i].value;
    }
    return (struct slice){NULL, 0};
}

/* ---- running ---- */

/* Each test in a child; a name in argv picks those that contain it. The number of tests that failed. */
static inline int run_each_in_a_process(int argc, char **argv, const struct CMUnitTest *tests, size_t len)
{
    int failed = 0;
    int ran = 0;
    for (size_t i = 0; i < len; i++) {
        int status = 0;
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL) continue;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) exit(_cmocka_run_group_tests(tests[i].name, &tests[i], 1, NULL, NULL));
        ran++;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "FAILED: %s (wait status %d)\n", tests[i].name, status);
            failed++;
        }
    }
    fprintf(stderr, "%d of %d tests passed\n", ran - failed, ran);
    return failed == 0 && ran > 0 ? 0 : 1;
}

/* TEST_LOG=1 shows the service's log lines. False when a variable is missing. */
static inline bool component_init(const char *const *variables)
{
    for (; *variables != NULL; variables++) {
        if (getenv(*variables) != NULL) continue;
        fprintf(stderr, "%s is not set\n", *variables);
        return false;
    }
    log_configure((enum log_level)(getenv("TEST_LOG") == NULL ? LOG_LEVEL_ERROR + 1 : LOG_LEVEL_DEBUG), false);
    return true;
}

#endif
