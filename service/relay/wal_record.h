/* What a WAL message of this service holds, as the records to publish: packed records as they are, or the state of a schedule as
 * its event. */
#ifndef RELAY_WAL_RECORD_H
#define RELAY_WAL_RECORD_H

#include "codec/event.h"
#include "core/status.h"
#include "relay/pgoutput.h"

/* Whether the message is of this service and was committed. */
bool wal_record_is_in(const struct pgoutput *message);

/* Takes the next record off the message's content, until that is empty. The record borrows from the message and from scratch. Content
 * that is neither, which is a bug of the writer, becomes a dead letter: it is kept for analysis. STATUS_OK, or
 * STATUS_NO_MEMORY, and nothing is taken. */
enum status wal_record_take(struct pgoutput *message, const struct event_context *events, struct buf *scratch,
                            struct record *ret_record);

#endif
