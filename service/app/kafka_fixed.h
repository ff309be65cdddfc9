/* The properties of librdkafka that are not the operator's to set, as the guarantees rest on them. */
#ifndef APP_KAFKA_FIXED_H
#define APP_KAFKA_FIXED_H

/* Why the property of that name may not be set; NULL: it may. */
const char *kafka_fixed_reason(const char *name);

#endif
