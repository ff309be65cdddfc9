/* A directory record from bytes to the JSON that the database takes. The first byte says whether it comes as JSON, the second how
 * long its key is; no value stands for a tombstone. */
#include "codec/directory_codec.h"
#include "codec/schedule_json.h"
#include "fuzz.h"

/* What is written is read again as the same entry, and its key is the record's. */
static void round_trip(const struct directory_entry *entry, struct slice key, const struct time_zones *zones,
                       struct arena *arena)
{
    struct directory_input input;
    struct directory_entry again;
    struct violations violations = {0};
    const char *reason = NULL;
    struct buf json;
    struct buf twice;
    buf_init(&json, 1 << 20);
    buf_init(&twice, 1 << 20);
    directory_write_json(&json, entry);
    MUST(!json.failed && directory_decode_json(buf_slice(&json), arena, &input, &reason) == STATUS_OK);
    MUST(directory_check(&input, zones, arena, &again, &violations) == STATUS_OK);
    directory_write_json(&twice, &again);
    MUST(slice_equal(buf_slice(&json), buf_slice(&twice)));
    MUST(slice_equal(directory_key_format(entry, arena), key) && directory_key_parse(key, &input));
    buf_done(&json);
    buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct time_zones *zones;
    if (zones == NULL) zones = time_zones_new(SLICE(FUZZ_ZONES));
    if (size < 2) return 0;
    size_t key_len = data[1] < size - 2 ? data[1] : size - 2;
    struct slice key = slice_of_input(data + 2, key_len);
    struct slice value = slice_of_input(data + 2 + key_len, size - 2 - key_len);
    if (value.len == 0) value.data = NULL;
    struct arena *arena = arena_new(16 << 20);
    struct directory_input input;
    struct directory_entry entry;
    struct violations violations = {0};
    const char *reason = NULL;
    enum status status = directory_decode(key, value, (data[0] & 1) != 0, arena, &input, &reason);
    MUST(status == STATUS_OK ? reason == NULL : status == STATUS_NO_MEMORY || reason != NULL);
    if (status == STATUS_OK) {
        status = directory_check(&input, zones, arena, &entry, &violations);
        MUST(status == STATUS_INVALID ? violations.len > 0 : status == STATUS_NO_MEMORY || violations.len == 0);
        if (status == STATUS_OK) round_trip(&entry, key, zones, arena);
    }
    arena_free(arena);
    return 0;
}
