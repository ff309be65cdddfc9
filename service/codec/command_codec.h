/* Commands as bytes: protobuf (schedules.v1.CreateSchedule), the same in Confluent's wire format, or JSON. */
#ifndef CODEC_COMMAND_CODEC_H
#define CODEC_COMMAND_CODEC_H

#include "core/arena.h"
#include "core/command.h"

enum { COMMAND_BYTES_MAX = 1 << 20 };

/* Reads a command; is_json as the content-type header says. Everything in *ret_input lives in the arena. STATUS_OK;
 * STATUS_UNDECODABLE with a static *ret_reason; STATUS_NO_MEMORY. */
enum status command_decode(struct slice bytes, bool is_json, struct arena *arena, struct command_input *ret_input,
                           const char **ret_reason);

#endif
