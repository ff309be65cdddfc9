/* Directory entries as bytes: records of the directory topic, JSON lines of an import, and the JSON that the database takes. */
#ifndef CODEC_DIRECTORY_CODEC_H
#define CODEC_DIRECTORY_CODEC_H

#include "core/buf.h"
#include "core/directory.h"

/* Of a record's value or of a line. */
enum { DIRECTORY_ENTRY_BYTES_MAX = 64 << 10 };

/* Reads a record: protobuf (schedules.v1.DirectoryEntry), the same in Confluent's wire format, or JSON, as the content-type header
 * says; without a value (data NULL) the removal of what the key names. The input's text lives in the arena or is the key's own.
 * STATUS_OK; STATUS_UNDECODABLE with a static *ret_reason; STATUS_TOO_LARGE for the arena; STATUS_NO_MEMORY. */
enum status directory_decode(struct slice key, struct slice value, bool is_json, struct arena *arena,
                             struct directory_input *ret_input, const char **ret_reason);

/* Reads JSON alone: `{"type":"user","id":5,"name":"Ada","timeZone":"Europe/Rome"}`, or with `"remove":true`. Outcomes as above. */
enum status directory_decode_json(struct slice text, struct arena *arena, struct directory_input *ret_input,
                                  const char **ret_reason);

/* Appends the entry in that form, the one that apply_directory() takes (migrations/functions/directory.sql). */
void directory_write_json(struct buf *out, const struct directory_entry *entry);

#endif
