#include "relay/progress_record.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/lsn.h"

#define TIMELINE "timeline"
#define FINAL_LSN "final-lsn"
#define COMMIT_LSN "commit-lsn"
#define COMMIT_RECORDS "commit-records"
#define HIGHEST_ID "highest-id"

/* Text that is appended to piece by piece, each ending with its NUL. */
struct pieces {
    char *text;
    size_t len;
};

static struct slice keep(struct pieces *pieces, size_t len)
{
    struct slice piece = {pieces->text + pieces->len, len};
    pieces->len += len + 1;
    return piece;
}

static struct slice lsn_piece(struct pieces *pieces, uint64_t lsn)
{
    return keep(pieces, strlen(lsn_format(lsn, pieces->text + pieces->len)));
}

static void add_number(struct record *record, struct slice name, struct pieces *pieces, uint64_t number)
{
    if (number == 0) return;
    int len = snprintf(pieces->text + pieces->len, PROGRESS_TEXT_MAX - pieces->len, "%" PRIu64, number);
    record_add_header(record, name, keep(pieces, (size_t)len));
}

bool progress_is_final(const struct progress *progress)
{
    return progress->final_lsn == progress->lsn && progress->records == 0;
}

void progress_encode(const struct progress *progress, struct slice key, char text[PROGRESS_TEXT_MAX],
                     struct record *ret_record)
{
    struct pieces pieces = {text, 0};
    record_start(ret_record, 0, key, lsn_piece(&pieces, progress->lsn));
    add_number(ret_record, SLICE(TIMELINE), &pieces, progress->timeline);
    if (progress->final_lsn > 0) record_add_header(ret_record, SLICE(FINAL_LSN), lsn_piece(&pieces, progress->final_lsn));
    if (progress->records > 0) {
        record_add_header(ret_record, SLICE(COMMIT_LSN), lsn_piece(&pieces, progress->commit_lsn));
        add_number(ret_record, SLICE(COMMIT_RECORDS), &pieces, progress->records);
    }
    add_number(ret_record, SLICE(HIGHEST_ID), &pieces, (uint64_t)progress->highest_id);
}

static bool parse_number(struct slice text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (number > (max - digit) / 10) return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return text.len > 0;
}

static bool take_header(const struct record_header *header, struct progress *progress)
{
    uint64_t number = 0;
    bool ok = true;
    if (slice_equal(header->name, SLICE(TIMELINE))) {
        ok = parse_number(header->value, UINT32_MAX, &number);
        progress->timeline = (uint32_t)number;
    } else if (slice_equal(header->name, SLICE(FINAL_LSN))) {
        ok = lsn_parse(header->value, &progress->final_lsn);
    } else if (slice_equal(header->name, SLICE(COMMIT_LSN))) {
        ok = lsn_parse(header->value, &progress->commit_lsn);
    } else if (slice_equal(header->name, SLICE(COMMIT_RECORDS))) {
        ok = parse_number(header->value, UINT64_MAX, &progress->records);
    } else if (slice_equal(header->name, SLICE(HIGHEST_ID))) {
        ok = parse_number(header->value, INT64_MAX, &number);
        progress->highest_id = (int64_t)number;
    }
    return ok;
}

bool progress_decode(const struct record *record, struct progress *ret_progress)
{
    struct progress progress = {0};
    if (!lsn_parse(record->value, &progress.lsn)) return false;
    for (size_t i = 0; i < record->headers_len; i++) {
        if (!take_header(&record->headers[i], &progress)) return false;
    }
    if ((progress.commit_lsn > 0) != (progress.records > 0)) return false;
    *ret_progress = progress;
    return true;
}
