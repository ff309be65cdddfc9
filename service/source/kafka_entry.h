/* Directory entries as a kind of message: decoded, judged by the rules, and turned into an entry to apply or a dead letter to emit. */
#ifndef SOURCE_KAFKA_ENTRY_H
#define SOURCE_KAFKA_ENTRY_H

#include "source/kafka_message.h"

extern const struct kafka_kind kafka_entry_kind;

#endif
