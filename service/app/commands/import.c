#include "app/commands/handlers.h"

#include <inttypes.h>

#include "app/commands/import_batch.h"
#include "codec/directory_codec.h"
#include "driver/clock.h"
#include "driver/zone_files.h"

enum { TOLD_MAX = 100, PROGRESS_US = 1000000, ARENA_MAX_BYTES = 4 << 20 };

struct import {
    struct import_batch batch;
    struct zone_files *zones;
    char line[DIRECTORY_ENTRY_BYTES_MAX];
    int64_t lines;     /* read */
    int64_t completed; /* the last line before the batch: all up to it are applied or refused */
    int64_t refused;
    int64_t started_us;
    int64_t reported_us; /* when progress was last reported */
};

/* ---- reading ---- */

/* Reads the next line without its end; one that is too long is read to its end and has the length SIZE_MAX. False at the end. */
static bool read_line(FILE *in, char *line, size_t size, size_t *ret_len)
{
    size_t len = 0;
    int c = getc_unlocked(in);
    if (c == EOF) return false;
    for (; c != EOF && c != '\n'; c = getc_unlocked(in)) {
        if (len < size) line[len] = (char)c;
        len++;
    }
    *ret_len = len > size ? SIZE_MAX : len;
    return true;
}

/* Blank lines are passed over; the carriage return of a line's end counts as blank. */
static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') return false;
    }
    return true;
}

/* ---- reporting ---- */

/* Counts a refused line; true when it is to be reported in full. */
static bool refuse(struct import *import)
{
    return ++import->refused <= TOLD_MAX;
}

static void on_refused(void *ctx, int64_t line, const char *message)
{
    if (refuse(ctx)) fprintf(stderr, "line %" PRId64 ": %s\n", line, message);
}

static void refuse_violations(struct import *import, const struct violations *violations)
{
    if (!refuse(import)) return;
    for (size_t i = 0; i < violations->len; i++) {
        const struct violation *violation = &violations->items[i];
        fprintf(stderr, "line %" PRId64 ": %.*s: %.*s\n", import->lines, (int)violation->property.len,
                violation->property.data, (int)violation->message.len, violation->message.data);
    }
}

static void tell_progress(struct import *import)
{
    int64_t now_us = clock_steady_us();
    if (now_us - import->reported_us < PROGRESS_US) return;
    import->reported_us = now_us;
    fprintf(stderr, "read=%" PRId64 " completed=%" PRId64 " rejected=%" PRId64 " seconds=%.0f\n", import->lines,
            import->completed, import->refused, (double)(now_us - import->started_us) / 1e6);
}

static void tell_counts(const struct import *import)
{
    double seconds = (double)(clock_steady_us() - import->started_us) / 1e6;
    if (import->refused > TOLD_MAX) {
        fprintf(stderr, "%" PRId64 " more lines were rejected\n", import->refused - TOLD_MAX);
    }
    printf("lines=%" PRId64 " changed=%" PRId64 " unchanged=%" PRId64 " rejected=%" PRId64 " seconds=%.1f\n", import->lines,
           import->batch.changed, import->batch.unchanged, import->refused, seconds);
}

/* ---- one line ---- */

/* False when memory is out. */
static bool take(struct import *import, struct slice line, struct arena *arena)
{
    struct directory_input input;
    struct directory_entry entry;
    struct violations violations = {0};
    const char *reason = "the line takes more than 4 MiB when it is read";
    enum status status = directory_decode_json(line, arena, &input, &reason);
    if (status == STATUS_OK) status = directory_check(&input, zone_files_names(import->zones), arena, &entry, &violations);
    if (status == STATUS_OK) return import_batch_add(&import->batch, &entry, import->lines);
    if (status == STATUS_INVALID) refuse_violations(import, &violations);
    else on_refused(import, import->lines, reason);
    return true;
}

static bool apply(struct import *import)
{
    if (!import_batch_apply(&import->batch)) return false;
    import->completed = import->lines;
    return true;
}

static bool take_line(struct import *import, size_t len)
{
    struct slice line = {import->line, len};
    import->lines++;
    if (len == SIZE_MAX) {
        on_refused(import, import->lines, "the line is longer than 64 KiB");
        return true;
    }
    if (is_blank(line)) return true;
    struct arena *arena = arena_new(ARENA_MAX_BYTES);
    bool ok = arena != NULL && take(import, line, arena);
    arena_free(arena);
    if (!ok) database_fail("out of memory");
    return ok && (!import_batch_is_full(&import->batch) || apply(import));
}

static bool take_lines(struct import *import, FILE *in)
{
    for (size_t len; read_line(in, import->line, sizeof(import->line), &len); tell_progress(import)) {
        if (!take_line(import, len)) return false;
    }
    if (ferror(in)) database_fail("standard input cannot be read to its end");
    return apply(import) && !ferror(in);
}

static int run(struct import *import, FILE *in)
{
    import->started_us = import->reported_us = clock_steady_us();
    bool ok = take_lines(import, in);
    tell_counts(import);
    if (ok) return import->refused == 0 ? 0 : 1;
    return database_fail("the import ended early: the lines up to %" PRId64
                         " are completed, what comes after them may be too. "
                         "Run it again: what is there already stays as it is",
                         import->completed);
}

int import_command(const struct command_call *call)
{
    static struct import import;
    import.batch = (struct import_batch){.db = call->db, .refused = on_refused, .ctx = &import};
    import_batch_init(&import.batch);
    import.zones = zone_files_new(call->config->tzdata);
    int code = import.zones == NULL ? 1 : run(&import, stdin);
    import_batch_done(&import.batch);
    zone_files_free(import.zones);
    return code;
}
