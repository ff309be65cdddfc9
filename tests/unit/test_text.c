/* UTF-8, UUIDs and statuses. */
#include "support.h"

#include "core/status.h"
#include "core/utf8.h"
#include "core/uuid.h"

static bool is_valid(const void *bytes, size_t len)
{
    struct slice copy = exact_copy((struct slice){bytes, len});
    bool ok = utf8_is_valid(copy);
    free_copy(copy);
    return ok;
}

static size_t encode(uint32_t point, unsigned char out[4])
{
    if (point < 0x80) {
        out[0] = (unsigned char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, point >>= 6) out[i] = (unsigned char)(0x80 | (point & 0x3f));
    out[0] = (unsigned char)((0xf00 >> len & 0xf0) | point);
    return len;
}

static void utf8_accepts_every_character_and_no_surrogate(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        unsigned char bytes[4];
        size_t len = encode(point, bytes);
        bool expected = point < 0xd800 || (point > 0xdfff && point < 0x110000);
        if (utf8_is_valid((struct slice){(char *)bytes, len}) != expected) fail_msg("U+%04X", (unsigned)point);
    }
}

static void utf8_judges_every_pair_of_bytes(void **state)
{
    (void)state;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            unsigned char bytes[] = {(unsigned char)a, (unsigned char)b};
            bool expected = (a < 0x80 && b < 0x80) || (a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf);
            if (utf8_is_valid((struct slice){(char *)bytes, 2}) != expected) fail_msg("%02x %02x", a, b);
        }
    }
}

static void utf8_refuses_overlong_cut_and_stray_bytes(void **state)
{
    static const struct slice texts[] = {
        {"\xc0\x80", 2},
        {"\xc1\xbf", 2},
        {"\xe0\x80\x80", 3},
        {"\xe0\x9f\xbf", 3},
        {"\xf0\x80\x80\x80", 4},
        {"\xf0\x8f\xbf\xbf", 4},
        {"\xed\xa0\x80", 3},
        {"\xed\xbf\xbf", 3},
        {"\xf4\x90\x80\x80", 4},
        {"\xf5\x80\x80\x80", 4},
        {"\xff", 1},
        {"\xfe", 1},
        {"\x80", 1},
        {"\xbf", 1},
        {"\xc3", 1},
        {"\xe2\x82", 2},
        {"\xf0\x9f\x98", 3},
        {"ok\xe2", 3},
        {"\xe2\x28\xa1", 3},
        {"\xe2\x82\x28", 3},
        {"\xf0\x28\x8c\xbc", 4},
        {"\xf0\x90\x28\xbc", 4},
        {"\xf8\x88\x80\x80\x80", 5},
        {"a\x80", 2},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (is_valid(texts[i].data, texts[i].len)) fail_msg("text %zu passed", i);
    }
    assert_true(utf8_is_valid((struct slice){NULL, 0}));
    assert_true(is_valid("a\0\xf0\x9f\x98\x80z", 7));
}

static const char uuid_text[] = "01890a5d-ac96-774b-bcce-b302099a8057";

static void uuid_is_read_in_either_case_and_written_in_lower(void **state)
{
    static const uint8_t bytes[16] = {0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b,
                                      0xbc, 0xce, 0xb3, 0x02, 0x09, 0x9a, 0x80, 0x57};
    (void)state;
    struct uuid lower;
    struct uuid upper;
    char written[UUID_TEXT_LEN];
    assert_true(uuid_parse(slice_of(uuid_text), &lower));
    assert_true(uuid_parse(SLICE("01890A5D-AC96-774B-BCCE-B302099A8057"), &upper));
    assert_memory_equal(lower.bytes, bytes, 16);
    assert_memory_equal(upper.bytes, bytes, 16);
    uuid_format(&upper, written);
    assert_memory_equal(written, uuid_text, UUID_TEXT_LEN);
    assert_true(uuid_parse(SLICE("00000000-0000-0000-0000-000000000000"), &lower));
    assert_true(uuid_parse(SLICE("ffffffff-ffff-ffff-ffff-ffffffffffff"), &lower));
}

static void uuid_refuses_every_other_form(void **state)
{
    static const struct slice texts[] = {
        {"", 0},
        {"01890a5dac96774bbcceb302099a8057", 32},
        {"{01890a5d-ac96-774b-bcce-b302099a8057}", 38},
        {"01890a5d-ac96-774b-bcce-b302099a805", 35},
        {"01890a5d-ac96-774b-bcce-b302099a80570", 37},
        {"01890a5dac-96-774b-bcce-b302099a8057", 36},
        {"01890a5d_ac96_774b_bcce_b302099a8057", 36},
        {" 1890a5d-ac96-774b-bcce-b302099a8057", 36},
        {"urn:uuid:01890a5d-ac96-774b-bcce-b302", 36},
    };
    (void)state;
    struct uuid uuid;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct slice copy = exact_copy(texts[i]);
        if (uuid_parse(copy, &uuid)) fail_msg("text %zu passed", i);
        free_copy(copy);
    }
}

static void uuid_refuses_any_wrong_character_at_any_place(void **state)
{
    static const char wrong[] = {'g', 'G', '-', '0', '/', ':', '@', '`', '\0', '\x80', ' '};
    (void)state;
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        bool dash = uuid_text[i] == '-';
        for (size_t j = 0; j < sizeof(wrong); j++) {
            char text[UUID_TEXT_LEN];
            struct uuid uuid;
            memcpy(text, uuid_text, sizeof(text));
            text[i] = wrong[j];
            bool expected = dash ? wrong[j] == '-' : wrong[j] == '0';
            if (uuid_parse((struct slice){text, sizeof(text)}, &uuid) != expected)
                fail_msg("place %zu, character %zu", i, j);
        }
    }
}

static void uuid_v7_has_time_version_and_variant(void **state)
{
    static const uint8_t ones[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    static const uint8_t zeros[10] = {0};
    (void)state;
    char text[UUID_TEXT_LEN];
    struct uuid uuid = uuid_v7(UINT64_C(0x017F22E279B0), ones); /* the time of RFC 9562's example */
    uuid_format(&uuid, text);
    assert_memory_equal(text, "017f22e2-79b0-7fff-bfff-ffffffffffff", UUID_TEXT_LEN);
    uuid = uuid_v7(0, zeros);
    uuid_format(&uuid, text);
    assert_memory_equal(text, "00000000-0000-7000-8000-000000000000", UUID_TEXT_LEN);
}

static void status_has_the_class_the_writer_relies_on(void **state)
{
    (void)state;
    assert_int_equal(status_class(STATUS_OK), STATUS_CLASS_DONE);
    assert_int_equal(status_class(STATUS_DUPLICATE), STATUS_CLASS_DONE);
    assert_int_equal(status_class(STATUS_UNAVAILABLE), STATUS_CLASS_RETRY);
    assert_int_equal(status_class(STATUS_OVERLOADED), STATUS_CLASS_RETRY);
    assert_int_equal(status_class(STATUS_INVALID), STATUS_CLASS_REJECT);
    assert_int_equal(status_class(STATUS_CONFLICT), STATUS_CLASS_REJECT);
    assert_int_equal(status_class(STATUS_UNSTORABLE), STATUS_CLASS_REJECT);
    assert_int_equal(status_class(STATUS_OFFSET_MOVED), STATUS_CLASS_STOP);
    assert_int_equal(status_class(STATUS_NO_MEMORY), STATUS_CLASS_STOP);
    for (enum status status = STATUS_OK; status <= STATUS_FAILED; status++) assert_true(strlen(status_text(status)) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_accepts_every_character_and_no_surrogate),
        cmocka_unit_test(utf8_judges_every_pair_of_bytes),
        cmocka_unit_test(utf8_refuses_overlong_cut_and_stray_bytes),
        cmocka_unit_test(uuid_is_read_in_either_case_and_written_in_lower),
        cmocka_unit_test(uuid_refuses_every_other_form),
        cmocka_unit_test(uuid_refuses_any_wrong_character_at_any_place),
        cmocka_unit_test(uuid_v7_has_time_version_and_variant),
        cmocka_unit_test(status_has_the_class_the_writer_relies_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
