/* Dead letters: what fits is kept whole, what does not is cut to the room that there is, and the headers tell. */
#include "support.h"

#include <openssl/sha.h>

#include "codec/dead_letter.h"

static const struct record_origin origin = {SLICE("commands"), 3, 12345678901};

/* A dead letter as it is read again. */
struct letter {
    struct buf packed;
    struct record record;
};

static struct slice filled(char c, size_t len)
{
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memset(bytes, c, len);
    return (struct slice){bytes, len};
}

static void make_letter(struct letter *letter, struct record *message, const char *reason, size_t bytes_max)
{
    buf_init(&letter->packed, 64 << 20);
    dead_letter_pack(&letter->packed, message, slice_of(reason), &origin, bytes_max);
    struct slice packed = buf_slice(&letter->packed);
    assert_false(letter->packed.failed);
    assert_true(record_take(&packed, &letter->record));
    assert_int_equal(packed.len, 0);
    assert_int_equal(letter->record.topic, RECORD_DEAD_LETTER);
    assert_true(record_wire_bytes(&letter->record) <=
                (bytes_max < DEAD_LETTER_BYTES_LEAST ? (size_t)DEAD_LETTER_BYTES_LEAST : bytes_max));
}

/* Fails when there is not exactly one of that name; data NULL when there is none. */
static struct slice header(const struct record *record, const char *name)
{
    struct slice value = {NULL, 0};
    for (size_t i = 0; i < record->headers_len; i++) {
        if (!slice_equal(record->headers[i].name, slice_of(name))) continue;
        assert_null(value.data);
        value = record->headers[i].value;
    }
    return value;
}

static void assert_sha256(struct slice text, struct slice of)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char want[65];
    SHA256((const unsigned char *)of.data, of.len, digest);
    for (size_t i = 0; i < sizeof(digest); i++) snprintf(want + 2 * i, 3, "%02x", digest[i]);
    assert_text(text, want);
}

static void assert_origin(const struct record *record, const char *reason)
{
    assert_text(header(record, "dead-letter-reason"), reason);
    assert_text(header(record, "dead-letter-topic"), "commands");
    assert_text(header(record, "dead-letter-partition"), "3");
    assert_text(header(record, "dead-letter-offset"), "12345678901");
}

static size_t count_of(const struct record *record, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < record->headers_len; i++) count += slice_equal(record->headers[i].name, slice_of(name));
    return count;
}

static void what_fits_is_kept_whole_to_the_last_byte(void **state)
{
    (void)state;
    struct record message;
    struct letter letter;
    struct slice value = filled('v', 100000);
    record_start(&message, RECORD_DEAD_LETTER, SLICE("key"), value);
    record_add_header(&message, SLICE("h"), SLICE("x"));
    make_letter(&letter, &message, "because", 1 << 20);
    size_t bytes = record_wire_bytes(&letter.record);
    buf_done(&letter.packed);
    for (size_t less = 0; less < 2; less++) {
        record_start(&message, RECORD_DEAD_LETTER, SLICE("key"), value);
        record_add_header(&message, SLICE("h"), SLICE("x"));
        make_letter(&letter, &message, "because", bytes - less);
        assert_origin(&letter.record, "because");
        assert_int_equal(header(&letter.record, "dead-letter-cut").data == NULL, less == 0);
        assert_int_equal(letter.record.value.len == value.len, less == 0);
        assert_text(header(&letter.record, "h"), "x");
        buf_done(&letter.packed);
    }
    free_copy(value);
}

static void a_long_value_is_cut_and_told(void **state)
{
    (void)state;
    struct record message;
    struct letter letter;
    struct slice value = filled('v', 40000000);
    record_start(&message, RECORD_DEAD_LETTER, SLICE("key"), value);
    record_add_header(&message, SLICE("h"), SLICE("x"));
    make_letter(&letter, &message, "because", DEAD_LETTER_BYTES_UNKNOWN);
    assert_origin(&letter.record, "because");
    assert_text(letter.record.key, "key");
    assert_text(header(&letter.record, "h"), "x");
    assert_text(header(&letter.record, "dead-letter-cut"), "value");
    assert_text(header(&letter.record, "dead-letter-value-bytes"), "40000000");
    assert_sha256(header(&letter.record, "dead-letter-value-sha256"), value);
    assert_null(header(&letter.record, "dead-letter-headers-left-out").data);
    assert_true(letter.record.value.len > 990000 && letter.record.value.len < DEAD_LETTER_BYTES_UNKNOWN);
    buf_done(&letter.packed);
    free_copy(value);
}

static void headers_without_a_place_are_counted(void **state)
{
    (void)state;
    struct record message;
    struct letter letter;
    record_start(&message, RECORD_DEAD_LETTER, SLICE("k"), SLICE("v"));
    for (int i = 0; i < 300; i++) record_add_header(&message, SLICE("h"), SLICE("x"));
    make_letter(&letter, &message, "because", 1 << 20);
    assert_origin(&letter.record, "because");
    assert_text(header(&letter.record, "dead-letter-cut"), "headers");
    size_t kept = count_of(&letter.record, "h");
    char left_out[24];
    snprintf(left_out, sizeof(left_out), "%zu", 300 - kept);
    assert_text(header(&letter.record, "dead-letter-headers-left-out"), left_out);
    assert_true(kept >= 110);
    assert_text(letter.record.value, "v");
    buf_done(&letter.packed);
}

/* As many as there is a place for are all there, and one more is told. */
static void the_last_header_with_a_place_is_kept(void **state)
{
    (void)state;
    for (int count = 120; count <= RECORD_HEADERS_MAX; count++) {
        struct record message;
        struct letter letter;
        record_start(&message, RECORD_DEAD_LETTER, SLICE("k"), SLICE("v"));
        for (int i = 0; i < count; i++) record_add_header(&message, SLICE("h"), SLICE("x"));
        make_letter(&letter, &message, "because", 1 << 20);
        assert_origin(&letter.record, "because");
        size_t kept = count_of(&letter.record, "h");
        assert_int_equal(kept == (size_t)count, count <= 124);
        assert_int_equal(header(&letter.record, "dead-letter-headers-left-out").data == NULL, count <= 124);
        buf_done(&letter.packed);
    }
}

static void long_keys_and_headers_leave_each_other_room(void **state)
{
    (void)state;
    struct record message;
    struct letter letter;
    struct slice key = filled('k', 3000000);
    struct slice value = filled('v', 5000000);
    struct slice big = filled('h', 2000000);
    record_start(&message, RECORD_DEAD_LETTER, key, value);
    record_add_header(&message, SLICE("first"), SLICE("1"));
    record_add_header(&message, SLICE("big"), big);
    record_add_header(&message, SLICE("last"), SLICE("3"));
    make_letter(&letter, &message, "because", 1000000);
    assert_origin(&letter.record, "because");
    assert_text(header(&letter.record, "dead-letter-cut"), "key,headers,value");
    assert_text(header(&letter.record, "dead-letter-key-bytes"), "3000000");
    assert_sha256(header(&letter.record, "dead-letter-key-sha256"), key);
    assert_text(header(&letter.record, "dead-letter-headers-left-out"), "1");
    assert_text(header(&letter.record, "first"), "1");
    assert_text(header(&letter.record, "last"), "3");
    assert_true(letter.record.key.len > 200000 && letter.record.value.len > 200000);
    buf_done(&letter.packed);
    free_copy(key);
    free_copy(value);
    free_copy(big);
}

static void a_long_key_alone_takes_what_is_free(void **state)
{
    (void)state;
    struct record message;
    struct letter letter;
    struct slice key = filled('k', 900000);
    record_start(&message, RECORD_DEAD_LETTER, key, SLICE("v"));
    for (int i = 0; i < 200; i++) record_add_header(&message, SLICE("h"), SLICE("x")); /* cut for these alone */
    make_letter(&letter, &message, "because", 1000000);
    assert_int_equal(letter.record.key.len, 900000);
    assert_text(header(&letter.record, "dead-letter-cut"), "headers");
    buf_done(&letter.packed);
    free_copy(key);
}

static void no_room_leaves_what_tells_where_it_was(void **state)
{
    (void)state;
    for (size_t bytes_max = 0; bytes_max <= DEAD_LETTER_BYTES_LEAST; bytes_max += DEAD_LETTER_BYTES_LEAST / 3) {
        struct record message;
        struct letter letter;
        struct slice value = filled('v', 20000);
        struct slice reason = filled('r', 10000);
        ((char *)(uintptr_t)reason.data)[10000] = '\0';
        record_start(&message, RECORD_DEAD_LETTER, (struct slice){NULL, 0}, value);
        for (int i = 0; i < 300; i++) record_add_header(&message, SLICE("h"), SLICE("x"));
        make_letter(&letter, &message, reason.data, bytes_max);
        assert_int_equal(header(&letter.record, "dead-letter-reason").len, DEAD_LETTER_REASON_MAX);
        assert_text(header(&letter.record, "dead-letter-value-bytes"), "20000");
        assert_null(letter.record.key.data);
        buf_done(&letter.packed);
        free_copy(value);
        free_copy(reason);
    }
}

static void a_second_cut_keeps_what_the_first_noted(void **state)
{
    (void)state;
    struct record message;
    struct letter letter;
    struct dead_letter_texts texts;
    struct slice value = filled('v', 400000);
    record_start(&message, RECORD_DEAD_LETTER, SLICE("key"), value);
    for (int i = 0; i < 200; i++) record_add_header(&message, SLICE("h"), SLICE("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    make_letter(&letter, &message, "because", 300000);
    for (size_t bytes_max = 200000; bytes_max > DEAD_LETTER_BYTES_LEAST; bytes_max = bytes_max / 3 * 2) {
        assert_true(dead_letter_cut(&letter.record, bytes_max, &texts));
        assert_origin(&letter.record, "because");
        assert_text(header(&letter.record, "dead-letter-cut"), "headers,value");
        assert_text(header(&letter.record, "dead-letter-value-bytes"), "400000");
        assert_sha256(header(&letter.record, "dead-letter-value-sha256"), value);
        struct slice left_out = header(&letter.record, "dead-letter-headers-left-out");
        assert_int_equal(strtoull(left_out.data, NULL, 10), 200 - count_of(&letter.record, "h"));
    }
    assert_false(dead_letter_cut(&letter.record, 100, &texts)); /* its own headers do not fit */
    buf_done(&letter.packed);
    free_copy(value);
}

static void a_record_of_another_kind_is_cut_alike(void **state)
{
    (void)state;
    struct record record;
    struct dead_letter_texts texts;
    struct slice value = filled('v', 400000);
    record_start(&record, RECORD_EVENT, SLICE("478"), value);
    record_add_header(&record, SLICE("ce_id"), SLICE("commands/3/7"));
    assert_true(dead_letter_cut(&record, 500000, &texts));
    assert_int_equal(record.headers_len, 1);
    assert_true(dead_letter_cut(&record, 100000, &texts));
    assert_text(header(&record, "ce_id"), "commands/3/7");
    assert_text(header(&record, "dead-letter-cut"), "value");
    assert_text(header(&record, "dead-letter-value-bytes"), "400000");
    assert_true(record_wire_bytes(&record) <= 100000);
    free_copy(value);
}

/* Who mends a dead letter and sends it again may send its headers along. */
static void the_headers_of_an_earlier_burial_are_replaced(void **state)
{
    (void)state;
    struct record message;
    struct letter letter;
    record_start(&message, RECORD_DEAD_LETTER, SLICE("k"), SLICE("v"));
    record_add_header(&message, SLICE("dead-letter-reason"), SLICE("an older one"));
    record_add_header(&message, SLICE("dead-letter-cut"), SLICE("value"));
    record_add_header(&message, SLICE("dead-letter-value-bytes"), SLICE("12345678"));
    record_add_header(&message, SLICE("mine"), SLICE("1"));
    make_letter(&letter, &message, "because", 1 << 20);
    assert_origin(&letter.record, "because");
    assert_null(header(&letter.record, "dead-letter-cut").data);
    assert_null(header(&letter.record, "dead-letter-value-bytes").data);
    assert_text(header(&letter.record, "mine"), "1");
    assert_int_equal(letter.record.headers_len, 5);
    buf_done(&letter.packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_kept_whole_to_the_last_byte),
        cmocka_unit_test(a_long_value_is_cut_and_told),
        cmocka_unit_test(headers_without_a_place_are_counted),
        cmocka_unit_test(the_last_header_with_a_place_is_kept),
        cmocka_unit_test(long_keys_and_headers_leave_each_other_room),
        cmocka_unit_test(a_long_key_alone_takes_what_is_free),
        cmocka_unit_test(no_room_leaves_what_tells_where_it_was),
        cmocka_unit_test(a_second_cut_keeps_what_the_first_noted),
        cmocka_unit_test(a_record_of_another_kind_is_cut_alike),
        cmocka_unit_test(the_headers_of_an_earlier_burial_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
