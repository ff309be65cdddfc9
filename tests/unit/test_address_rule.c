/* Which URLs and addresses webhooks may go to. */
#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "webhook/address_rule.h"

static struct address_rule rule_of(const char *allowed)
{
    struct address_rule rule;
    assert_true(address_rule_init(&rule, slice_of(allowed)));
    return rule;
}

static const char *connect_refusal(const char *allowed, const char *host, uint16_t port, bool is_https)
{
    struct address_rule rule = rule_of(allowed);
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1) {
        return address_rule_refusal(&rule, (const struct sockaddr *)&ipv4, is_https);
    }
    assert_int_equal(inet_pton(AF_INET6, host, &ipv6.sin6_addr), 1);
    return address_rule_refusal(&rule, (const struct sockaddr *)&ipv6, is_https);
}

static const char *url_refusal(const char *allowed, const char *url)
{
    struct address_rule rule = rule_of(allowed);
    struct webhook_url parts;
    struct slice copy = exact_copy(slice_of(url));
    const char *refused = address_rule_url_refusal(&rule, copy, &parts);
    free_copy(copy);
    return refused;
}

static void the_internet_is_connected_to(void **state)
{
    static const char *const hosts[] = {"1.1.1.1",      "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
                                        "100.128.0.0",  "126.255.255.255", "128.0.0.0",       "172.15.0.1",
                                        "172.32.0.1",   "192.167.1.1",     "192.169.0.1",     "198.17.0.1",
                                        "198.20.0.1",   "223.255.255.1",   "2606:4700::1111", "2001:200::1",
                                        "2a00:1450::1", "::ffff:1.1.1.1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) assert_null(connect_refusal("", hosts[i], 443, true));
}

static void other_addresses_are_not_connected_to(void **state)
{
    static const char *const hosts[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001:db8::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",
        "::ffff:0:7f00:1",
        "4000::1",
        "168.63.129.16",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (connect_refusal("", hosts[i], 443, true) == NULL) fail_msg("%s is connected to", hosts[i]);
    }
}

static void networks_of_the_operator_are_connected_to_over_http_too(void **state)
{
    (void)state;
    assert_null(connect_refusal("127.0.0.0/8,fd00:1::/32", "127.1.2.3", 8080, false));
    assert_null(connect_refusal("127.0.0.0/8,fd00:1::/32", "::ffff:127.0.0.1", 8080, false));
    assert_null(connect_refusal("127.0.0.0/8,fd00:1::/32", "fd00:1::5", 8080, false));
    assert_null(connect_refusal("10.1.2.3", "10.1.2.3", 443, true));
    assert_non_null(connect_refusal("10.1.2.3", "10.1.2.4", 443, true));
    assert_non_null(connect_refusal("10.0.0.0/9", "10.128.0.1", 443, true));
    assert_non_null(connect_refusal("127.0.0.0/8", "::1", 443, true));
    assert_non_null(connect_refusal("127.0.0.0/8", "1.1.1.1", 80, false));
}

static void metadata_is_refused_whatever_is_allowed(void **state)
{
    static const char *const hosts[] = {"169.254.169.254",        "169.254.169.253",   "169.254.170.2",
                                        "100.100.100.200",        "fd00:ec2::254",     "::169.254.169.254",
                                        "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (connect_refusal("0.0.0.0/0,::/0", hosts[i], 443, true) == NULL) fail_msg("%s is connected to", hosts[i]);
    }
    assert_string_equal(url_refusal("0.0.0.0/0,::/0", "https://metadata.google.internal/x"), "Blocked hostname");
    assert_string_equal(url_refusal("0.0.0.0/0,::/0", "http://169.254.169.254/latest"), "Private IP address");
}

static void ports_are_those_of_receivers(void **state)
{
    static const uint16_t refused[] = {0, 1, 22, 25, 81, 444, 1023, 5432, 6379, 9092, 11211};
    static const uint16_t allowed[] = {80, 443, 1024, 8080, 8443, 65535};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_string_equal(connect_refusal("", "1.1.1.1", refused[i], true), "Port is not allowed");
    }
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) assert_null(connect_refusal("", "1.1.1.1", allowed[i], true));
    assert_string_equal(url_refusal("", "https://a.example:25/"), "Port is not allowed");
}

static void urls_of_names_and_public_addresses_are_taken(void **state)
{
    static const char *const urls[] = {
        "https://a.example",       "HTTPS://A.example./x?y=z#f", "https://a.example:8443/hook",
        "https://1.1.1.1/",        "https://[2606:4700::1111]/", "https://xn--bcher-kva.example/",
        "https://a.example?@b",    "https://1password.com/x",    "https://0x.example",
        "https://a_b.example/%20",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        if (url_refusal("", urls[i]) != NULL) fail_msg("%s: %s", urls[i], url_refusal("", urls[i]));
    }
}

static void hidden_forms_of_addresses_are_judged(void **state)
{
    static const char *const urls[] = {
        "https://127.0.0.1/",         "https://127.1/",        "https://2130706433/", "https://0x7f000001/",
        "https://0177.0.0.1/",        "https://127.0.0.1./",   "https://0/",          "https://0x7f.1/",
        "https://017700000001/",      "https://10.0.0.1:8443", "https://[::1]/",      "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/", "https://[fe80::1]/",    "https://[::]",        "https://[::ffff:7f00:1]/",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const char *refused = url_refusal("", urls[i]);
        if (refused == NULL) fail_msg("%s is taken", urls[i]);
        assert_string_equal(refused, "Private IP address");
    }
}

static void names_of_the_own_machine_are_blocked(void **state)
{
    static const char *const urls[] = {"https://localhost/",
                                       "https://localhost./",
                                       "https://LOCALHOST:8443/",
                                       "https://a.localhost/",
                                       "https://metadata.google.com/",
                                       "https://metadata.google.internal./",
                                       "https://localhost.localdomain/"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) assert_string_equal(url_refusal("", urls[i]), "Blocked hostname");
    assert_null(url_refusal("127.0.0.0/8", "http://localhost:9000/"));
}

static void malformed_urls_are_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "a",
        "https://",
        "https:///x",
        "https://:443/",
        "https://a..example/",
        "https://.a/",
        "https://a.example../",
        "https://a b/",
        "https://a\\b/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://a:99999/",
        "https://a:x/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[fe80::1%25e]/",
        "https://b\xc3\xbc.de/",
        "https://a.example/\n",
        "https://%6c/",
        "https://./",
        "https://[]/",
        "https://a:/",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const char *refused = url_refusal("", urls[i]);
        if (refused == NULL) fail_msg("%s is taken", urls[i]);
        assert_string_equal(refused, "Invalid URL format");
    }
    char *large = malloc(WEBHOOK_URL_BYTES_MAX + 2);
    memset(large, 'a', WEBHOOK_URL_BYTES_MAX + 1);
    memcpy(large, "https://a/", 10);
    large[WEBHOOK_URL_BYTES_MAX + 1] = '\0';
    assert_string_equal(url_refusal("", large), "Invalid URL format");
    large[WEBHOOK_URL_BYTES_MAX] = '\0';
    assert_null(url_refusal("", large));
    free(large);
}

static void other_schemes_and_credentials_are_refused(void **state)
{
    (void)state;
    assert_string_equal(url_refusal("", "http://a.example/"), "Only HTTPS URLs are allowed");
    assert_string_equal(url_refusal("127.0.0.0/8", "http://1.1.1.1/"), "Only HTTPS URLs are allowed");
    assert_null(url_refusal("127.0.0.0/8", "http://a.example/"));
    assert_string_equal(url_refusal("", "ftp://a.example/"), "Only HTTP and HTTPS protocols are allowed");
    assert_string_equal(url_refusal("", "data:image/png;base64,"), "Only HTTP and HTTPS protocols are allowed");
    assert_string_equal(url_refusal("", "https://u:p@a.example/"), "Credentials in a URL are not allowed");
    assert_string_equal(url_refusal("", "https://1.1.1.1@127.0.0.1/"), "Credentials in a URL are not allowed");
}

static void networks_that_are_none_are_told(void **state)
{
    static const char *const texts[] = {"x",         "10.0.0.0/33", "10.0.0/8", "::/129",
                                        "10.0.0.0/", "10.0.0.0/8,", ",",        "10.0.0.0/-1"};
    struct address_rule rule;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) assert_false(address_rule_init(&rule, slice_of(texts[i])));
    assert_true(address_rule_init(&rule, slice_of("")));
    assert_int_equal(rule.allowed_len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_internet_is_connected_to),
        cmocka_unit_test(other_addresses_are_not_connected_to),
        cmocka_unit_test(networks_of_the_operator_are_connected_to_over_http_too),
        cmocka_unit_test(metadata_is_refused_whatever_is_allowed),
        cmocka_unit_test(ports_are_those_of_receivers),
        cmocka_unit_test(urls_of_names_and_public_addresses_are_taken),
        cmocka_unit_test(hidden_forms_of_addresses_are_judged),
        cmocka_unit_test(names_of_the_own_machine_are_blocked),
        cmocka_unit_test(malformed_urls_are_refused),
        cmocka_unit_test(other_schemes_and_credentials_are_refused),
        cmocka_unit_test(networks_that_are_none_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
