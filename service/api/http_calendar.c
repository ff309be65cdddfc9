#include "api/http_calendar.h"

enum { CALENDAR_RANGES_MAX = 500 };

bool wants_calendar(const struct exchange *exchange)
{
    return accept_prefers(http_request_header(exchange->request, "Accept"), "text/calendar");
}

bool check_calendar(struct exchange *exchange, struct hours_query *query, bool has_limit)
{
    if (query->has_slots || query->explain)
        reply_error(exchange, 400, SLICE("duration and explain are not for text/calendar"));
    else if (has_limit && query->limit > CALENDAR_RANGES_MAX)
        reply_errorf(exchange, 400, "limit must be an integer from 1 to %d for text/calendar", CALENDAR_RANGES_MAX);
    else {
        if (!has_limit) query->limit = CALENDAR_RANGES_MAX;
        return true;
    }
    return false;
}
