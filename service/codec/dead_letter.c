#include "codec/dead_letter.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

/* The headers that describe a cut. */
enum note { NOTE_CUT, NOTE_VALUE_BYTES, NOTE_VALUE_SHA256, NOTE_KEY_BYTES, NOTE_KEY_SHA256, NOTE_HEADERS_LEFT_OUT, NOTES };

static const struct slice note_names[NOTES] = {
    [NOTE_CUT] = SLICE("dead-letter-cut"),
    [NOTE_VALUE_BYTES] = SLICE("dead-letter-value-bytes"),
    [NOTE_VALUE_SHA256] = SLICE("dead-letter-value-sha256"),
    [NOTE_KEY_BYTES] = SLICE("dead-letter-key-bytes"),
    [NOTE_KEY_SHA256] = SLICE("dead-letter-key-sha256"),
    [NOTE_HEADERS_LEFT_OUT] = SLICE("dead-letter-headers-left-out"),
};

enum { ORIGIN_HEADERS = 4, NOTES_WIRE_BYTES = 512 };

static const struct slice own_prefix = SLICE("dead-letter-");

static bool is_own(const struct record_header *header)
{
    return header->name.len > own_prefix.len && memcmp(header->name.data, own_prefix.data, own_prefix.len) == 0;
}

/* NOTES when it is none. */
static enum note note_of(const struct record_header *header)
{
    enum note note = 0;
    while (note < NOTES && !slice_equal(header->name, note_names[note])) note++;
    return note;
}

/* Takes the notes of an earlier cut out of the headers; what is absent stays empty. */
static void take_notes(struct record *record, struct slice notes[NOTES])
{
    size_t kept = 0;
    for (size_t i = 0; i < record->headers_len; i++) {
        enum note note = note_of(&record->headers[i]);
        if (note < NOTES) notes[note] = record->headers[i].value;
        else record->headers[kept++] = record->headers[i];
    }
    record->headers_len = kept;
}

static size_t number_of(struct slice text)
{
    char digits[24] = "";
    if (text.len < sizeof(digits) && text.len > 0) memcpy(digits, text.data, text.len);
    return (size_t)strtoull(digits, NULL, 10);
}

/* ---- room ---- */

/* How much of the room is for a part of so many bytes: all of it when everything fits, else at least a quarter of the room. */
static size_t share_of(size_t part, size_t others, size_t room)
{
    size_t left = others < room ? room - others : 0;
    size_t share = left > room / 4 ? left : room / 4;
    return part < share ? part : share;
}

/* Leaves out what is beyond the room or leaves too few places for the notes. */
static void leave_out_headers(struct record *record, size_t room)
{
    size_t kept = 0;
    size_t used = 0;
    size_t own_left = 0;
    for (size_t i = 0; i < record->headers_len; i++) own_left += is_own(&record->headers[i]);
    for (size_t i = 0; i < record->headers_len; i++) {
        struct record_header header = record->headers[i];
        size_t bytes = is_own(&header) ? 0 : record_header_wire_bytes(&header);
        bool has_place = kept + own_left + NOTES < RECORD_HEADERS_MAX;
        if (!is_own(&header) && (bytes > room - used || !has_place)) {
            record->headers_left_out++;
            continue;
        }
        own_left -= is_own(&header);
        used += bytes;
        record->headers[kept++] = header;
    }
    record->headers_len = kept;
}

/* ---- notes ---- */

static struct slice sha256_text(struct slice bytes, char text[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)bytes.data, bytes.len, digest);
    for (size_t i = 0; i < sizeof(digest); i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return slice_of(text);
}

static struct slice size_text(size_t size, char text[24])
{
    snprintf(text, 24, "%zu", size);
    return slice_of(text);
}

/* Ends the bytes at len. The notes of them are those of the first cut. */
static void cut_bytes(struct slice *bytes, size_t len, struct slice *size_note, struct slice *sha256_note, char *size,
                      char *sha256)
{
    if (bytes->len <= len) return;
    if (size_note->data == NULL) {
        *size_note = size_text(bytes->len, size);
        *sha256_note = sha256_text(*bytes, sha256);
    }
    bytes->len = len;
}

static void note_what_is_cut(struct slice notes[NOTES], char text[24])
{
    snprintf(text, 24, "%s%s%s", notes[NOTE_KEY_BYTES].data == NULL ? "" : ",key",
             notes[NOTE_HEADERS_LEFT_OUT].data == NULL ? "" : ",headers",
             notes[NOTE_VALUE_BYTES].data == NULL ? "" : ",value");
    if (text[0] != '\0') notes[NOTE_CUT] = slice_of(text + 1);
}

bool dead_letter_cut(struct record *record, size_t bytes_max, struct dead_letter_texts *texts)
{
    struct slice notes[NOTES] = {{NULL, 0}};
    if (record->headers_left_out == 0 && record_wire_bytes(record) <= bytes_max) return true;
    take_notes(record, notes);
    size_t headers = 0;
    for (size_t i = 0; i < record->headers_len; i++) {
        if (!is_own(&record->headers[i])) headers += record_header_wire_bytes(&record->headers[i]);
    }
    size_t fixed = record_wire_bytes(record) - headers - record->key.len - record->value.len + NOTES_WIRE_BYTES;
    size_t room = bytes_max > fixed ? bytes_max - fixed : 0;
    size_t key_len = share_of(record->key.len, record->value.len + headers, room);
    size_t headers_bytes = share_of(headers, record->value.len + key_len, room - key_len);
    record->headers_left_out += number_of(notes[NOTE_HEADERS_LEFT_OUT]);
    leave_out_headers(record, headers_bytes);
    size_t value_len = room - key_len - headers_bytes;
    cut_bytes(&record->key, key_len, &notes[NOTE_KEY_BYTES], &notes[NOTE_KEY_SHA256], texts->key_bytes, texts->key_sha256);
    cut_bytes(&record->value, value_len, &notes[NOTE_VALUE_BYTES], &notes[NOTE_VALUE_SHA256], texts->value_bytes,
              texts->value_sha256);
    if (record->headers_left_out > 0) {
        notes[NOTE_HEADERS_LEFT_OUT] = size_text(record->headers_left_out, texts->headers_left_out);
        record->headers_left_out = 0; /* in a header now */
    }
    note_what_is_cut(notes, texts->cut);
    for (size_t note = 0; note < NOTES; note++) {
        if (notes[note].data != NULL) record_add_header(record, note_names[note], notes[note]);
    }
    return record_wire_bytes(record) <= bytes_max;
}

/* ---- making one ---- */

/* The message may be a dead letter that was sent again: its own headers of a cut are left out, as they would be taken for this one's. */
static void remove_own_headers(struct record *record)
{
    size_t kept = 0;
    for (size_t i = 0; i < record->headers_len; i++) {
        if (!is_own(&record->headers[i])) record->headers[kept++] = record->headers[i];
    }
    record->headers_len = kept;
}

void dead_letter_pack(struct buf *out, struct record *message, struct slice reason, const struct record_origin *origin,
                      size_t bytes_max)
{
    struct dead_letter_texts texts;
    message->topic = RECORD_DEAD_LETTER;
    remove_own_headers(message);
    while (message->headers_len > RECORD_HEADERS_MAX - ORIGIN_HEADERS) {
        message->headers_len--;
        message->headers_left_out++;
    }
    if (reason.len > DEAD_LETTER_REASON_MAX) reason.len = DEAD_LETTER_REASON_MAX;
    snprintf(texts.partition, sizeof(texts.partition), "%" PRId32, origin->partition);
    snprintf(texts.offset, sizeof(texts.offset), "%" PRId64, origin->offset);
    record_add_header(message, SLICE("dead-letter-reason"), reason);
    record_add_header(message, SLICE("dead-letter-topic"), origin->topic);
    record_add_header(message, SLICE("dead-letter-partition"), slice_of(texts.partition));
    record_add_header(message, SLICE("dead-letter-offset"), slice_of(texts.offset));
    (void)dead_letter_cut(message, bytes_max > DEAD_LETTER_BYTES_LEAST ? bytes_max : DEAD_LETTER_BYTES_LEAST, &texts);
    record_pack(out, message);
}
