/* What the decoders of protobuf messages share. */
#ifndef CODEC_PROTOBUF_H
#define CODEC_PROTOBUF_H

#include <protobuf-c/protobuf-c.h>

#include "core/arena.h"
#include "core/schedule.h"
#include "schedules/v1/availability_window.pb-c.h"
#include "schedules/v1/date_override.pb-c.h"

/* Unpacks into the arena; nothing is freed before it is. */
ProtobufCAllocator protobuf_allocator(struct arena *arena);

/* A text, borrowed from the message. proto3 text must be UTF-8: one that is not sets *utf8 to false. */
struct input_text protobuf_text(const ProtobufCBinaryData *bytes, bool *utf8);

/* The windows and overrides of a message, as what a sender said. Texts are borrowed from the messages. False: the arena is full. */
bool protobuf_windows(Schedules__V1__AvailabilityWindow *const *windows, size_t len, struct arena *arena,
                      struct input_list *ret_list, bool *utf8);
bool protobuf_overrides(Schedules__V1__DateOverride *const *overrides, size_t len, struct arena *arena,
                        struct input_list *ret_list, bool *utf8);

/* Takes Confluent's wire format off the front: a zero byte, the schema's id (4 bytes), then the path of the message's type inside
 * its file as zigzag varints: their count and the indexes, a lone 0 standing for the first message. Ours are one message a file.
 * False when bytes begin otherwise. */
bool confluent_unframe(struct slice *bytes);

#endif
