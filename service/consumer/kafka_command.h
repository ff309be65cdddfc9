/* Commands of the topic: decoded, checked by the rules, and turned into a command to carry out, a rejection or a dead letter
 * to emit. */
#ifndef CONSUMER_KAFKA_COMMAND_H
#define CONSUMER_KAFKA_COMMAND_H

#include "consumer/kafka_message.h"

extern const struct message_handler kafka_command_handler;

#endif
