/* Endpoints in memory: found by id and by owner, and what each of them wants. */
#include "support.h"

#include "webhook/webhook_endpoints.h"

enum { MANY = 5000, OWNERS = 50 };

static struct uuid id_of(uint32_t number)
{
    struct uuid id = {{0}};
    memcpy(id.bytes + 12, &number, sizeof(number));
    return id;
}

static size_t count_of(const struct endpoints *endpoints, bool is_of_user, int64_t owner_id)
{
    size_t count = 0;
    for (const struct endpoint *endpoint = endpoints_of(endpoints, is_of_user, owner_id); endpoint != NULL;
         endpoint = endpoints_next_of(endpoint)) {
        assert_int_equal(endpoint->owner_id, owner_id);
        assert_int_equal(endpoint->is_of_user, is_of_user);
        count++;
    }
    return count;
}

static struct endpoints *fill(void)
{
    struct endpoints *endpoints = endpoints_new();
    assert_non_null(endpoints);
    for (uint32_t i = 0; i < MANY; i++) {
        struct uuid id = id_of(i);
        assert_non_null(endpoints_add(endpoints, &id, i % 2 == 0, i % OWNERS));
    }
    return endpoints;
}

static void endpoints_are_found_by_id_and_by_owner(void **state)
{
    struct endpoints *endpoints = fill();
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        struct uuid id = id_of(i);
        assert_int_equal(endpoints_find(endpoints, &id)->owner_id, i % OWNERS);
    }
    for (int64_t owner = 0; owner < OWNERS; owner++) {
        assert_int_equal(count_of(endpoints, true, owner), owner % 2 == 0 ? MANY / OWNERS : 0);
        assert_int_equal(count_of(endpoints, false, owner), owner % 2 == 0 ? 0 : MANY / OWNERS);
    }
    assert_int_equal(endpoints_count_of_organizations(endpoints), MANY / 2);
    endpoints_free(endpoints);
}

static void all_are_visited_once(void **state)
{
    struct endpoints *endpoints = fill();
    size_t count = 0;
    (void)state;
    for (struct endpoint *endpoint = endpoints_next(endpoints, NULL); endpoint != NULL;
         endpoint = endpoints_next(endpoints, endpoint))
        count++;
    assert_int_equal(count, MANY);
    endpoints_free(endpoints);
}

static void one_that_is_removed_lives_as_long_as_it_is_referred_to(void **state)
{
    struct endpoints *endpoints = fill();
    struct uuid id = id_of(7);
    struct endpoint *endpoint = endpoints_find(endpoints, &id);
    (void)state;
    endpoint->references++;
    endpoints_remove(endpoints, endpoint);
    assert_null(endpoints_find(endpoints, &id));
    assert_int_equal(endpoints_count(endpoints), MANY - 1);
    assert_int_equal(count_of(endpoints, false, 7), MANY / OWNERS - 1);
    assert_true(endpoint->is_gone);
    endpoint_release(endpoint);
    endpoints_free(endpoints);
}

static void an_endpoint_wants_its_triggers_between_its_start_and_its_end(void **state)
{
    struct endpoint endpoint = {.triggers = 1U << SCHEDULE_UPDATED, .start = {1, 100}, .is_active = true, .is_placed = true};
    struct webhook_event event = {.type = SCHEDULE_UPDATED, .position = {1, 100}};
    (void)state;
    assert_true(endpoint_wants(&endpoint, &event));
    event.type = SCHEDULE_CREATED;
    assert_false(endpoint_wants(&endpoint, &event));
    event.type = SCHEDULE_UPDATED;
    event.position.lsn = 99;
    assert_false(endpoint_wants(&endpoint, &event));
    event.position.timeline = 2; /* of another history: rather sent than lost */
    assert_true(endpoint_wants(&endpoint, &event));
    endpoint.end = (struct commit_position){1, 200};
    event.position = (struct commit_position){1, 199};
    assert_true(endpoint_wants(&endpoint, &event));
    event.position.lsn = 200;
    assert_false(endpoint_wants(&endpoint, &event));
    event.position.lsn = 150;
    endpoint.is_active = false;
    assert_false(endpoint_wants(&endpoint, &event));
    endpoint.is_active = true;
    endpoint.is_placed = false;
    assert_false(endpoint_wants(&endpoint, &event));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_found_by_id_and_by_owner),
        cmocka_unit_test(all_are_visited_once),
        cmocka_unit_test(one_that_is_removed_lives_as_long_as_it_is_referred_to),
        cmocka_unit_test(an_endpoint_wants_its_triggers_between_its_start_and_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
