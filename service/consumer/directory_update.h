/* Directory entries of the topic: decoded, checked by the rules, and turned into an entry to apply or a dead letter to emit. */
#ifndef CONSUMER_DIRECTORY_UPDATE_H
#define CONSUMER_DIRECTORY_UPDATE_H

#include "consumer/kafka_message.h"

extern const struct message_handler directory_update_handler;

#endif
