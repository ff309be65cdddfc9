#include "core/uuid.h"

#include "core/hex.h"

static bool is_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uuid_parse(struct slice text, struct uuid *ret_uuid)
{
    if (text.len != UUID_TEXT_LEN) return false;
    struct uuid uuid = {0};
    size_t n = 0;
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        if (is_dash(i)) {
            if (text.data[i] != '-') return false;
            continue;
        }
        int value = hex_value(text.data[i]);
        if (value < 0) return false;
        uuid.bytes[n / 2] = (uint8_t)(uuid.bytes[n / 2] << 4 | value);
        n++;
    }
    *ret_uuid = uuid;
    return true;
}

void uuid_format(const struct uuid *uuid, char text[UUID_TEXT_LEN])
{
    size_t n = 0;
    for (size_t i = 0; i < UUID_TEXT_LEN; i += 2) {
        if (is_dash(i)) text[i++] = '-';
        hex_format(&uuid->bytes[n++], 1, text + i);
    }
}

struct uuid uuid_v7(uint64_t unix_ms, const uint8_t random_bytes[10])
{
    struct uuid uuid;
    for (int i = 0; i < 6; i++) uuid.bytes[i] = (uint8_t)(unix_ms >> (8 * (5 - i)));
    memcpy(uuid.bytes + 6, random_bytes, 10);
    uuid.bytes[6] = (uint8_t)(0x70 | (uuid.bytes[6] & 0x0f));
    uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3f));
    return uuid;
}
