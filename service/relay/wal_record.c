#include "relay/wal_record.h"

#include "codec/schedule_state.h"
#include "driver/log.h"

enum { ARENA_BYTES_MAX = 16 << 20 };

bool wal_record_is_in(const struct pgoutput *message)
{
    return message->transactional &&
           (slice_equal(message->prefix, SLICE(RECORD_WAL_PREFIX)) || slice_equal(message->prefix, SLICE(STATE_WAL_PREFIX)));
}

static enum status read_state(struct slice content, const struct event_context *events, struct buf *scratch,
                              struct record *ret_record)
{
    struct schedule_event event;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    if (arena == NULL) return STATUS_NO_MEMORY;
    buf_clear(scratch);
    enum status status = schedule_state_read(content, arena, &event);
    if (status == STATUS_OK) event_schedule(scratch, events, &event);
    arena_free(arena);
    if (scratch->failed) return buf_status(scratch);
    struct slice packed = buf_slice(scratch);
    if (status == STATUS_OK && !record_take(&packed, ret_record)) return STATUS_UNDECODABLE;
    return status;
}

static void wrap_unreadable(struct slice content, struct record *record)
{
    LOG_ERROR("relay: a WAL message is not a record; it becomes a dead letter", LOG_INT("bytes", content.len));
    record_start(record, RECORD_DEAD_LETTER, (struct slice){NULL, 0}, content);
    record_add_header(record, SLICE("reason"), SLICE("a WAL message that is no record"));
}

enum status wal_record_take(struct pgoutput *message, const struct event_context *events, struct buf *scratch,
                            struct record *ret_record)
{
    bool is_state = slice_equal(message->prefix, SLICE(STATE_WAL_PREFIX));
    if (!is_state && record_take(&message->content, ret_record)) return STATUS_OK;
    struct slice content = message->content;
    enum status status = is_state ? read_state(content, events, scratch, ret_record) : STATUS_UNDECODABLE;
    if (status == STATUS_NO_MEMORY) return status;
    if (status != STATUS_OK) wrap_unreadable(content, ret_record);
    message->content.len = 0;
    return STATUS_OK;
}
