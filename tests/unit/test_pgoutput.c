/* The decoder of the replication stream and the positions it speaks of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/buf.h"
#include "core/lsn.h"
#include "relay/pgoutput.h"

static void put_number(struct buf *out, size_t len, uint64_t number)
{
    for (size_t i = len; i-- > 0;) buf_append_char(out, (char)(number >> (8 * i)));
}

static void start_xlog_data(struct buf *out, char type)
{
    buf_init(out, 4096);
    buf_append_char(out, 'w');
    put_number(out, 8, 0x1000);
    put_number(out, 8, 0x2000);
    put_number(out, 8, 42);
    buf_append_char(out, type);
}

static void make_begin(struct buf *out)
{
    start_xlog_data(out, 'B');
    put_number(out, 8, UINT64_C(0x1600000010));
    put_number(out, 8, 1000000);
    put_number(out, 4, 777);
}

static void make_commit(struct buf *out)
{
    start_xlog_data(out, 'C');
    put_number(out, 1, 0);
    put_number(out, 8, UINT64_C(0x1600000010));
    put_number(out, 8, UINT64_C(0x1600000040));
    put_number(out, 8, 1000000);
}

static void make_message(struct buf *out, unsigned int flags)
{
    start_xlog_data(out, 'M');
    put_number(out, 1, flags);
    put_number(out, 8, 0x99);
    buf_append(out, "prefix", 7);
    put_number(out, 4, 3);
    buf_append(out, "a\0b", 3);
}

static void make_keepalive(struct buf *out)
{
    buf_init(out, 4096);
    buf_append_char(out, 'k');
    put_number(out, 8, UINT64_C(0xFFFFFFFFFFFFFFFE));
    put_number(out, 8, 42);
    put_number(out, 1, 1);
}

/* From memory of exactly that size, so that the address sanitizer sees any byte read behind it. */
static bool decode_prefix(struct slice bytes, size_t len, struct pgoutput *ret)
{
    char *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    if (len > 0) memcpy(copy, bytes.data, len);
    bool ok = pgoutput_decode((struct slice){copy, len}, ret);
    free(copy);
    return ok;
}

static void expect_truncations_refused(struct buf *bytes)
{
    struct pgoutput message;
    for (size_t len = 0; len < bytes->len; len++) assert_false(decode_prefix(buf_slice(bytes), len, &message));
    assert_true(decode_prefix(buf_slice(bytes), bytes->len, &message));
    buf_done(bytes);
}

static void decodes_begin(void **state)
{
    (void)state;
    struct buf bytes;
    struct pgoutput message;
    make_begin(&bytes);
    assert_true(pgoutput_decode(buf_slice(&bytes), &message));
    assert_int_equal(message.kind, PGOUTPUT_BEGIN);
    assert_int_equal(message.commit_lsn, 0x1600000010);
    assert_int_equal(message.commit_us, 946684801000000);
    expect_truncations_refused(&bytes);
}

static void decodes_commit(void **state)
{
    (void)state;
    struct buf bytes;
    struct pgoutput message;
    make_commit(&bytes);
    assert_true(pgoutput_decode(buf_slice(&bytes), &message));
    assert_int_equal(message.kind, PGOUTPUT_COMMIT);
    assert_int_equal(message.commit_lsn, 0x1600000010);
    assert_int_equal(message.end_lsn, 0x1600000040);
    assert_int_equal(message.commit_us, 946684801000000);
    expect_truncations_refused(&bytes);
}

static void decodes_message(void **state)
{
    (void)state;
    struct buf bytes;
    struct pgoutput message;
    make_message(&bytes, 1);
    assert_true(pgoutput_decode(buf_slice(&bytes), &message));
    assert_int_equal(message.kind, PGOUTPUT_MESSAGE);
    assert_true(message.transactional);
    assert_true(slice_equal(message.prefix, SLICE("prefix")));
    assert_true(slice_equal(message.content, SLICE("a\0b")));
    expect_truncations_refused(&bytes);
}

static void tells_messages_outside_transactions(void **state)
{
    (void)state;
    struct buf bytes;
    struct pgoutput message;
    make_message(&bytes, 0);
    assert_true(pgoutput_decode(buf_slice(&bytes), &message));
    assert_false(message.transactional);
    buf_done(&bytes);
}

static void decodes_keepalive(void **state)
{
    (void)state;
    struct buf bytes;
    struct pgoutput message;
    make_keepalive(&bytes);
    assert_true(pgoutput_decode(buf_slice(&bytes), &message));
    assert_int_equal(message.kind, PGOUTPUT_KEEPALIVE);
    assert_true(message.wal_end == UINT64_C(0xFFFFFFFFFFFFFFFE));
    assert_true(message.reply_requested);
    expect_truncations_refused(&bytes);
}

static void passes_over_what_it_does_not_know(void **state)
{
    (void)state;
    static const char types[] = {'R', 'I', 'U', 'D', 'T', 'O', 'Y', 'S', '?', '\0'};
    for (size_t i = 0; i < sizeof(types); i++) {
        struct buf bytes;
        struct pgoutput message;
        start_xlog_data(&bytes, types[i]);
        assert_true(pgoutput_decode(buf_slice(&bytes), &message));
        assert_int_equal(message.kind, PGOUTPUT_OTHER);
        buf_done(&bytes);
    }
}

static void refuses_other_envelopes(void **state)
{
    (void)state;
    struct pgoutput message;
    assert_false(pgoutput_decode(SLICE("x123456789012345678901234567890"), &message));
    assert_false(pgoutput_decode((struct slice){NULL, 0}, &message));
}

static void refuses_a_length_beyond_the_input(void **state)
{
    (void)state;
    struct buf bytes;
    struct pgoutput message;
    start_xlog_data(&bytes, 'M');
    put_number(&bytes, 1, 1);
    put_number(&bytes, 8, 0);
    buf_append(&bytes, "", 1);
    put_number(&bytes, 4, 0xFFFFFFFF);
    buf_append(&bytes, "abc", 3);
    assert_false(pgoutput_decode(buf_slice(&bytes), &message));
    buf_done(&bytes);
}

static void positions_go_to_text_and_back(void **state)
{
    (void)state;
    static const uint64_t lsns[] = {0, 1, 0xFFFFFFFF, UINT64_C(0x16B374D848), UINT64_MAX};
    for (size_t i = 0; i < sizeof(lsns) / sizeof(lsns[0]); i++) {
        char text[LSN_TEXT_MAX];
        uint64_t lsn = 5;
        assert_true(lsn_parse(slice_of(lsn_format(lsns[i], text)), &lsn));
        assert_true(lsn == lsns[i]);
    }
    char text[LSN_TEXT_MAX];
    assert_string_equal(lsn_format(UINT64_C(0x16B374D848), text), "16/B374D848");
}

static void refuses_what_is_no_position(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "/",    "1/",          "/1",          "1",   "1/2/3",
                                        "G/1", "1/2 ", "123456789/0", "0/123456789", "-1/0"};
    uint64_t lsn;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) assert_false(lsn_parse(slice_of(texts[i]), &lsn));
    assert_false(lsn_parse((struct slice){NULL, 0}, &lsn));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_begin),
        cmocka_unit_test(decodes_commit),
        cmocka_unit_test(decodes_message),
        cmocka_unit_test(tells_messages_outside_transactions),
        cmocka_unit_test(decodes_keepalive),
        cmocka_unit_test(passes_over_what_it_does_not_know),
        cmocka_unit_test(refuses_other_envelopes),
        cmocka_unit_test(refuses_a_length_beyond_the_input),
        cmocka_unit_test(positions_go_to_text_and_back),
        cmocka_unit_test(refuses_what_is_no_position),
    };
    return cmocka_run_group_tests_name("pgoutput", tests, NULL, NULL);
}
