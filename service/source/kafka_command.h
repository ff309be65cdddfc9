/* Commands as a kind of message: decoded, judged by the rules, and turned into a command to carry out, a rejection or a dead letter
 * to emit. */
#ifndef SOURCE_KAFKA_COMMAND_H
#define SOURCE_KAFKA_COMMAND_H

#include "source/kafka_message.h"

extern const struct kafka_kind kafka_command_kind;

#endif
