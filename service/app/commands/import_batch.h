/* The entries of an import on their way to the database: gathered, then applied in one transaction, in their order. */
#ifndef APP_COMMANDS_IMPORT_BATCH_H
#define APP_COMMANDS_IMPORT_BATCH_H

#include "app/database.h"
#include "core/buf.h"
#include "core/directory.h"

enum { IMPORT_BATCH_MAX = 1000, IMPORT_BATCH_BYTES_MAX = 1 << 20 };

struct import_line {
    int64_t number;
    size_t end; /* of its entry in texts, where the next one's begins */
};

struct import_batch {
    PGconn *db;
    struct buf texts; /* the entries as JSON, one behind the other */
    struct buf sent;  /* what goes to the database: some of them as one JSON array */
    struct import_line lines[IMPORT_BATCH_MAX];
    size_t len;
    int64_t changed;                                               /* entries so far that changed the directory */
    int64_t unchanged;                                             /* and that did not: it was as they say */
    void (*refused)(void *ctx, int64_t line, const char *message); /* the database refuses an entry, which stops no other */
    void *ctx;
};

/* The rest is the caller's to set before. */
void import_batch_init(struct import_batch *batch);
void import_batch_done(struct import_batch *batch);

/* Adds the entry of a line; there is room. False when memory is out. */
bool import_batch_add(struct import_batch *batch, const struct directory_entry *entry, int64_t line);

bool import_batch_is_full(const struct import_batch *batch);

/* Applies what was added and empties the batch. False on an error that stops the import, which was said: what is in the
 * batch may be applied or not. */
bool import_batch_apply(struct import_batch *batch);

#endif
