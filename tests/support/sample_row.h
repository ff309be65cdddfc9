/* What the service makes of a command before anything leaves the process: its bytes are decoded, checked by the rules and made into
 * the texts of its row and the record of its event. */
#ifndef SAMPLE_ROW_H
#define SAMPLE_ROW_H

#include "codec/command_digest.h"
#include "core/buf.h"
#include "core/command.h"

struct sample_row {
    struct command command; /* text borrows from the command's bytes and the arena */
    struct buf availability;
    struct buf overrides;
    struct buf record;
    struct command_digester *digester;
    uint8_t digest[COMMAND_DIGEST_BYTES];
};

void sample_row_init(struct sample_row *row);
void sample_row_done(struct sample_row *row);

/* Makes the row in the memory of the last one. Without zones any name of one is taken. STATUS_OK, or what is wrong with the bytes. */
enum status sample_row_make(struct sample_row *row, struct slice bytes, int64_t schedule_id, const struct time_zones *zones,
                            struct arena *arena);

#endif
