/* What an address is, and which one counts. */
#include "support.h"

#include <string.h>

#include "api/http_address.h"

static void assert_same(const char *a, const char *b, bool is_same)
{
    uint8_t first[ADDRESS_LEN] = {0};
    uint8_t second[ADDRESS_LEN] = {1};
    assert_true(address_parse(slice_of(a), first));
    assert_true(address_parse(slice_of(b), second));
    if ((memcmp(first, second, ADDRESS_LEN) == 0) != is_same) fail_msg("%s and %s", a, b);
}

static void one_address_in_every_spelling(void **state)
{
    (void)state;
    assert_same("192.0.2.1", "192.0.2.1:8080", true);
    assert_same("192.0.2.1", " 192.0.2.1\t", true);
    assert_same("192.0.2.1", "::ffff:192.0.2.1", true);
    assert_same("192.0.2.1", "192.0.2.2", false);
    assert_same("::ffff:192.0.2.1", "::ffff:192.0.2.2", false);
    assert_same("2001:db8::1", "[2001:DB8::1]:443", true);
    assert_same("fe80::1%eth0", "fe80::1", true);
}

static void an_ipv6_address_counts_by_its_64(void **state)
{
    (void)state;
    assert_same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true);
    assert_same("2001:db8:1:2::1", "2001:db8:1:3::1", false);
}

static void refuses_what_is_no_address(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.256",
        "[2001:db8::1",
        "%",
        "2001:db8::1::2",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct slice text = exact_copy(slice_of(texts[i]));
        uint8_t address[ADDRESS_LEN];
        if (address_parse(text, address)) fail_msg("took %s as an address", texts[i]);
        free_copy(text);
    }
}

static void assert_counts_as(const char *peer, const char *forwarded, const char *wanted)
{
    uint8_t got[ADDRESS_TRACKER_LEN];
    uint8_t want[ADDRESS_TRACKER_LEN];
    address_tracker(peer, forwarded, got);
    address_tracker(wanted, NULL, want);
    assert_memory_equal(got, want, ADDRESS_TRACKER_LEN);
}

static void the_rightmost_forwarded_address_counts(void **state)
{
    (void)state;
    assert_counts_as("192.0.2.1", "198.51.100.7", "198.51.100.7");
    assert_counts_as("192.0.2.1", "203.0.113.5, 198.51.100.7", "198.51.100.7");
    assert_counts_as("192.0.2.1", "203.0.113.5,198.51.100.7 ", "198.51.100.7");
    assert_counts_as("192.0.2.1", NULL, "192.0.2.1");
    assert_counts_as("192.0.2.1", "", "192.0.2.1");
    assert_counts_as("192.0.2.1", "198.51.100.7,", "192.0.2.1");
    assert_counts_as("192.0.2.1", "198.51.100.7, unknown", "192.0.2.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_in_every_spelling),
        cmocka_unit_test(an_ipv6_address_counts_by_its_64),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(the_rightmost_forwarded_address_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
