/* W3C Trace Context, version 00: the header that ties a request or command to its events. */
#ifndef CORE_TRACEPARENT_H
#define CORE_TRACEPARENT_H

#include "core/slice.h"

/* The text, or an empty slice when it is no traceparent: one that is malformed is dropped, as the standard asks. */
struct slice traceparent_of(struct slice text);

#endif
