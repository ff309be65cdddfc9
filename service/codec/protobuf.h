/* What the decoders of protobuf messages share. */
#ifndef CODEC_PROTOBUF_H
#define CODEC_PROTOBUF_H

#include <protobuf-c/protobuf-c.h>

#include "core/arena.h"
#include "core/schedule.h"

/* Unpacks into the arena; nothing is freed before it is. */
ProtobufCAllocator protobuf_allocator(struct arena *arena);

/* A text, borrowed from the message. proto3 text must be UTF-8: one that is not sets *utf8 to false. */
struct input_text protobuf_text(const ProtobufCBinaryData *bytes, bool *utf8);

/* Takes Confluent's wire format off the front: a zero byte, the schema's id (4 bytes), then the path of the message's type inside
 * its file as zigzag varints: their count and the indexes, a lone 0 standing for the first message. Ours are one message a file.
 * False when bytes begin otherwise. */
bool confluent_unframe(struct slice *bytes);

#endif
