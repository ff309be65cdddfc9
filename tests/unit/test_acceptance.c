/* What a relay makes of the server that it finds, and where publishing continues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/acceptance.h"

/* On timeline 2, which left 1 at 500; the slot has confirmed 300. */
static struct wal_source switched_at_500(void)
{
    struct wal_source source = {.confirmed = 300, .server_end = 1000};
    source.history.timeline = 2;
    source.history.ancestors[0] = (struct timeline_ancestor){1, 500};
    source.history.ancestors_len = 1;
    return source;
}

static void expect_verdict(const struct wal_source *source, struct progress progress, enum verdict verdict)
{
    assert_int_equal(acceptance_decide(source, &progress), verdict);
}

static void the_verdict_is_by_timeline_and_position(void **state)
{
    (void)state;
    const struct wal_source source = switched_at_500();
    expect_verdict(&source, (struct progress){0}, VERDICT_FIRST);
    expect_verdict(&source, (struct progress){.lsn = 400}, VERDICT_UNMARKED);
    expect_verdict(&source, (struct progress){.lsn = 400, .timeline = 2}, VERDICT_SAME);
    expect_verdict(&source, (struct progress){.lsn = 400, .timeline = 1}, VERDICT_SWITCHED);
    expect_verdict(&source, (struct progress){.lsn = 1001, .timeline = 2}, VERDICT_SET_BACK);
    expect_verdict(&source, (struct progress){.lsn = 299, .timeline = 2}, VERDICT_FOREIGN_SLOT);
    expect_verdict(&source, (struct progress){.lsn = 400, .timeline = 3}, VERDICT_FOREIGN_TIMELINE);
}

static void expect_next(enum verdict verdict, struct progress progress, struct progress next)
{
    const struct wal_source source = switched_at_500();
    struct progress got = acceptance_progress(verdict, &source, &progress);
    assert_int_equal(got.lsn, next.lsn);
    assert_int_equal(got.final_lsn, next.final_lsn);
    assert_int_equal(got.commit_lsn, next.commit_lsn);
    assert_int_equal(got.records, next.records);
    assert_int_equal(got.timeline, 2);
}

/* What is final stays so up to the switch; earlier builds did not tell what is. */
static void what_was_switched_from_continues_where_it_is_shared(void **state)
{
    (void)state;
    expect_next(VERDICT_SWITCHED, (struct progress){.lsn = 400, .timeline = 1, .final_lsn = 350},
                (struct progress){.lsn = 400, .final_lsn = 350});
    expect_next(VERDICT_SWITCHED, (struct progress){.lsn = 700, .timeline = 1, .final_lsn = 650},
                (struct progress){.lsn = 500, .final_lsn = 500});
    expect_next(VERDICT_SWITCHED, (struct progress){.lsn = 400, .timeline = 1},
                (struct progress){.lsn = 400, .final_lsn = 400});
    expect_next(VERDICT_SWITCHED,
                (struct progress){.lsn = 400, .timeline = 1, .final_lsn = 350, .commit_lsn = 450, .records = 7},
                (struct progress){.lsn = 400, .final_lsn = 350, .commit_lsn = 450, .records = 7});
    expect_next(VERDICT_SWITCHED,
                (struct progress){.lsn = 400, .timeline = 1, .final_lsn = 350, .commit_lsn = 550, .records = 7},
                (struct progress){.lsn = 400, .final_lsn = 350});
}

static void what_is_new_continues_from_the_slot(void **state)
{
    (void)state;
    expect_next(VERDICT_FIRST, (struct progress){0}, (struct progress){.lsn = 300, .final_lsn = 300});
    expect_next(VERDICT_SET_BACK,
                (struct progress){.lsn = 2000, .timeline = 2, .final_lsn = 1900, .commit_lsn = 2100, .records = 1},
                (struct progress){.lsn = 300, .final_lsn = 300});
    expect_next(VERDICT_UNMARKED, (struct progress){.lsn = 200}, (struct progress){.lsn = 300, .final_lsn = 300});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verdict_is_by_timeline_and_position),
        cmocka_unit_test(what_was_switched_from_continues_where_it_is_shared),
        cmocka_unit_test(what_is_new_continues_from_the_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
