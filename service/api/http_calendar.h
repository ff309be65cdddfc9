/* Hours as text/calendar: who asks for it, and what may be asked then. */
#ifndef API_HTTP_CALENDAR_H
#define API_HTTP_CALENDAR_H

#include "api/http_exchange.h"
#include "api/http_hours_query.h"

#define CALENDAR_TYPE "text/calendar; charset=utf-8"

enum { CALENDAR_UID_SIZE = 32 };

bool wants_calendar(const struct exchange *exchange);

/* A calendar has ranges of hours only, and fewer: libical takes about 5 us for each. False when it was answered. */
bool check_calendar(struct exchange *exchange, struct hours_query *query, bool has_limit);

#endif
