/* Which server is still the one that was accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/position.h"

enum { SERVER = 77, OTHER_SERVER = 78 };

static struct position at(int64_t inserted, int64_t flushed)
{
    return (struct position){SERVER, 2, inserted, flushed};
}

/* Accepted at 1000, and seen at 3000 since, when all up to 2000 was durable. */
static struct position_mark seen_mark(void)
{
    struct position_mark mark = {0};
    position_note(&(struct position){SERVER, 2, 1000, 900}, &mark);
    position_note(&(struct position){SERVER, 2, 2000, 2000}, &mark);
    position_note(&(struct position){SERVER, 2, 3000, 2500}, &mark);
    return mark;
}

static void nothing_is_accepted_at_first(void **state)
{
    (void)state;
    const struct position_mark none = {0};
    const struct position standby = {0};
    const struct position somewhere = at(1000, 1000);
    assert_false(position_is_at(&somewhere, &none));
    assert_false(position_is_at(&standby, &none));
}

static void the_same_server_further_on_is_the_accepted_one(void **state)
{
    (void)state;
    const struct position_mark mark = seen_mark();
    const struct position further = at(9000, 9000);
    assert_true(position_is_at(&further, &mark));
}

static void a_crash_that_takes_back_what_was_not_durable_is_none_of_a_set_back(void **state)
{
    (void)state;
    const struct position_mark mark = seen_mark();
    const struct position after_crash = at(2400, 2400);
    assert_int_equal(mark.durable, 2000);
    assert_true(position_is_at(&after_crash, &mark));
}

static void a_set_back_server_is_another_one(void **state)
{
    (void)state;
    const struct position_mark mark = seen_mark();
    const struct position set_back = at(1999, 1999);
    assert_false(position_is_at(&set_back, &mark));
}

static void another_server_timeline_or_a_standby_is_another_one(void **state)
{
    (void)state;
    const struct position_mark mark = seen_mark();
    assert_false(position_is_at(&(struct position){OTHER_SERVER, 2, 9000, 9000}, &mark));
    assert_false(position_is_at(&(struct position){SERVER, 3, 9000, 9000}, &mark));
    assert_false(position_is_at(&(struct position){SERVER, 1, 9000, 9000}, &mark));
    assert_false(position_is_at(&(struct position){0}, &mark));
}

static void what_is_accepted_anew_is_seen_anew(void **state)
{
    (void)state;
    struct position_mark mark = seen_mark();
    position_note(&(struct position){SERVER, 3, 500, 500}, &mark);
    assert_true(position_is_at(&(struct position){SERVER, 3, 500, 500}, &mark));
    assert_false(position_is_at(&(struct position){SERVER, 2, 9000, 9000}, &mark));
    mark = seen_mark();
    const struct position set_back = at(1500, 1500);
    position_note(&set_back, &mark);
    assert_true(position_is_at(&set_back, &mark));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_accepted_at_first),
        cmocka_unit_test(the_same_server_further_on_is_the_accepted_one),
        cmocka_unit_test(a_crash_that_takes_back_what_was_not_durable_is_none_of_a_set_back),
        cmocka_unit_test(a_set_back_server_is_another_one),
        cmocka_unit_test(another_server_timeline_or_a_standby_is_another_one),
        cmocka_unit_test(what_is_accepted_anew_is_seen_anew),
    };
    return cmocka_run_group_tests_name("position", tests, NULL, NULL);
}
