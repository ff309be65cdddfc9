/* What a record of the progress topic says, of this build and of earlier ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/progress_record.h"

static bool are_equal(const struct progress *a, const struct progress *b)
{
    return a->lsn == b->lsn && a->timeline == b->timeline && a->final_lsn == b->final_lsn &&
           a->commit_lsn == b->commit_lsn && a->records == b->records && a->highest_id == b->highest_id;
}

static void expect_kept(struct progress progress)
{
    char text[PROGRESS_TEXT_MAX];
    struct record record;
    struct progress decoded;
    progress_encode(&progress, SLICE("source"), text, &record);
    assert_true(slice_equal(record.key, SLICE("source")));
    assert_true(progress_decode(&record, &decoded));
    assert_true(are_equal(&progress, &decoded));
}

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    expect_kept((struct progress){0});
    expect_kept((struct progress){.lsn = 0x1600000040});
    expect_kept((struct progress){.lsn = 0x1600000040, .timeline = 3, .highest_id = 7001});
    expect_kept((struct progress){.lsn = 1, .commit_lsn = 0x1600000080, .records = 50000});
    expect_kept((struct progress){.lsn = 0x1600000040, .timeline = 3, .final_lsn = 0x1500000040});
    expect_kept((struct progress){UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, INT64_MAX});
}

static void the_value_is_what_earlier_builds_write_and_read(void **state)
{
    (void)state;
    char text[PROGRESS_TEXT_MAX];
    struct record record;
    const struct progress whole = {.lsn = 0x1600000040};
    progress_encode(&whole, SLICE("source"), text, &record);
    assert_true(slice_equal(record.value, SLICE("16/40")));
    assert_int_equal(record.headers_len, 0);
    const struct progress partial = {.lsn = 0x1600000040, .timeline = 2, .commit_lsn = 0x1700000000, .records = 9};
    progress_encode(&partial, SLICE("source"), text, &record);
    assert_true(slice_equal(record.value, SLICE("16/40")));
}

static bool decodes(struct slice value, struct slice name, struct slice header, struct progress *ret_progress)
{
    struct record record = {.value = value};
    record_add_header(&record, name, header);
    return progress_decode(&record, ret_progress);
}

static void other_headers_are_passed_over(void **state)
{
    (void)state;
    struct progress progress;
    assert_true(decodes(SLICE("0/10"), SLICE("of-a-later-build"), SLICE("x"), &progress));
    assert_true(are_equal(&progress, &(struct progress){.lsn = 0x10}));
}

static void what_is_no_progress_is_refused(void **state)
{
    (void)state;
    struct progress progress;
    assert_false(decodes(SLICE("nonsense"), SLICE("timeline"), SLICE("1"), &progress));
    assert_false(decodes(SLICE("0/10"), SLICE("timeline"), SLICE("4294967296"), &progress));
    assert_false(decodes(SLICE("0/10"), SLICE("timeline"), SLICE("-1"), &progress));
    assert_false(decodes(SLICE("0/10"), SLICE("timeline"), (struct slice){NULL, 0}, &progress));
    assert_false(decodes(SLICE("0/10"), SLICE("highest-id"), SLICE("9223372036854775808"), &progress));
    assert_false(decodes(SLICE("0/10"), SLICE("commit-lsn"), SLICE("10"), &progress));
    assert_false(decodes(SLICE("0/10"), SLICE("commit-lsn"), SLICE("0/20"), &progress)); /* and no number of records */
    assert_false(decodes(SLICE("0/10"), SLICE("commit-records"), SLICE("18446744073709551616"), &progress));
    assert_false(decodes(SLICE("0/10"), SLICE("commit-records"), SLICE("5"), &progress)); /* of none */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(the_value_is_what_earlier_builds_write_and_read),
        cmocka_unit_test(other_headers_are_passed_over),
        cmocka_unit_test(what_is_no_progress_is_refused),
    };
    return cmocka_run_group_tests_name("progress_record", tests, NULL, NULL);
}
