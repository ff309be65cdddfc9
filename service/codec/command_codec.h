/* Commands as bytes: protobuf (schedules.v1.CreateSchedule, UpdateSchedule, DeleteSchedule), the same in Confluent's wire format,
 * or JSON. */
#ifndef CODEC_COMMAND_CODEC_H
#define CODEC_COMMAND_CODEC_H

#include "core/arena.h"
#include "core/command.h"

enum { COMMAND_BYTES_MAX = 1 << 20 };

/* The kind that a CloudEvents type names ("schedules.v1.UpdateSchedule"); without one (data NULL) it is a create. False for a type
 * that is no command. */
bool command_kind_of_type(struct slice type, enum command_kind *ret_kind);

/* Reads a command of a kind; is_json as the content-type header says. Everything in *ret_input lives in the arena. STATUS_OK;
 * STATUS_UNDECODABLE with a static *ret_reason; STATUS_TOO_LARGE for the arena; STATUS_NO_MEMORY. */
enum status command_decode(struct slice bytes, enum command_kind kind, bool is_json, struct arena *arena,
                           struct command_input *ret_input, const char **ret_reason);

#endif
