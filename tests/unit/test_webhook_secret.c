/* Secrets as they are stored: what opens, and what does not. */
#include "webhook/webhook_secret.h"

#include <stdio.h>
#include <string.h>

#include "support.h"

static const char key_a[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
static const char key_b[] = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
static const struct uuid one = {{1, 2, 3}};
static const struct uuid other = {{1, 2, 4}};

static struct webhook_keys keys_of(const char *key, const char *former)
{
    struct webhook_keys keys;
    assert_true(webhook_keys_init(&keys, slice_of(key), slice_of(former)));
    return keys;
}

struct sealed {
    uint8_t bytes[WEBHOOK_SEALED_BYTES_MAX];
    size_t len;
};

static struct sealed seal(const struct webhook_keys *keys, struct slice secret)
{
    struct sealed sealed;
    sealed.len = webhook_secret_seal(keys, &one, secret, sealed.bytes);
    assert_int_equal(sealed.len, secret.len + WEBHOOK_SEALED_OVERHEAD);
    return sealed;
}

static enum status open_as(const struct webhook_keys *keys, const struct uuid *id, const struct sealed *sealed,
                           struct slice expected)
{
    char secret[WEBHOOK_SECRET_BYTES_MAX];
    size_t len = 0;
    enum status status =
        webhook_secret_open(keys, id, (struct slice){(const char *)sealed->bytes, sealed->len}, secret, &len);
    if (status == STATUS_OK) assert_true(slice_equal((struct slice){secret, len}, expected));
    return status;
}

static void opens_what_it_sealed(void **state)
{
    char longest[WEBHOOK_SECRET_BYTES_MAX];
    struct webhook_keys keys = keys_of(key_a, "");
    (void)state;
    memset(longest, 'x', sizeof(longest));
    const struct slice secrets[] = {SLICE("eight888"),
                                    SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                                    {longest, sizeof(longest)}};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        struct sealed sealed = seal(&keys, secrets[i]);
        assert_null(memmem(sealed.bytes, sealed.len, secrets[i].data, secrets[i].len));
        assert_int_equal(open_as(&keys, &one, &sealed, secrets[i]), STATUS_OK);
    }
}

static void seals_the_same_differently(void **state)
{
    struct webhook_keys keys = keys_of(key_a, "");
    struct sealed first = seal(&keys, SLICE("topsecret"));
    struct sealed second = seal(&keys, SLICE("topsecret"));
    (void)state;
    assert_memory_not_equal(first.bytes + WEBHOOK_KEY_ID_LEN, second.bytes + WEBHOOK_KEY_ID_LEN, 12);
    assert_memory_not_equal(first.bytes + WEBHOOK_KEY_ID_LEN + 12, second.bytes + WEBHOOK_KEY_ID_LEN + 12, 9);
}

static void opens_with_a_former_key_and_seals_with_the_first(void **state)
{
    struct webhook_keys before = keys_of(key_a, "");
    struct webhook_keys after = keys_of(key_b, key_a);
    struct sealed sealed = seal(&before, SLICE("topsecret"));
    (void)state;
    assert_int_equal(open_as(&after, &one, &sealed, SLICE("topsecret")), STATUS_OK);
    sealed = seal(&after, SLICE("topsecret"));
    assert_int_equal(open_as(&before, &one, &sealed, SLICE("topsecret")), STATUS_NOT_FOUND);
}

static void refuses_another_endpoints_secret(void **state)
{
    struct webhook_keys keys = keys_of(key_a, "");
    struct sealed sealed = seal(&keys, SLICE("topsecret"));
    (void)state;
    assert_int_equal(open_as(&keys, &other, &sealed, SLICE("")), STATUS_UNDECODABLE);
}

static void refuses_what_was_changed_or_cut(void **state)
{
    struct webhook_keys keys = keys_of(key_a, "");
    struct sealed sealed = seal(&keys, SLICE("topsecret"));
    (void)state;
    for (size_t i = 0; i < sealed.len; i++) {
        struct sealed changed = sealed;
        changed.bytes[i] ^= 1;
        assert_int_equal(open_as(&keys, &one, &changed, SLICE("")),
                         i < WEBHOOK_KEY_ID_LEN ? STATUS_NOT_FOUND : STATUS_UNDECODABLE);
        changed = sealed;
        changed.len = i;
        assert_int_equal(open_as(&keys, &one, &changed, SLICE("")), STATUS_UNDECODABLE);
    }
}

static void seals_nothing_without_a_key_or_too_long(void **state)
{
    char text[WEBHOOK_SECRET_BYTES_MAX + 1] = {0};
    uint8_t sealed[WEBHOOK_SEALED_BYTES_MAX];
    struct webhook_keys none = keys_of("", "");
    struct webhook_keys keys = keys_of(key_a, "");
    (void)state;
    assert_int_equal(webhook_secret_seal(&none, &one, SLICE("topsecret"), sealed), 0);
    assert_int_equal(webhook_secret_seal(&keys, &one, (struct slice){text, sizeof(text)}, sealed), 0);
}

static void reads_keys(void **state)
{
    struct webhook_keys keys;
    char two[2 * sizeof(key_a)];
    (void)state;
    snprintf(two, sizeof(two), "%s,%s", key_a, key_b);
    assert_true(webhook_keys_init(&keys, slice_of(key_a), slice_of(two)));
    assert_int_equal(keys.len, 3);
    assert_false(webhook_keys_init(&keys, SLICE(""), slice_of(key_a)));
    assert_false(webhook_keys_init(&keys, SLICE("00"), SLICE("")));
    assert_false(webhook_keys_init(&keys, slice_of(two), SLICE("")));
    assert_false(webhook_keys_init(&keys, slice_of(key_a), SLICE(",")));
    two[3] = 'g';
    assert_false(webhook_keys_init(&keys, slice_of(key_a), slice_of(two)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_it_sealed),
        cmocka_unit_test(seals_the_same_differently),
        cmocka_unit_test(opens_with_a_former_key_and_seals_with_the_first),
        cmocka_unit_test(refuses_another_endpoints_secret),
        cmocka_unit_test(refuses_what_was_changed_or_cut),
        cmocka_unit_test(seals_nothing_without_a_key_or_too_long),
        cmocka_unit_test(reads_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
